"""The commands of `polar-approvals`, one a file; each has `run(argv) -> exit code`."""
