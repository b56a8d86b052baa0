"""Build a proposal, compare it with Polar, and classify the result of its calls."""
