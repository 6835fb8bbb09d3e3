"""What each training method selects or writes; everything else of a method is shared with the others."""
