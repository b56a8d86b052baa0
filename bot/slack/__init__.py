"""Outbound Slack: client, rate limit, Socket Mode, permalinks, user."""
