"""Erasing the texts that are kept of a person; numbers, labels and the audit log stay."""
