"""Cards: the Slack message of a proposal or of a bundle, which of them are behind, and what each shows.

The columns of a card stand in both tables, and `CardColumns` is the one implementation for either. A table of
messages of its own would cost more than it gives: a card is behind when its row has changed since, and only
inside one table does a partial index hold those rows. Apart, each change of a proposal would write a second
row, and the fifteen queries that read whole proposals would each need a join.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnCollection,
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from store.engine.dialects import UtcDateTime, value_of, values_of
from store.engine.leases import BUNDLE_CARDS, CARDS, NOW, Lease, Leases
from store.engine.locks import skip_locked
from store.engine.writer import without_turn
from store.events.events import received_at
from store.messages.outbox import LINE, add_to_outbox
from store.models import Proposal, ProposalState
from store.models.details import Bundle
from store.proposals.proposals import read_proposals, with_calls
from store.schema import bundles, proposals

# A bundle, while its proposals run: one card must not use up all redraws.
_REDRAWN_EVERY = timedelta(seconds=3)
JOINABLE_FOR = timedelta(hours=1)  # nothing joins a bundle that is older
_FOLLOWED = 1_000  # changes of a bundle's members at a time; the next claim goes on
# The moment of a claim, in statements that are built once.


@dataclass(frozen=True, eq=False, slots=True)
class CardColumns:
    """The card columns of `proposals` or of `bundles`. `drawable` are the rows that get a card at all, which
    are drawn in this `order`.
    """

    leases: Leases
    drawable: ColumnElement[bool]
    has_one: ColumnElement[bool]
    order: tuple[ColumnElement[Any], ...]

    @property
    def _c(self) -> ColumnCollection[str, Any]:
        return self.leases.table.c

    @property
    def behind(self) -> ColumnElement[bool]:
        """The row has changed since its card was drawn, or it has no card yet."""
        return self.leases.waits

    @property
    def due(self) -> ColumnElement[bool]:
        """The card is to be drawn at `NOW`."""
        return and_(self.drawable, self._c.card_due_at <= NOW)

    @property
    def free(self) -> ColumnElement[bool]:
        """The card is behind, is to be drawn at `NOW`, and nobody is drawing it."""
        return and_(self.behind, self.due, self.leases.free(NOW))

    def pick(
        self, connection: Connection, now: datetime, *, posted: bool, limit: int
    ) -> dict[str, datetime | None]:
        """Up to `limit` of the cards that are to be drawn and that are there (`posted`) or are not, by their
        keys, each with the note of an earlier try (`card_sent_at`).
        """
        if limit <= 0:
            return {}
        found = connection.execute(_picking(self, posted), {"now": now, "most": limit})
        return {row.id: row.card_sent_at for row in found}

    def take(
        self, connection: Connection, lease: Lease, picked: Mapping[str, datetime | None]
    ) -> list[tuple[Row[Any], datetime | None]]:
        """Take those of the cards picked that are still to be drawn.

        For one never posted it is noted that it is about to be (`card_sent_at`). Each row comes with the note
        of an earlier try: set, that try may have posted.
        """
        if not picked:
            return []
        # The condition stands here too: on PostgreSQL a rival may have taken a row that was picked.
        given = {"ids": list(picked), "now": lease.now, "until": lease.until, "token": lease.token}
        return [(row, picked[row.id]) for row in connection.execute(_taking(self), given)]

    def drawn(self, token: str, id_: str, *, version: int, place: tuple[str, str], **more: Any) -> Update:
        """The statement that notes that the card shows `version` and is at `place` (channel, ts)."""
        channel, ts = place
        values = {"rendered_version": version, "channel": channel, "card_ts": ts, "card_sent_at": None}
        return self.leases.releasing(token, id_, **values, **more)

    def not_drawn(
        self, connection: Connection, id_: str, *, token: str, due_at: datetime, certainly_not_posted: bool
    ) -> bool:
        """Let the card be tried again at `due_at`. False: the lease was lost."""
        forget = {"card_sent_at": None} if certainly_not_posted else {}
        return self.leases.release(connection, token, id_, card_due_at=due_at, **forget)


@cache
def _picking(cards: CardColumns, posted: bool) -> Select[Any]:
    own = cards.leases.table.c
    which = cards.has_one if posted else not_(cards.has_one)
    picked = select(own.id, own.card_sent_at).where(cards.free, which)
    return skip_locked(picked.order_by(*cards.order).limit(bindparam("most", type_=Integer)))


@cache
def _taking(cards: CardColumns) -> ReturningUpdate[Any]:
    own, leases = cards.leases.table.c, cards.leases
    sent_at = case((own.card_ts.is_(None), func.coalesce(own.card_sent_at, NOW)))
    taken = {leases.token: bindparam("token"), leases.expires_at: bindparam("until", type_=UtcDateTime)}
    which = own.id.in_(bindparam("ids", expanding=True))
    changed = update(leases.table).where(which, cards.free).values(taken | {"card_sent_at": sent_at})
    return changed.returning(leases.table)


# Not IS NULL: SQLite would look in the index of card_ts, where every proposal without a card stands, and not
# in the short index of those that are behind.
NO_CARD = func.coalesce(proposals.c.card_ts, "") == ""
# Part of a bundle, and still shown by its card alone: what fails or asks something new gets its own.
IN_BUNDLE_ONLY = (
    proposals.c.bundle_id.is_not(None)
    & NO_CARD
    & proposals.c.state.not_in([ProposalState.FAILED, ProposalState.UNKNOWN])
    & (proposals.c.revision == 1)
)
# A card of something just decided goes before one that is merely changed: somebody is looking at it.
_DECIDED_FIRST = case((proposals.c.decided_at.is_not(None), 0), else_=1)
OF_PROPOSAL = CardColumns(
    CARDS,
    (proposals.c.has_card == 1) & ~IN_BUNDLE_ONLY,
    ~NO_CARD,
    (_DECIDED_FIRST, proposals.c.card_due_at),
)
OF_BUNDLE = CardColumns(BUNDLE_CARDS, true(), bundles.c.card_ts.is_not(None), (bundles.c.card_due_at,))


def claim_cards(
    connection: Connection, *, token: str, now: datetime, until: datetime, redraws: int, posts: int
) -> list[Proposal]:
    """Take up to `redraws` cards that are behind, and up to `posts` yet to post: see `CardColumns.take`."""
    picked = OF_PROPOSAL.pick(connection, now, posted=True, limit=redraws)
    picked |= OF_PROPOSAL.pick(connection, now, posted=False, limit=posts)
    return _take_cards(connection, Lease(token, now, until), picked)


def _take_cards(
    connection: Connection, lease: Lease, picked: Mapping[str, datetime | None]
) -> list[Proposal]:
    taken = OF_PROPOSAL.take(connection, lease, picked)
    found = [value_of(Proposal, row, calls=(), card_sent_at=earlier) for row, earlier in taken]
    return with_calls(connection, sorted(found, key=lambda p: (p.decided_at is None, p.created_at, p.id)))


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


def redraw_bundles(connection: Connection, bundle_ids: Sequence[str], **values: Any) -> None:
    """Have the cards of these bundles drawn again, no sooner than was planned."""
    if bundle_ids:
        changed = {"row_version": bundles.c.row_version + 1} | values
        connection.execute(update(bundles).where(bundles.c.id.in_(bundle_ids)).values(changed))


_BEHIND = OF_PROPOSAL.behind
OPEN = bundles.c.closed_at.is_(None)
_NEW_CARD = select(proposals.c.id).where(OF_PROPOSAL.free, NO_CARD)
_NEW_BUNDLE = select(bundles.c.id).where(OF_BUNDLE.free, bundles.c.card_ts.is_(None))
_WAITS = select(or_(exists(_NEW_CARD), exists(_NEW_BUNDLE)))
# One query for everything that might be to do: mostly there is nothing, or one thing.
_TO_DO = {
    "unseen": select(proposals.c.id).where(_BEHIND, proposals.c.has_card == 0),
    "changed": select(proposals.c.id).where(_BEHIND, IN_BUNDLE_ONLY),
    "redraw": select(proposals.c.id).where(OF_PROPOSAL.free, OF_PROPOSAL.has_one),
    "card": _NEW_CARD,
    "bundle": select(bundles.c.id).where(OF_BUNDLE.free),
    "open": select(bundles.c.id).where(
        OPEN, bundles.c.created_at > bindparam("joinable_since", type_=UtcDateTime)
    ),
}
_WHAT_IS_BEHIND = select(*(exists(each).label(name) for name, each in _TO_DO.items()))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The messages to render now, under one lease. `waiting`: some proposals still have no card. `joinable`:
    some may join an open bundle; none of these was taken.
    """

    bundles: list[Bundle]
    cards: list[Proposal]
    waiting: bool = False
    joinable: bool = False


@without_turn
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
    lease = Lease(token, now, until)
    behind = connection.execute(_WHAT_IS_BEHIND, {"now": now, "joinable_since": now - JOINABLE_FOR}).one()
    if behind.unseen or behind.changed:
        _follow_members(connection, now)
    joinable = bool(behind.card and behind.open and not joined)
    room = 0 if joinable else posts
    picked = OF_PROPOSAL.pick(connection, now, posted=True, limit=redraws) if behind.redraw else {}
    found: list[Bundle] = []
    if behind.bundle or behind.changed:
        found = _claim_bundles(connection, lease, redraws=redraws - len(picked), posts=room)
    room -= sum(bundle.card_ts is None for bundle in found)
    if behind.card:
        picked |= OF_PROPOSAL.pick(connection, now, posted=False, limit=room)
    cards = _take_cards(connection, lease, picked)
    room -= sum(card.card_ts is None for card in cards)
    # What is not taken although there is room waits for something else.
    waiting = room <= 0 and (behind.card or behind.bundle) and anything_waits(connection, now)
    return Outgoing(found, cards, bool(waiting), joinable)


@without_turn
def anything_waits(connection: Connection, now: datetime) -> bool:
    """Tell if a proposal or a bundle waits for its first card."""
    return bool(connection.execute(_WAITS, {"now": now}).scalar())


def _follow_members(connection: Connection, now: datetime) -> None:
    """Count as drawn what has no card of its own: its bundle shows the change, or nothing does. A bundle of
    which something has changed is closed: nothing joins it any more.
    """
    # Rows are locked before any is written, so that nobody is waited for.
    unseen = select(proposals.c.id, proposals.c.bundle_id).where(_BEHIND, proposals.c.has_card == 0)
    changed = select(proposals.c.id, proposals.c.bundle_id).where(_BEHIND, IN_BUNDLE_ONLY)
    members = connection.execute(skip_locked(changed.limit(_FOLLOWED))).all()
    theirs = select(bundles.c.id).where(bundles.c.id.in_({row.bundle_id for row in members}))
    closing = set(connection.execute(skip_locked(theirs)).scalars()) if members else set[str]()
    free = [row for row in members if row.bundle_id in closing]
    free += connection.execute(skip_locked(unseen.limit(_FOLLOWED))).all()
    drawn = {"rendered_version": proposals.c.row_version}
    connection.execute(update(proposals).where(proposals.c.id.in_([row.id for row in free])).values(drawn))
    closed_at = func.coalesce(bundles.c.closed_at, literal(now, UtcDateTime))
    redraw_bundles(connection, sorted(closing), closed_at=closed_at)


def _claim_bundles(connection: Connection, lease: Lease, *, redraws: int, posts: int) -> list[Bundle]:
    picked = OF_BUNDLE.pick(connection, lease.now, posted=True, limit=redraws)
    picked |= OF_BUNDLE.pick(connection, lease.now, posted=False, limit=posts)
    taken = OF_BUNDLE.take(connection, lease, picked)
    found = [value_of(Bundle, row, members=(), card_sent_at=earlier) for row, earlier in taken]
    return _with_members(connection, sorted(found, key=lambda bundle: (bundle.created_at, bundle.id)))


def get_bundle(connection: Connection, bundle_id: str) -> Bundle | None:
    """One bundle with its proposals and their calls."""
    own = select(bundles).where(bundles.c.id == bundle_id)
    found = _with_members(connection, values_of(connection, own, Bundle, members=()))
    return found[0] if found else None


def open_bundles(connection: Connection) -> list[Bundle]:
    """The bundles that a proposal may still join, with their proposals but without calls."""
    found = values_of(connection, select(bundles).where(OPEN), Bundle, members=())
    return _with_members(connection, found, calls=False)


def _with_members(connection: Connection, found: list[Bundle], *, calls: bool = True) -> list[Bundle]:
    if not found:
        return []
    members: defaultdict[str | None, list[Proposal]] = defaultdict(list)
    plain = read_proposals(connection, [proposals.c.bundle_id.in_([bundle.id for bundle in found])])
    for proposal in with_calls(connection, plain) if calls else plain:
        members[proposal.bundle_id].append(proposal)
    return [replace(bundle, members=tuple(members[bundle.id])) for bundle in found]
