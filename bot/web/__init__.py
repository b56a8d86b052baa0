"""Inbound HTTP: the server, and the routes of Polar, Slack, health and metrics."""
