"""Speaks Polar: webhooks in, calls out. Knows neither Slack nor the database."""
