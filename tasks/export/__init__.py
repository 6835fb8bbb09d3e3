"""What is exported from a store, with what is known of it: models, data sets, where they came from."""
