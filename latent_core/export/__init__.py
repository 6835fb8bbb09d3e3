"""What leaves the store for other programs: models and data sets with their cards, and tables as files."""
