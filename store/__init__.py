"""Keeps things: events, proposals, decisions, and what came of them. Knows neither Slack nor Polar's wire."""

from store.engine.store import Store, open_beside, open_store

__all__ = ["Store", "open_beside", "open_store"]
