"""The outbox: messages that are no cards and wait to be sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, case, exists, func, select

from store.engine.dialects import insert_new, value_of
from store.engine.leases import NOW, OUTBOX, Lease
from store.engine.writer import without_turn
from store.models.details import OutboxCode
from store.schema import bundles, outbox, proposals

LINE = "line"  # what came of a proposal, for its card's thread: goes before everything that is merely told
_ORDER = (case((outbox.c.kind == LINE, 0), else_=1), outbox.c.due_at, outbox.c.id)
_CARD = func.coalesce(proposals.c.card_ts, bundles.c.card_ts)
# It goes into the thread of a card that is still to come.
_TOO_EARLY = (
    select(proposals.c.id)
    .select_from(proposals.outerjoin(bundles, bundles.c.id == proposals.c.bundle_id))
    .where(proposals.c.id == outbox.c.proposal_id, _CARD.is_(None), proposals.c.has_card == 1)
    .correlate(outbox)
    .exists()
)
# Built once: the outbox is looked at several times a second.
_IS_DUE = select(
    exists(select(outbox.c.id).where(OUTBOX.waits, outbox.c.due_at <= NOW, OUTBOX.free(NOW), ~_TOO_EARLY))
)
_TAKING = OUTBOX.taking(outbox.c.due_at <= NOW, ~_TOO_EARLY, order=_ORDER, attempts=outbox.c.attempts + 1)
_WITH_PLACES = (
    select(
        outbox,
        func.coalesce(proposals.c.channel, bundles.c.channel).label("channel"),
        _CARD.label("card_ts"),
    )
    .select_from(outbox.outerjoin(proposals, proposals.c.id == outbox.c.proposal_id))
    .outerjoin(bundles, bundles.c.id == proposals.c.bundle_id)
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(*_ORDER)
)


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to send: {text, blocks}, and `thread_ts` for one thread in particular, or what `coded` makes.
    `channel` and `card_ts` are where the card of its proposal is, or of its proposal's bundle.
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


def add_to_outbox(
    connection: Connection,
    message_id: str,
    *,
    kind: str,
    message: Mapping[str, Any],
    at: datetime,
    due_at: datetime | None = None,
    proposal_id: str | None = None,
) -> bool:
    """Have a message sent, at once or from `due_at` on. False: one of this id was added before.

    `message_id` says what it is for ("reminder:2026-11-21T09"), so that it is sent once however often the
    same thing is asked for. `message` is {"text": …, "blocks": […]}, or `coded`. With `proposal_id` it
    goes into the thread of that proposal's card. Wake the outbox's queue afterwards.
    """
    row = outbox_row(message_id, kind=kind, message=message, at=at, due_at=due_at, proposal_id=proposal_id)
    return insert_new(connection, outbox, [row]).rowcount == 1


def outbox_row(
    message_id: str,
    *,
    kind: str,
    message: Mapping[str, Any],
    at: datetime,
    due_at: datetime | None = None,
    proposal_id: str | None = None,
) -> dict[str, Any]:
    """The row of a message to be sent; the arguments are those of `add_to_outbox`."""
    row: dict[str, Any] = {"id": message_id, "kind": kind, "proposal_id": proposal_id}
    return row | {"message": dict(message), "attempts": 0, "created_at": at, "due_at": due_at or at}


def is_in_outbox(connection: Connection, message_id: str) -> bool:
    """Tell if a message of this id was added before, sent or not."""
    return connection.execute(select(outbox.c.id).where(outbox.c.id == message_id)).first() is not None


@without_turn
def claim_outbox(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[OutboxMessage]:
    """Take up to `limit` messages whose time has come, lines about outcomes first."""
    taken = OUTBOX.take(connection, _TAKING, Lease(token, now, until), limit)
    if not taken:
        return []
    rows = connection.execute(_WITH_PLACES, {"ids": [row.id for row in taken]})
    return [value_of(OutboxMessage, row) for row in rows]


def outbox_sent(
    connection: Connection,
    message_id: str,
    *,
    token: str,
    ts: str | None,
    at: datetime,
    note: str | None = None,
) -> bool:
    """Note that a message is in Slack (`ts` None: given up, it never will be). False: the lease was lost."""
    return OUTBOX.release(connection, token, message_id, sent_at=at, ts=ts, note=note)


def postpone_outbox(
    connection: Connection, message_id: str, *, token: str, due_at: datetime, note: str
) -> bool:
    """Let a message be tried again at `due_at`. False: the lease was lost."""
    return OUTBOX.release(connection, token, message_id, due_at=due_at, note=note)


@without_turn
def outbox_is_due(connection: Connection, now: datetime) -> bool:
    """Tell if a message waits whose time has come."""
    return bool(connection.execute(_IS_DUE, {"now": now}).scalar())
