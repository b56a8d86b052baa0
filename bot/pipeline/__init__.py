"""The pipeline: propose, announce, execute, reconcile. Each step claims, acts, and writes the result."""
