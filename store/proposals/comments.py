"""Queries on remarks: what people said and did around a proposal, beside deciding it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.models import RemarkKind
from store.models.details import Remark
from store.schema import remarks

_DELETED = "(deleted) "
LONGEST = 4_000  # characters kept of one message: Slack's own advice for a message's length


def add_remark(
    connection: Connection,
    proposal_id: str,
    kind: RemarkKind,
    author: str,
    text: str,
    *,
    at: datetime,
    preset: str | None = None,
    channel: str | None = None,
    ts: str | None = None,
) -> bool:
    """Keep a remark. False when the same Slack message was kept before: Slack tells of it again.

    `preset` is the key of a reason offered in a list; None for one's own words.
    """
    row: dict[str, Any] = {"proposal_id": proposal_id, "kind": kind, "author": author, "text": text[:LONGEST]}
    row |= {"preset": preset, "channel": channel, "ts": ts}
    if insert_new(connection, remarks, [row | {"at": at}]).rowcount != 1:
        return False
    told = {name: value for name, value in row.items() if name != "proposal_id" and value is not None}
    append(connection, "remark", proposal_id, told, at)
    return True


def keep_message(
    connection: Connection,
    ids: Sequence[str],
    author: str,
    text: str,
    *,
    at: datetime,
    channel: str,
    ts: str,
) -> bool:
    """Keep a message of a thread with every proposal its card is for. False: it was kept before."""
    kept = [
        add_remark(connection, one, RemarkKind.THREAD, author, text, at=at, channel=channel, ts=ts)
        for one in ids
    ]
    return any(kept)


def mend_message(connection: Connection, text: str | None, *, at: datetime, channel: str, ts: str) -> None:
    """A message that was kept says something else now; None: it was deleted, and is marked so.

    The log keeps every wording. Nothing happens when no such message was kept, or it says the same.
    """
    own = (remarks.c.kind == RemarkKind.THREAD, remarks.c.channel == channel, remarks.c.ts == ts)
    for row in connection.execute(select(remarks).where(*own)).all():
        gone = row.text if row.text.startswith(_DELETED) else f"{_DELETED}{row.text}"
        said = (gone if text is None else text)[:LONGEST]
        if said == row.text:
            continue
        connection.execute(update(remarks).where(remarks.c.id == row.id).values(text=said))
        told = {"kind": row.kind, "author": row.author, "text": said, "channel": channel, "ts": ts}
        append(connection, "remark", row.proposal_id, told, at)


def remarks_of(
    connection: Connection, proposal_id: str, kinds: Sequence[RemarkKind] = tuple(RemarkKind)
) -> list[Remark]:
    """The remarks of these kinds on a proposal, oldest first."""
    rows = connection.execute(
        select(remarks)
        .where(remarks.c.proposal_id == proposal_id, remarks.c.kind.in_(kinds))
        .order_by(remarks.c.at, remarks.c.id)
    )
    return [
        Remark(
            row.proposal_id,
            RemarkKind(row.kind),
            row.author,
            row.text,
            row.preset,
            row.channel,
            row.ts,
            row.at,
        )
        for row in rows
    ]


def reasons_of(connection: Connection, proposal_id: str) -> tuple[str, ...]:
    """Why it was declined, as people said, oldest first."""
    return tuple(remark.text for remark in remarks_of(connection, proposal_id, (RemarkKind.REASON,)))


def reasons_among(connection: Connection, ids: Sequence[str]) -> tuple[str, ...]:
    """Why any of these were declined, each reason once."""
    why = (remarks.c.proposal_id.in_(ids), remarks.c.kind == RemarkKind.REASON)
    found = connection.execute(select(remarks.c.text).where(*why).order_by(remarks.c.id)).scalars()
    return tuple(dict.fromkeys(found))
