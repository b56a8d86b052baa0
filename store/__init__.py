"""Keeps things: events, proposals, decisions, and what came of them. Knows neither Slack nor Polar's wire."""

from sqlalchemy import Connection

from store.engine.store import Store, open_beside, open_store

__all__ = ["Connection", "Store", "open_beside", "open_store"]
