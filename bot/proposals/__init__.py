"""Build a proposal, hold it against Polar, and tell the result of its calls."""
