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
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnCollection,
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
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

from store.engine.dialects import UtcDateTime, value_of, values_of
from store.engine.leases import BUNDLE_CARDS, CARDS, Lease, Leases
from store.engine.locks import skip_locked
from store.engine.writer import without_turn
from store.events.events import received_at
from store.messages.outbox import LINE, add_to_outbox
from store.models import Proposal, ProposalState, Transition
from store.models.details import Bundle
from store.proposals.proposals import read_proposals, trail, with_calls
from store.schema import bundles, proposals, transitions

# A bundle, while its proposals run: one card must not use up all redraws.
_REDRAWN_EVERY = timedelta(seconds=3)
JOINABLE_FOR = timedelta(hours=1)  # nothing joins a bundle that is older
_FOLLOWED = 1_000  # changes of a bundle's members at a time; the next claim goes on


@dataclass(frozen=True, eq=False, slots=True)
class CardColumns:
    """The card columns of `proposals` or of `bundles`. `drawable` are the rows that get a card at all."""

    leases: Leases
    drawable: ColumnElement[bool]
    has_one: ColumnElement[bool]

    @property
    def _c(self) -> ColumnCollection[str, Any]:
        return self.leases.table.c

    @property
    def behind(self) -> ColumnElement[bool]:
        """The row has changed since its card was drawn, or it has no card yet."""
        return self.leases.waits

    def due(self, now: datetime) -> ColumnElement[bool]:
        """The card is to be drawn now."""
        return and_(self.drawable, self._c.card_due_at <= now)

    def free(self, now: datetime) -> ColumnElement[bool]:
        """The card is behind, is to be drawn now, and nobody is drawing it."""
        return and_(self.behind, self.due(now), self.leases.free(now))

    def take(
        self, connection: Connection, lease: Lease, *, redraws: int, posts: int, order: Sequence[Any]
    ) -> list[tuple[Row[Any], datetime | None]]:
        """Take up to `redraws` cards that are there and `posts` that are not, in this order.

        For one never posted it is noted that it is about to be (`card_sent_at`). Each row comes with the note
        of an earlier try: set, that try may have posted.
        """
        key, earlier = self._c.id, dict[str, datetime | None]()
        for which, room in ((self.has_one, redraws), (not_(self.has_one), posts)):
            if room > 0:
                picked = select(key, self._c.card_sent_at).where(self.free(lease.now), which)
                found = connection.execute(skip_locked(picked.order_by(*order).limit(room)))
                earlier |= {row.id: row.card_sent_at for row in found}
        if not earlier:
            return []
        noted = func.coalesce(self._c.card_sent_at, literal(lease.now, UtcDateTime))
        sent_at = case((self._c.card_ts.is_(None), noted))
        taken = self.leases.take_those(
            connection, lease, key.in_(list(earlier)), self.due(lease.now), card_sent_at=sent_at
        )
        return [(row, earlier[row.id]) for row in taken]

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
OF_PROPOSAL = CardColumns(CARDS, (proposals.c.has_card == 1) & ~IN_BUNDLE_ONLY, ~NO_CARD)
OF_BUNDLE = CardColumns(BUNDLE_CARDS, true(), bundles.c.card_ts.is_not(None))
# A card of something just decided goes before one that is merely changed: somebody is looking at it.
_DECIDED_FIRST = case((proposals.c.decided_at.is_not(None), 0), else_=1)


def claim_cards(
    connection: Connection, *, token: str, now: datetime, until: datetime, redraws: int, posts: int
) -> list[Proposal]:
    """Take up to `redraws` cards that are behind, and up to `posts` yet to post: see `CardColumns.take`."""
    order = (_DECIDED_FIRST, proposals.c.card_due_at)
    lease = Lease(token, now, until)
    taken = OF_PROPOSAL.take(connection, lease, redraws=redraws, posts=posts, order=order)
    found = [value_of(Proposal, row, calls=(), card_sent_at=earlier) for row, earlier in taken]
    return with_calls(connection, sorted(found, key=lambda p: (p.decided_at is None, p.created_at, p.id)))


def card_drawn(
    connection: Connection,
    proposal_id: str,
    *,
    token: str,
    version: int,
    revision: int,
    channel: str,
    ts: str,
    at: datetime,
    announced: Sequence[int] = (),
    lines: Mapping[int, Mapping[str, Any]] | None = None,
    arrivals: Sequence[str] = (),
) -> dict[str, datetime] | None:
    """Note that the card shows `version`, and put lines for its thread into the outbox. None: lease lost.

    `revision` is the one drawn; `first_shown_at` is when the one that is current was first shown. `announced`
    are the versions that need no more announcing; `lines` are the messages about some of them. The bundle it
    belongs to is drawn again. Returns the times at which the events `arrivals` arrived, by their ids.
    """
    own = proposals.c
    first_shown = own.first_shown_at.is_(None) & (own.revision == revision)
    shown_at = case((first_shown, literal(at, UtcDateTime)), else_=own.first_shown_at)
    drawn = OF_PROPOSAL.drawn(
        token, proposal_id, version=version, place=(channel, ts), first_shown_at=shown_at
    )
    found = connection.execute(drawn.returning(own.bundle_id)).first()
    if found is None:
        return None
    if announced:
        connection.execute(
            update(transitions)
            .where(transitions.c.proposal_id == proposal_id, transitions.c.row_version.in_(announced))
            .values(announced=1)
        )
    for number, line in (lines or {}).items():
        name = f"{LINE}:{proposal_id}:{number}"
        add_to_outbox(connection, name, kind=LINE, message=line, at=at, proposal_id=proposal_id)
    if found.bundle_id is not None:
        redraw_bundles(connection, [found.bundle_id])
    return received_at(connection, arrivals)


def card_not_drawn(
    connection: Connection, proposal_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the card be tried again at `due_at`. False: the lease was lost."""
    return OF_PROPOSAL.not_drawn(
        connection, proposal_id, token=token, due_at=due_at, certainly_not_posted=certainly_not_posted
    )


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


def unannounced(connection: Connection, proposal_id: str, version: int) -> list[Transition]:
    """The changes of a proposal up to `version` that its card's thread does not know of, oldest first."""
    unknown = (transitions.c.announced == 0, transitions.c.row_version <= version)
    return trail(connection, proposal_id, unknown)


_BEHIND = OF_PROPOSAL.behind
OPEN = bundles.c.closed_at.is_(None)


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
    in_time = bundles.c.created_at > now - JOINABLE_FOR
    asked = {
        "unseen": select(proposals.c.id).where(_BEHIND, proposals.c.has_card == 0),
        "changed": select(proposals.c.id).where(_BEHIND, IN_BUNDLE_ONLY),
        "redraw": select(proposals.c.id).where(OF_PROPOSAL.free(now), OF_PROPOSAL.has_one),
        "card": select(proposals.c.id).where(OF_PROPOSAL.free(now), NO_CARD),
        "bundle": select(bundles.c.id).where(OF_BUNDLE.free(now)),
        "open": select(bundles.c.id).where(OPEN, in_time),
    }
    return connection.execute(select(*(exists(each).label(name) for name, each in asked.items()))).one()


def anything_waits(connection: Connection, now: datetime) -> bool:
    """Tell if a proposal or a bundle waits for its first card."""
    unposted = select(bundles.c.id).where(OF_BUNDLE.free(now), bundles.c.card_ts.is_(None))
    cards = select(proposals.c.id).where(OF_PROPOSAL.free(now), NO_CARD)
    return bool(connection.execute(select(or_(exists(cards), exists(unposted)))).scalar())


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
    order = (bundles.c.card_due_at,)
    taken = OF_BUNDLE.take(connection, lease, redraws=redraws, posts=posts, order=order)
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
