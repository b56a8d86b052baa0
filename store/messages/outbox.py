"""Queries on notices: messages that are no cards, each sent once its time has come and Slack has room."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, exists, func, or_, select, update

from store.engine.dialects import insert_new
from store.models import OutboxCode
from store.schema import bundles, notices, proposals

LINE = "line"  # what came of a proposal, for its card's thread: goes before everything that is merely told
_LINES_FIRST = case((notices.c.kind == LINE, 0), else_=1)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to send. `message` is {text, blocks}, and `thread_ts` for one thread in particular; or what
    `coded` makes.

    `channel` and `card_ts` are where the card of its proposal is (or the card of its proposal's bundle).
    """

    id: str
    kind: str
    proposal_id: str | None
    message: Mapping[str, Any]
    attempts: int
    channel: str | None
    card_ts: str | None


def coded(code: OutboxCode, *, actor: str | None = None) -> dict[str, Any]:
    """A message whose words are made when it is sent."""
    return {"code": code.value, "args": {} if actor is None else {"actor": actor}}


def add_notice(
    connection: Connection,
    notice_id: str,
    *,
    kind: str,
    message: Mapping[str, Any],
    at: datetime,
    due_at: datetime | None = None,
    proposal_id: str | None = None,
) -> bool:
    """Have a message sent, at once or from `due_at` on. False: one of this id was added before.

    `notice_id` says what it is for ("reminder:2026-11-21T09"), so that it is sent once however often the same
    thing is asked for. `message` is {"text": …, "blocks": […]}, or `coded`. With `proposal_id` it goes into
    the thread of that proposal's card. Wake the lane "notices" afterwards.
    """
    row: dict[str, Any] = {"id": notice_id, "kind": kind, "proposal_id": proposal_id}
    row |= {"message": dict(message), "attempts": 0, "created_at": at, "due_at": due_at or at}
    return insert_new(connection, notices, [row]).rowcount == 1


def claim_notices(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[Notice]:
    """Take up to `limit` messages whose time has come, lines about outcomes first."""
    free = _free(now)
    due = (
        select(notices.c.id).where(*free).order_by(_LINES_FIRST, notices.c.due_at, notices.c.id).limit(limit)
    )
    ids = connection.execute(due).scalars().all()
    if not ids:
        return []
    taken = (
        update(notices)
        .where(notices.c.id.in_(ids), *free)
        .values(lease_token=token, lease_expires_at=until, attempts=notices.c.attempts + 1)
    )
    connection.execute(taken)
    rows = connection.execute(
        select(
            notices,
            func.coalesce(proposals.c.channel, bundles.c.channel).label("channel"),
            _CARD.label("card_ts"),
        )
        .select_from(notices.outerjoin(proposals, proposals.c.id == notices.c.proposal_id))
        .outerjoin(bundles, bundles.c.id == proposals.c.bundle_id)
        .where(notices.c.id.in_(ids), notices.c.lease_token == token)
        .order_by(_LINES_FIRST, notices.c.due_at, notices.c.id)
    )
    return [_notice(row) for row in rows]


_CARD = func.coalesce(proposals.c.card_ts, bundles.c.card_ts)
# It goes into the thread of a card that is still to come.
_TOO_EARLY = (
    select(proposals.c.id)
    .select_from(proposals.outerjoin(bundles, bundles.c.id == proposals.c.bundle_id))
    .where(proposals.c.id == notices.c.proposal_id, _CARD.is_(None), proposals.c.quiet == 0)
    .correlate(notices)
    .exists()
)


def _free(now: datetime) -> list[ColumnElement[bool]]:
    """A message to be sent now that nobody is sending."""
    unclaimed = or_(notices.c.lease_expires_at.is_(None), notices.c.lease_expires_at < now)
    return [notices.c.sent_at.is_(None), notices.c.due_at <= now, unclaimed, ~_TOO_EARLY]


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        id=row.id,
        kind=row.kind,
        proposal_id=row.proposal_id,
        message=row.message,
        attempts=row.attempts,
        channel=row.channel,
        card_ts=row.card_ts,
    )


def notice_sent(
    connection: Connection,
    notice_id: str,
    *,
    token: str,
    ts: str | None,
    at: datetime,
    note: str | None = None,
) -> bool:
    """Note that a message is in Slack (`ts` None: given up, it never will be). False: the claim ran out."""
    return _close(connection, notice_id, token, sent_at=at, ts=ts, note=note)


def notice_postponed(
    connection: Connection,
    notice_id: str,
    *,
    token: str,
    due_at: datetime,
    note: str,
) -> bool:
    """Let a message be tried again at `due_at`. False: the claim ran out."""
    return _close(connection, notice_id, token, due_at=due_at, note=note)


def _close(connection: Connection, notice_id: str, token: str, **values: Any) -> bool:
    result = connection.execute(
        update(notices)
        .where(notices.c.id == notice_id, notices.c.lease_token == token)
        .values(lease_token=None, lease_expires_at=None, **values)
    )
    return result.rowcount == 1


def notice_is_due(connection: Connection, now: datetime) -> bool:
    """Whether a message waits whose time has come."""
    free = select(notices.c.id).where(*_free(now))
    return bool(connection.execute(select(exists(free))).scalar())
