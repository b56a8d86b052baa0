"""Cards: the Slack message of a proposal or a bundle: which are behind, what each shows, what was drawn."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    update,
)

from store.engine.dialects import UtcDateTime, insert_new, skip_locked, value_of, values_of
from store.engine.leases import BUNDLE_CARDS, CARDS, CardColumns, Lease
from store.engine.writer import without_turn
from store.events.events import received_at
from store.graduation.case_kinds import get_case_kinds
from store.messages.outbox import LINE, outbox_row
from store.models import Proposal, ProposalState, Transition
from store.models.details import Bundle
from store.models.graduation import CaseKind
from store.proposals.details import approvals_among, reasons_by_proposal
from store.proposals.proposals import read_proposals, transition_of, with_calls
from store.schema import bundles, outbox, proposals, transitions

JOINABLE_FOR = timedelta(hours=1)  # nothing joins a bundle that is older
_FOLLOWED = 1_000  # changes of a bundle's members at a time; the next claim goes on

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


def _take_cards(
    connection: Connection, lease: Lease, picked: Mapping[str, datetime | None]
) -> list[Proposal]:
    taken = OF_PROPOSAL.take(connection, lease, picked)
    found = [value_of(Proposal, row, calls=(), card_sent_at=earlier) for row, earlier in taken]
    return with_calls(connection, sorted(found, key=lambda p: (p.decided_at is None, p.created_at, p.id)))


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


# --- What each shows beside its proposal --------------------------------------------------------------------

# Built once: every card needs them.
_UNANNOUNCED = (
    select(transitions)
    .where(transitions.c.proposal_id.in_(bindparam("ids", expanding=True)), transitions.c.announced == 0)
    .order_by(transitions.c.proposal_id, transitions.c.row_version)
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A card to be drawn. `needs_two`: it shows who has approved so far."""

    proposal: Proposal
    needs_two: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """The rows that a card shows beside its proposal, and the `news`: changes that its thread does not know
    of, oldest first.
    """

    case_kind: CaseKind | None = None
    approvals: tuple[str, ...] = ()
    decline_reasons: tuple[str, ...] = ()
    undo: Proposal | None = None
    news: tuple[Transition, ...] = ()


@without_turn
def read_beside(connection: Connection, drawings: Sequence[Drawing]) -> list[Beside]:
    """Read what each card shows beside its proposal; nothing is asked that no card shows."""
    shown = [one.proposal for one in drawings]
    kinds = get_case_kinds(connection, {one.case_kind for one in shown if one.case_kind})
    two = {one.proposal.id: one.proposal.revision for one in drawings if one.needs_two}
    said = approvals_among(connection, two) if two else {}
    declined = [one.id for one in shown if one.state == ProposalState.DECLINED]
    reasons = reasons_by_proposal(connection, declined) if declined else {}
    undos = _proposals(connection, {one.undo_id for one in shown if one.undo_id})
    news = _unannounced(connection, {one.id for one in shown if one.row_version > 1})
    return [
        Beside(
            kinds.get(one.case_kind or ""),
            tuple(said.get(one.id, ())),
            reasons.get(one.id, ()),
            undos.get(one.undo_id or ""),
            tuple(change for change in news.get(one.id, ()) if change.row_version <= one.row_version),
        )
        for one in shown
    ]


def _proposals(connection: Connection, ids: set[str]) -> dict[str, Proposal]:
    if not ids:
        return {}
    found = with_calls(connection, read_proposals(connection, [proposals.c.id.in_(sorted(ids))]))
    return {one.id: one for one in found}


def _unannounced(connection: Connection, ids: set[str]) -> Mapping[str, Sequence[Transition]]:
    found: defaultdict[str, list[Transition]] = defaultdict(list)
    if ids:
        for row in connection.execute(_UNANNOUNCED, {"ids": sorted(ids)}):
            found[row.proposal_id].append(transition_of(row))
    return found


# --- What was drawn -----------------------------------------------------------------------------------------

# In the order of the ids, so that no two transactions wait for each other's rows.
_LEASED = (
    select(
        proposals.c.id,
        proposals.c.card_lease_token,
        proposals.c.row_version,
        proposals.c.revision,
        proposals.c.first_shown_at,
        proposals.c.bundle_id,
    )
    .where(proposals.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(proposals.c.id)
    .with_for_update(key_share=True)
)
_DRAWN = (
    update(proposals)
    .where(proposals.c.id == bindparam("own"), proposals.c.card_lease_token == bindparam("held"))
    .values(card_lease_token=None, card_lease_expires_at=None, card_sent_at=None)
)
_ANNOUNCED = (
    update(transitions)
    .where(transitions.c.proposal_id == bindparam("own"), transitions.c.row_version == bindparam("version"))
    .values(announced=1)
)


@dataclass(frozen=True, slots=True)
class CardDrawn:
    """A card that was drawn under the lease `token`: it is at `ts` in `channel`, and shows `version`.

    `revision` is the one drawn. `announced` are the versions that need no more announcing; `lines` are the
    messages about some of them, for the card's thread. `arrival` is the event whose time of arrival is asked.
    """

    proposal_id: str
    token: str
    version: int
    revision: int
    channel: str
    ts: str
    at: datetime
    announced: Sequence[int] = ()
    lines: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    arrival: str | None = None


@dataclass(frozen=True, slots=True)
class NotedCard:
    """A card that is noted as drawn. `behind`: its proposal has changed meanwhile, or its bundle has to be
    drawn again.
    """

    behind: bool
    arrived_at: datetime | None = None


def cards_drawn(connection: Connection, drawn: Sequence[CardDrawn]) -> list[NotedCard | None]:
    """Note what each card shows, and put lines for their threads into the outbox. None: that lease was lost.

    `first_shown_at` is when the revision that is current was first shown. The bundle that a proposal belongs
    to is drawn again.
    """
    rows = {row.id: row for row in connection.execute(_LEASED, {"ids": [one.proposal_id for one in drawn]})}
    held = [one for one in drawn if one.proposal_id in rows and _holds(one, rows[one.proposal_id])]
    if held:
        connection.execute(_DRAWN, [_marks(one, rows[one.proposal_id]) for one in held])
    announced = [{"own": one.proposal_id, "version": number} for one in held for number in one.announced]
    if announced:
        connection.execute(_ANNOUNCED, announced)
    lines = [_line(one, number) for one in held for number in one.lines]
    if lines:
        insert_new(connection, outbox, lines)
    of_bundles = {one.proposal_id: rows[one.proposal_id].bundle_id for one in held}
    redraw_bundles(connection, sorted({bundle for bundle in of_bundles.values() if bundle is not None}))
    arrived = received_at(connection, sorted({one.arrival for one in held if one.arrival}))
    noted = {
        (one.proposal_id, one.token): NotedCard(
            rows[one.proposal_id].row_version > one.version or of_bundles[one.proposal_id] is not None,
            arrived.get(one.arrival or ""),
        )
        for one in held
    }
    return [noted.get((one.proposal_id, one.token)) for one in drawn]


def _holds(one: CardDrawn, row: Any) -> bool:
    return bool(row.card_lease_token == one.token)


def _marks(one: CardDrawn, row: Any) -> dict[str, Any]:
    first = one.at if row.revision == one.revision else None
    return {
        "own": one.proposal_id,
        "held": one.token,
        "rendered_version": one.version,
        "channel": one.channel,
        "card_ts": one.ts,
        "first_shown_at": row.first_shown_at or first,
    }


def _line(one: CardDrawn, number: int) -> dict[str, Any]:
    name = f"{LINE}:{one.proposal_id}:{number}"
    return outbox_row(name, kind=LINE, message=one.lines[number], at=one.at, proposal_id=one.proposal_id)


def card_not_drawn(
    connection: Connection, proposal_id: str, *, token: str, due_at: datetime, certainly_not_posted: bool
) -> bool:
    """Let the card be tried again at `due_at`. False: the lease was lost."""
    return OF_PROPOSAL.not_drawn(
        connection, proposal_id, token=token, due_at=due_at, certainly_not_posted=certainly_not_posted
    )
