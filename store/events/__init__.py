"""Stored webhooks, rule firings and poll cursors."""
