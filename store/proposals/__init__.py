"""Proposals from creation to result."""
