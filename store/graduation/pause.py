"""The pause of everything that runs on its own. What people decide is not affected."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.messages.outbox import add_to_outbox
from store.schema.columns import readable
from store.schema.graduation import pause as table

_PAUSED = select(table.c.paused_by, table.c.paused_at, table.c.reason)  # built once: every case asks


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing runs on its own: `by` a Slack user (or the program), `at` in UTC, `why` in their words."""

    by: str
    at: datetime
    why: str


def paused(connection: Connection) -> Paused | None:
    """The pause that is on, or None."""
    row = connection.execute(_PAUSED).one_or_none()
    return None if row is None else Paused(row.paused_by, row.paused_at, row.reason)


def pause(
    connection: Connection, *, by: str, why: str, at: datetime, notice: Mapping[str, Any] | None = None
) -> bool:
    """Pause everything that runs on its own. False when it is paused already: the first pause stands.

    `notice` ({text, blocks}) is what the channel is told of it; notify the queue `OUTBOX` afterwards.
    """
    row = {"id": 1, "paused_by": by, "paused_at": at, "reason": readable(why)}
    if insert_new(connection, table, [row]).rowcount != 1:
        return False
    append(connection, "pause", None, {"by": by, "at": at.isoformat(), "why": row["reason"]}, at)
    _tell(connection, "pause", notice, at)
    return True


def resume(
    connection: Connection,
    *,
    by: str,
    at: datetime,
    notice: Callable[[Paused], Mapping[str, Any]] | None = None,
) -> Paused | None:
    """End the pause; what it was, or None when there was none. `notice` as in `pause`, of what it was."""
    before = paused(connection)
    if before is None or connection.execute(delete(table)).rowcount != 1:
        return None
    append(connection, "resume", None, {"by": by, "paused_by": before.by, "since": before.at.isoformat()}, at)
    _tell(connection, "resume", notice(before) if notice else None, at)
    return before


def _tell(connection: Connection, kind: str, message: Mapping[str, Any] | None, at: datetime) -> None:
    if message is not None:
        add_to_outbox(connection, f"{kind}:{at.isoformat()}", kind=kind, message=message, at=at)
