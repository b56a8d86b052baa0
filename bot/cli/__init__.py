"""The commands of `python -m bot`, one a file; each has `run(argv) -> exit status`."""
