"""Bundles: one card for many proposals of one kind, each of which is still decided by itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, bindparam, func, insert, literal, select, update

from store.engine.dialects import UtcDateTime, value_of
from store.events.events import received_at
from store.messages.cards import JOINABLE_FOR, OF_BUNDLE, OF_PROPOSAL, OPEN, open_bundles, redraw_bundles
from store.messages.outbox import LINE, add_to_outbox
from store.models import Proposal, ProposalKind, ProposalState
from store.models.details import Bundle
from store.proposals.proposals import with_calls
from store.schema import bundles, proposals

# A bundle, while its proposals run: one card must not use up all redraws.
_REDRAWN_EVERY = timedelta(seconds=3)
MOST = 100  # proposals in one bundle: the most that a person goes through


@dataclass(frozen=True, slots=True)
class Gathering:
    """Proposals that wait for a card and may be bundled, the bundles to join, and the `known`: customers of
    all these about whom something has been decided before.
    """

    waiting: list[Proposal]
    open: list[Bundle]
    known: frozenset[str]


def gathering(connection: Connection, now: datetime, limit: int) -> Gathering:
    """The oldest proposals without a card, the open bundles (without calls), and who is known."""
    old = bundles.c.created_at <= now - JOINABLE_FOR
    connection.execute(update(bundles).where(OPEN, old).values(closed_at=now))
    rows = connection.execute(_FREE, {"now": now, "most": limit})
    waiting = with_calls(connection, [value_of(Proposal, row, calls=()) for row in rows])
    if not waiting:
        return Gathering([], [], frozenset())
    joinable = open_bundles(connection)
    everybody = {
        each.customer_id for each in [*waiting, *(m for b in joinable for m in b.members)] if each.customer_id
    }
    return Gathering(waiting, joinable, _known(connection, everybody))


def _may_be_bundled() -> list[ColumnElement[bool]]:
    """Nobody has seen it, and nobody has done anything about it."""
    texts = ("card_ts", "bundle_id", "approval_checking_by", "held_by", "assignee")
    times = ("card_sent_at", "snoozed_until")
    return [
        # As in NO_CARD: what is pending is many, what is behind is few.
        func.coalesce(proposals.c.state, "") == ProposalState.PENDING,
        proposals.c.kind == ProposalKind.CALLS,
        func.coalesce(proposals.c.rule, "") != "",
        proposals.c.revision == 1,
        *(func.coalesce(*(proposals.c[name] for name in names)).is_(None) for names in (texts, times)),
    ]


_FREE = (
    select(proposals)
    .where(OF_PROPOSAL.free, *_may_be_bundled())
    .order_by(proposals.c.created_at, proposals.c.id)
    .limit(bindparam("most", type_=Integer))
)
_JOINS = (
    update(proposals)
    .where(
        proposals.c.id.in_(bindparam("ids", expanding=True)),
        OF_PROPOSAL.free,
        *_may_be_bundled(),
    )
    .values(bundle_id=bindparam("bundle"), rendered_version=proposals.c.row_version)
)


def _known(connection: Connection, customers: Collection[str]) -> frozenset[str]:
    decided = (
        select(proposals.c.customer_id)
        .where(proposals.c.customer_id.in_(customers), proposals.c.decided_at.is_not(None))
        .distinct()
    )
    return frozenset(connection.execute(decided).scalars())


def put_in_bundle(
    connection: Connection,
    bundle_id: str,
    key: str,
    proposal_ids: Sequence[str],
    now: datetime,
    *,
    one_by_one: bool = False,
) -> int:
    """Put what still waits for a first card into a bundle, new or still open; the number of proposals put."""
    # Locked: a claim that runs beside could close it in between.
    own = select(bundles.c.closed_at).where(bundles.c.id == bundle_id).with_for_update(key_share=True)
    row = connection.execute(own).first()
    if row is not None and row.closed_at is not None:
        return 0
    joined = connection.execute(_JOINS, {"ids": list(proposal_ids), "now": now, "bundle": bundle_id}).rowcount
    if joined and row is None:
        made = {
            "id": bundle_id,
            "key": key,
            "one_by_one": int(one_by_one),
            "created_at": now,
            "card_due_at": now,
        }
        connection.execute(insert(bundles), [made | {"row_version": 1, "rendered_version": 0}])
    elif joined:
        redraw_bundles(connection, [bundle_id])
    if joined:
        _close_when_full(connection, bundle_id, now)
    return joined


def _close_when_full(connection: Connection, bundle_id: str, now: datetime) -> None:
    members = select(func.count()).select_from(proposals).where(proposals.c.bundle_id == bundle_id)
    full = members.scalar_subquery() >= MOST
    connection.execute(update(bundles).where(bundles.c.id == bundle_id, full).values(closed_at=now))


def close_bundle(connection: Connection, bundle_id: str, now: datetime) -> None:
    """Let nothing more join: somebody is deciding."""
    connection.execute(update(bundles).where(bundles.c.id == bundle_id, OPEN).values(closed_at=now))


def give_own_card(connection: Connection, bundle_id: str, proposal_id: str, now: datetime) -> bool:
    """Take a proposal, however it stands, out of its bundle, for a card of its own. False: not there.
    `card_sent_at` is set, as before any posting: nothing that has it is ever put into a bundle.
    """
    member = (
        proposals.c.id == proposal_id,
        proposals.c.bundle_id == bundle_id,
        proposals.c.card_ts.is_(None),
    )
    values: dict[str, Any] = {"bundle_id": None, "row_version": proposals.c.row_version + 1}
    values |= {"card_due_at": now, "card_sent_at": now, "card_lease_token": None}
    if connection.execute(update(proposals).where(*member).values(values)).rowcount != 1:
        return False
    redraw_bundles(connection, [bundle_id])
    return True


def bundle_drawn(
    connection: Connection,
    bundle_id: str,
    *,
    token: str,
    version: int,
    channel: str,
    ts: str,
    at: datetime,
    shown: Sequence[str],
    line: Mapping[str, Any] | None = None,
    arrivals: Sequence[str] = (),
) -> dict[str, datetime] | None:
    """Note that the card shows `version`, and since when it shows each of `shown`. None: lease lost.

    `line` is for its thread, once. Returns the times at which the events `arrivals` arrived, by their ids.
    """
    first_shown_at = func.coalesce(bundles.c.first_shown_at, literal(at, UtcDateTime))
    more = {"first_shown_at": first_shown_at, "card_due_at": at + _REDRAWN_EVERY}
    drawn = OF_BUNDLE.drawn(token, bundle_id, version=version, place=(channel, ts), **more)
    if connection.execute(drawn).rowcount != 1:
        return None
    # What a bundle shows is the first revision of each.
    unseen = proposals.c.first_shown_at.is_(None) & (proposals.c.revision == 1)
    first_seen = update(proposals).where(proposals.c.id.in_(shown), unseen)
    connection.execute(first_seen.values(first_shown_at=at))
    if line is not None:
        add_to_outbox(connection, f"{LINE}:{bundle_id}", kind=LINE, message=line, at=at)
    return received_at(connection, arrivals)


def bundle_not_drawn(
    connection: Connection, bundle_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the bundle's card be tried again at `due_at`. False: the lease was lost."""
    return OF_BUNDLE.not_drawn(
        connection, bundle_id, token=token, due_at=due_at, certainly_not_posted=certainly_not_posted
    )
