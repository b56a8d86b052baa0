"""The pipeline: propose, announce, execute, learn. Each step claims, acts, and writes the result."""
