"""The code lists of the carriers, one CSV file a format."""
