"""What a person may do with a proposal; results are data."""
