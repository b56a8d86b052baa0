"""Bundles: one card for many proposals of one kind, each of which is still decided by itself."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, exists, func, insert, literal, or_, select, update

from store.engine.leases import Lease
from store.messages.cards import (
    IN_BUNDLE_ONLY,
    NO_CARD,
    OF_BUNDLE,
    OF_PROPOSAL,
    claim_cards,
    redraw_bundles,
)
from store.models import Bundle, Proposal, ProposalKind, ProposalState
from store.proposals.proposals import read_proposal, with_calls
from store.schema import bundles, proposals
from store.schema.columns import UtcDateTime

MOST = 100  # proposals in one bundle: the most that a person goes through
_JOINABLE_FOR = timedelta(hours=1)  # a card changed later than that is not looked at again
_BEHIND = OF_PROPOSAL.behind
_OPEN = bundles.c.closed_at.is_(None)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The messages to render now, under one lease.

    `waiting`: some proposals still have no card. `joinable`: some may join a bundle that is open; none of
    these was taken.
    """

    bundles: list[Bundle]
    cards: list[Proposal]
    waiting: bool = False
    joinable: bool = False


def claim_outgoing(
    connection: Connection,
    *,
    token: str,
    now: datetime,
    until: datetime,
    redraws: int,
    posts: int,
    joined: bool = False,
) -> Outgoing:
    """Take cards and bundles that are behind: up to `redraws` to update, up to `posts` to post.

    Cards go before bundles among the redraws, bundles (they hold many questions) among the new ones.
    `joined`: what may join an open bundle has done so.
    """
    behind = _what_is_behind(connection, now)
    if behind.unseen or behind.changed:
        _follow_members(connection, now)
    joinable = bool(behind.card and behind.open and not joined)
    room = 0 if joinable else posts
    claim = partial(claim_cards, connection, token=token, now=now, until=until)
    redrawn = claim(redraws=redraws, posts=0) if behind.redraw else []
    left = redraws - len(redrawn)
    found: list[Bundle] = []
    if behind.bundle or behind.changed:
        found = _claim_bundles(connection, Lease(token, now, until), redraws=left, posts=room)
    room -= sum(bundle.card_ts is None for bundle in found)
    new = claim(redraws=0, posts=room) if behind.card else []
    waiting = bool((behind.card or behind.bundle) and anything_waits(connection, now))
    return Outgoing(found, redrawn + new, waiting, joinable)


def _what_is_behind(connection: Connection, now: datetime) -> Any:
    """One query for everything that might be to do: mostly there is nothing, or one thing."""
    in_time = bundles.c.created_at > now - _JOINABLE_FOR
    asked = {
        "unseen": select(proposals.c.id).where(_BEHIND, proposals.c.has_card == 0),
        "changed": select(proposals.c.id).where(_BEHIND, IN_BUNDLE_ONLY),
        "redraw": select(proposals.c.id).where(OF_PROPOSAL.free(now), OF_PROPOSAL.has_one),
        "card": select(proposals.c.id).where(OF_PROPOSAL.free(now), NO_CARD),
        "bundle": select(bundles.c.id).where(OF_BUNDLE.free(now)),
        "open": select(bundles.c.id).where(_OPEN, in_time),
    }
    return connection.execute(select(*(exists(each).label(name) for name, each in asked.items()))).one()


def anything_waits(connection: Connection, now: datetime) -> bool:
    """Tell if a proposal or a bundle waits for its first card."""
    unposted = select(bundles.c.id).where(OF_BUNDLE.free(now), bundles.c.card_ts.is_(None))
    cards = select(proposals.c.id).where(OF_PROPOSAL.free(now), NO_CARD)
    return bool(connection.execute(select(or_(exists(cards), exists(unposted)))).scalar())


def _follow_members(connection: Connection, now: datetime) -> None:
    """Count as drawn what has no card of its own: its bundle shows the change, or nothing does.

    A bundle of which something has been decided or changed is closed: nothing joins it any more.
    """
    drawn = {"rendered_version": proposals.c.row_version}
    connection.execute(update(proposals).where(_BEHIND, proposals.c.has_card == 0).values(drawn))
    changed = connection.execute(
        update(proposals).where(_BEHIND, IN_BUNDLE_ONLY).values(drawn).returning(proposals.c.bundle_id)
    ).scalars()
    closed_at = func.coalesce(bundles.c.closed_at, literal(now, UtcDateTime))
    redraw_bundles(connection, sorted({each for each in changed if each}), closed_at=closed_at)


def _claim_bundles(connection: Connection, lease: Lease, *, redraws: int, posts: int) -> list[Bundle]:
    order = (bundles.c.card_due_at,)
    taken = OF_BUNDLE.take(connection, lease, redraws=redraws, posts=posts, order=order)
    found = [replace(_bundle(row), card_sent_at=earlier) for row, earlier in taken]
    if not found:
        return []
    return _with_members(connection, sorted(found, key=lambda bundle: (bundle.created_at, bundle.id)))


def get_bundle(connection: Connection, bundle_id: str) -> Bundle | None:
    """One bundle with its proposals and their calls."""
    rows = connection.execute(select(bundles).where(bundles.c.id == bundle_id))
    found = _with_members(connection, [_bundle(row) for row in rows])
    return found[0] if found else None


def _with_members(connection: Connection, found: list[Bundle], *, calls: bool = True) -> list[Bundle]:
    members: defaultdict[str | None, list[Proposal]] = defaultdict(list)
    rows = connection.execute(
        select(proposals)
        .where(proposals.c.bundle_id.in_([bundle.id for bundle in found]))
        .order_by(proposals.c.created_at, proposals.c.id)
    )
    plain = [read_proposal(row) for row in rows]
    for proposal in with_calls(connection, plain) if calls else plain:
        members[proposal.bundle_id].append(proposal)
    return [replace(bundle, members=tuple(members[bundle.id])) for bundle in found]


def _bundle(row: Row[Any]) -> Bundle:
    names = set(Bundle.__slots__) - {"members"}
    return Bundle(**{name: getattr(row, name) for name in names})


@dataclass(frozen=True, slots=True)
class Gathering:
    """The proposals that wait for a first card and may be bundled, and the bundles that they may join.

    `known` are the customers of all these about whom something has been decided before.
    """

    waiting: list[Proposal]
    open: list[Bundle]
    known: frozenset[str]


def gathering(connection: Connection, now: datetime, limit: int) -> Gathering:
    """The oldest proposals without a card, the open bundles (without calls), and who is known."""
    old = bundles.c.created_at <= now - _JOINABLE_FOR
    connection.execute(update(bundles).where(_OPEN, old).values(closed_at=now))
    rows = connection.execute(
        select(proposals)
        .where(OF_PROPOSAL.free(now), *_may_be_bundled())
        .order_by(proposals.c.created_at, proposals.c.id)
        .limit(limit)
    )
    waiting = with_calls(connection, [read_proposal(row) for row in rows])
    if not waiting:
        return Gathering([], [], frozenset())
    still_open = connection.execute(select(bundles).where(_OPEN))
    joinable = _with_members(connection, [_bundle(row) for row in still_open], calls=False)
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


def _known(connection: Connection, customers: Collection[str]) -> frozenset[str]:
    decided = (
        select(proposals.c.customer_id)
        .where(proposals.c.customer_id.in_(customers), proposals.c.decided_at.is_not(None))
        .distinct()
    )
    return frozenset(connection.execute(decided).scalars())


def put_in_bundle(
    connection: Connection, bundle_id: str, key: str, proposal_ids: Sequence[str], now: datetime
) -> int:
    """Put proposals that still wait for their first card into a bundle, made where it is new; the number put.

    None go into one that has been closed meanwhile.
    """
    row = connection.execute(select(bundles.c.closed_at).where(bundles.c.id == bundle_id)).first()
    if row is not None and row.closed_at is not None:
        return 0
    joined = connection.execute(
        update(proposals)
        .where(proposals.c.id.in_(proposal_ids), OF_PROPOSAL.free(now), *_may_be_bundled())
        .values(bundle_id=bundle_id, rendered_version=proposals.c.row_version)
    ).rowcount
    if joined and row is None:
        made = {"id": bundle_id, "key": key, "created_at": now, "card_due_at": now}
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
    connection.execute(update(bundles).where(bundles.c.id == bundle_id, _OPEN).values(closed_at=now))


def give_own_card(connection: Connection, bundle_id: str, proposal_id: str, now: datetime) -> bool:
    """Take a proposal, however it stands, out of its bundle: it gets a card of its own. False: not there.

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
