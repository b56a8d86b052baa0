"""Queries on which channels were greeted: once each."""

from datetime import datetime

from sqlalchemy import Connection, delete

from store.engine.dialects import insert_new
from store.schema import marks


def first_time(connection: Connection, channel: str, at: datetime) -> bool:
    """Whether this channel was never greeted; from now on it was."""
    row = {"name": _mark(channel), "value": at.isoformat()}
    return insert_new(connection, marks, [row]).rowcount == 1


def not_greeted(connection: Connection, channel: str) -> None:
    """The greeting did not get there."""
    connection.execute(delete(marks).where(marks.c.name == _mark(channel)))


def _mark(channel: str) -> str:
    return f"greeted {channel}"
