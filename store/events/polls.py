"""Queries on what is looked up now and then: when it is due, and how far the last look came."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from store.engine.dialects import insert_new
from store.schema import marks


def claim_poll(connection: Connection, name: str, *, now: datetime, until: datetime, first: datetime) -> bool:
    """Whether a look is due; then it is ours, and nobody else's is due before `until`.

    The very first is due at `first`.
    """
    key = f"poll:{name}:due"
    insert_new(connection, marks, [{"name": key, "value": _text(first)}])
    result = connection.execute(
        # The moments are texts of one length in one zone, so they compare as they follow.
        update(marks).where(marks.c.name == key, marks.c.value <= _text(now)).values(value=_text(until))
    )
    return result.rowcount == 1


def poll_again(connection: Connection, name: str, due_at: datetime) -> None:
    """Let the next look be due at `due_at`."""
    connection.execute(update(marks).where(marks.c.name == f"poll:{name}:due").values(value=_text(due_at)))


def polled_until(connection: Connection, name: str) -> datetime | None:
    """How far the last complete look came, or None before the first."""
    found = connection.execute(select(marks.c.value).where(marks.c.name == f"poll:{name}:until")).scalar()
    return None if found is None else datetime.fromisoformat(found)


def keep_polled_until(connection: Connection, name: str, until: datetime) -> None:
    """Note how far a look came."""
    key = f"poll:{name}:until"
    if insert_new(connection, marks, [{"name": key, "value": _text(until)}]).rowcount != 1:
        connection.execute(update(marks).where(marks.c.name == key).values(value=_text(until)))


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")
