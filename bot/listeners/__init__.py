"""Slack's payloads come in here: translate, acknowledge, call."""
