"""Messages that are no cards: the outbox of those that wait, the Home tabs, the welcomes of channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, exists, func, or_, select, update

from store.engine.dialects import insert_new, value_of
from store.engine.leases import NOW, OUTBOX, Lease
from store.engine.writer import without_turn
from store.models.details import OutboxCode
from store.schema import bundles, channel_welcomes, home_tab_viewers, outbox, proposals

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


def coded(code: OutboxCode, **args: str | None) -> dict[str, Any]:
    """A message whose words are made when it is sent."""
    return {"code": code.value, "args": {name: value for name, value in args.items() if value is not None}}


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
    """Note that a message is in Slack (`ts` None: given up, it never will be); what it said is not kept.
    False: the lease was lost.
    """
    return OUTBOX.release(connection, token, message_id, sent_at=at, ts=ts, note=note, message={})


def postpone_outbox(
    connection: Connection, message_id: str, *, token: str, due_at: datetime, note: str
) -> bool:
    """Let a message be tried again at `due_at`. False: the lease was lost."""
    return OUTBOX.release(connection, token, message_id, due_at=due_at, note=note)


@without_turn
def outbox_is_due(connection: Connection, now: datetime) -> bool:
    """Tell if a message waits whose time has come."""
    return bool(connection.execute(_IS_DUE, {"now": now}).scalar())


# --- The viewers of the Home tab, when it was drawn for each, and the channels that were welcomed ---------


def claim_welcome(connection: Connection, channel: str, at: datetime) -> bool:
    """True when this channel was never welcomed; from now on it was."""
    return insert_new(connection, channel_welcomes, [{"channel": channel, "at": at}]).rowcount == 1


def forget_welcome(connection: Connection, channel: str) -> None:
    """Let the channel be welcomed again: the message did not get there."""
    connection.execute(delete(channel_welcomes).where(channel_welcomes.c.channel == channel))


_VIEWER = home_tab_viewers.c


def opened_home(connection: Connection, user_id: str, at: datetime) -> None:
    """Note that somebody opened their Home tab at `at`, and that it is about to be drawn."""
    row = {"user_id": user_id, "opened_at": at, "drawn_at": at}
    if insert_new(connection, home_tab_viewers, [row]).rowcount != 1:
        own = update(home_tab_viewers).where(_VIEWER.user_id == user_id)
        connection.execute(own.values(opened_at=at, drawn_at=at))


def home_viewers(
    connection: Connection, *, opened_since: datetime, drawn_before: datetime, limit: int
) -> list[str]:
    """Users who opened their Home tab since then, and have not had it drawn of late; longest wait first."""
    due = (_VIEWER.opened_at >= opened_since, _not_drawn_since(drawn_before))
    longest = select(_VIEWER.user_id).where(*due).order_by(_VIEWER.drawn_at.nulls_first()).limit(limit)
    return list(connection.execute(longest).scalars())


def _not_drawn_since(moment: datetime) -> ColumnElement[bool]:
    return or_(_VIEWER.drawn_at.is_(None), _VIEWER.drawn_at <= moment)


def claim_drawing(connection: Connection, user_id: str, *, drawn_before: datetime, at: datetime) -> bool:
    """True when this program may draw somebody's Home tab now: no other has since `drawn_before`."""
    own = update(home_tab_viewers).where(_VIEWER.user_id == user_id, _not_drawn_since(drawn_before))
    return connection.execute(own.values(drawn_at=at)).rowcount == 1


def forget_viewer(connection: Connection, user_id: str) -> None:
    """Draw this user's Home tab no more: there is none."""
    connection.execute(delete(home_tab_viewers).where(_VIEWER.user_id == user_id))
