"""Poll cursors: when Polar is next asked for what no webhook tells, and until when everything was read."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from store.engine.dialects import insert_new
from store.schema import poll_cursors


def claim_poll(connection: Connection, name: str, *, now: datetime, until: datetime, first: datetime) -> bool:
    """True when a poll is due; then it is ours, and nobody else's is due before `until`.

    The very first is due at `first`.
    """
    insert_new(connection, poll_cursors, [{"name": name, "due_at": first}])
    own = update(poll_cursors).where(poll_cursors.c.name == name, poll_cursors.c.due_at <= now)
    return connection.execute(own.values(due_at=until)).rowcount == 1


def poll_again(connection: Connection, name: str, due_at: datetime) -> None:
    """Let the next poll be due at `due_at`."""
    _change(connection, name, due_at=due_at)


def polled_until(connection: Connection, name: str) -> datetime | None:
    """The moment until which the last complete poll has read, or None before the first."""
    own = select(poll_cursors.c.read_until).where(poll_cursors.c.name == name)
    found: datetime | None = connection.execute(own).scalar()
    return found


def keep_polled_until(connection: Connection, name: str, until: datetime) -> None:
    """Note until when a poll has read."""
    row = {"name": name, "due_at": until, "read_until": until}
    if insert_new(connection, poll_cursors, [row]).rowcount != 1:
        _change(connection, name, read_until=until)


def _change(connection: Connection, name: str, **values: datetime) -> None:
    connection.execute(update(poll_cursors).where(poll_cursors.c.name == name).values(**values))
