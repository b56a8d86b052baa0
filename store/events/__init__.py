"""Stored webhooks, rule matches and poll cursors."""
