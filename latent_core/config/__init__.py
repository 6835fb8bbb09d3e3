"""Parameters of every stage and flow."""
