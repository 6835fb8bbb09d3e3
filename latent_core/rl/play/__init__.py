"""Playing: the dialogue with an environment, episodes, and what is recorded of them."""
