"""Queries on comments: what people said and did around a proposal, beside deciding it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.models import CommentKind
from store.models.details import Comment
from store.schema import comments

_DELETED = "(deleted) "
LONGEST = 4_000  # characters kept of one message: Slack's own advice for a message's length


def add_comment(
    connection: Connection,
    proposal_id: str,
    kind: CommentKind,
    author: str,
    text: str,
    *,
    at: datetime,
    preset: str | None = None,
    channel: str | None = None,
    ts: str | None = None,
) -> bool:
    """Keep a comment. False when the same Slack message was kept before: Slack tells of it again.

    `preset` is the key of a reason offered in a list; None for one's own words.
    """
    row: dict[str, Any] = {"proposal_id": proposal_id, "kind": kind, "author": author, "text": text[:LONGEST]}
    row |= {"preset": preset, "channel": channel, "ts": ts}
    if insert_new(connection, comments, [row | {"at": at}]).rowcount != 1:
        return False
    told = {name: value for name, value in row.items() if name != "proposal_id" and value is not None}
    append(connection, "comment", proposal_id, told, at)
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
        add_comment(connection, one, CommentKind.THREAD, author, text, at=at, channel=channel, ts=ts)
        for one in ids
    ]
    return any(kept)


def mend_message(connection: Connection, text: str | None, *, at: datetime, channel: str, ts: str) -> None:
    """A message that was kept says something else now; None: it was deleted, and is marked so.

    The log keeps every wording. Nothing happens when no such message was kept, or it says the same.
    """
    own = (comments.c.kind == CommentKind.THREAD, comments.c.channel == channel, comments.c.ts == ts)
    for row in connection.execute(select(comments).where(*own)).all():
        gone = row.text if row.text.startswith(_DELETED) else f"{_DELETED}{row.text}"
        said = (gone if text is None else text)[:LONGEST]
        if said == row.text:
            continue
        connection.execute(update(comments).where(comments.c.id == row.id).values(text=said))
        told = {"kind": row.kind, "author": row.author, "text": said, "channel": channel, "ts": ts}
        append(connection, "comment", row.proposal_id, told, at)


def comments_of(
    connection: Connection, proposal_id: str, kinds: Sequence[CommentKind] = tuple(CommentKind)
) -> list[Comment]:
    """The comments of these kinds on a proposal, oldest first."""
    rows = connection.execute(
        select(comments)
        .where(comments.c.proposal_id == proposal_id, comments.c.kind.in_(kinds))
        .order_by(comments.c.at, comments.c.id)
    )
    return [
        Comment(
            row.proposal_id,
            CommentKind(row.kind),
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
    return tuple(comment.text for comment in comments_of(connection, proposal_id, (CommentKind.REASON,)))


def reasons_among(connection: Connection, ids: Sequence[str]) -> tuple[str, ...]:
    """Why any of these were declined, each reason once."""
    why = (comments.c.proposal_id.in_(ids), comments.c.kind == CommentKind.REASON)
    found = connection.execute(select(comments.c.text).where(*why).order_by(comments.c.id)).scalars()
    return tuple(dict.fromkeys(found))
