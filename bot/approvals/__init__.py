"""Actions of a person on a proposal; results are data."""
