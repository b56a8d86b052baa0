"""Stored webhooks, rule rule_matches and poll cursors."""
