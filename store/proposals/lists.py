"""Lists of proposals: the queue, one person's, the history, one by its id, a page at a time.

Each is answered from an index, so that a hundred thousand proposals cost no more than a hundred.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, not_, or_, select, tuple_

from store.models import Proposal, ProposalState, Transition, Verdict
from store.proposals.proposals import get_proposal, read_proposals, trail
from store.schema import bundles, decisions, proposals

PAGE = 8  # proposals on one page
_P = proposals.c
_PENDING = _P.state == ProposalState.PENDING
# Down to the id: the pages of one list must not overlap, and PostgreSQL promises no order among equals.
_NEWEST = (_P.created_at.desc(), _P.id)
_BY_WORTH = (_P.worth.desc(), _P.created_at, _P.id)
_UNFINISHED = (ProposalState.APPROVED, ProposalState.EXECUTING, ProposalState.UNKNOWN)
_MOST_SAME = 6  # ids that begin alike: enough to say that there are several
_LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Page:
    """A page of proposals, without their calls. `number` counts from 1; `total` is None where not counted."""

    found: tuple[Proposal, ...]
    number: int = 1
    more: bool = False
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Mine:
    """Everything unfinished of one person: pages with the same number."""

    assigned: Page
    proposed: Page
    approved: Page


def queue(
    connection: Connection, *, which: str, person: str, now: datetime, soon: datetime, page: int = 1
) -> Page:
    """Pending proposals: due before `soon` first, then the most money, then the oldest.

    `which`: "" all but the snoozed, "urgent" due before `soon`, "mine" assigned to `person`, "snoozed"; or
    the states "unknown" and "failed", newest first.
    """
    if which in (ProposalState.UNKNOWN, ProposalState.FAILED):
        # Through the state's index alone: a row is as wide as its card.
        where: ColumnElement[bool] = _P.state == ProposalState(which)
        total = _count(connection, where)
        return _page(connection, select(_P.id).where(where).order_by(*_NEWEST), _within(page, total), total)
    snoozed = and_(_P.snoozed_until.is_not(None), _P.snoozed_until > now)
    kinds: dict[str, ColumnElement[bool]] = {
        "urgent": and_(not_(snoozed), _P.ends_at <= soon),
        "mine": _P.assignee == person,
        "snoozed": snoozed,
    }
    where = and_(_PENDING, kinds.get(which, or_(_P.snoozed_until.is_(None), _P.snoozed_until <= now)))
    total = _count(connection, where)
    if which == "urgent":
        hurried = select(_P.id).where(where).order_by(_P.ends_at, *_BY_WORTH)
        return _page(connection, hurried, _within(page, total), total)
    return _by_urgency(connection, where, soon, _within(page, total), total)


def _count(connection: Connection, where: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(proposals).where(where)).scalar_one()


def _within(page: int, total: int) -> int:
    """The page, or the last one there is."""
    return min(page, max(-(-total // PAGE), 1))


def _by_urgency(
    connection: Connection, where: ColumnElement[bool], soon: datetime, page: int, total: int | None = None
) -> Page:
    """A page of pending proposals: due before `soon` first, then the most money, then the oldest. Each of the
    two parts stands in an index in its order, so that what is on other pages is not sorted.
    """
    first, skip = and_(where, _P.ends_at <= soon), (max(page, 1) - 1) * PAGE
    hurried, ids = _count(connection, first), list[str]()
    if skip < hurried:
        ids += _ids(connection, select(_P.id).where(first).order_by(_P.ends_at, *_BY_WORTH), skip)
    if len(ids) <= PAGE:
        others = select(_P.id).where(where, or_(_P.ends_at.is_(None), _P.ends_at > soon))
        ids += _ids(connection, others.order_by(*_BY_WORTH), max(skip - hurried, 0))
    return _page_of(connection, ids, page, total)


def mine(connection: Connection, *, person: str, soon: datetime, page: int = 1) -> Mine:
    """Proposals assigned to, proposed by and approved by somebody, as far as they are not finished."""
    ids = select(_P.id)
    open_ = _P.state.in_([ProposalState.PENDING, *_UNFINISHED])
    # By what waits, not by the decisions of a person nor by the index of who decided, which hold years.
    first_yes = select(decisions.c.id).where(
        decisions.c.proposal_id == _P.id,
        func.coalesce(decisions.c.actor, "") == person,
        decisions.c.verdict == Verdict.APPROVE,
        decisions.c.revision == _P.revision,
    )
    said_yes = and_(_P.state.in_(_UNFINISHED), func.coalesce(_P.decided_by, "") == person)
    approved = ids.where(or_(said_yes, and_(_PENDING, first_yes.exists())))
    return Mine(
        assigned=_by_urgency(connection, and_(_PENDING, _P.assignee == person), soon, page),
        proposed=_page(connection, ids.where(_P.proposer == person, open_).order_by(*_NEWEST), page),
        approved=_page(connection, approved.order_by(*_NEWEST), page),
    )


def history(connection: Connection, *, by: str, value: str, page: int = 1) -> Page:
    """The last decided proposals, newest first; or all of a customer or rule, decided or not.

    `by`: "" everything, "customer" (an e-mail address in lower case), "customer_id", "rule", "person".
    """
    if by == "person":
        later = decisions.alias()
        repeated = select(later.c.id).where(
            later.c.proposal_id == decisions.c.proposal_id,
            func.coalesce(later.c.actor, "") == value,  # by the proposal, not by all that they decided
            tuple_(later.c.at, later.c.id) > tuple_(decisions.c.at, decisions.c.id),
        )
        acts = (
            select(decisions.c.proposal_id)
            .where(decisions.c.actor == value, ~repeated.exists())
            .order_by(decisions.c.at.desc(), decisions.c.proposal_id)
        )
        return _page(connection, acts, page)
    column = {"customer": _P.customer, "customer_id": _P.customer_id, "rule": _P.rule}.get(by)
    if column is None:
        found = select(_P.id).where(_P.decided_at.is_not(None)).order_by(_P.decided_at.desc(), _P.id)
    else:
        found = select(_P.id).where(column == value).order_by(*_NEWEST)
    return _page(connection, found, page)


def _page(connection: Connection, ids: Select[Any], number: int, total: int | None = None) -> Page:
    """One page of a query of ids."""
    return _page_of(connection, _ids(connection, ids, (max(number, 1) - 1) * PAGE), number, total)


def _ids(connection: Connection, ids: Select[Any], skip: int) -> Sequence[str]:
    """The ids on the page that begins so many on; one more to know whether there is another page."""
    return connection.execute(ids.limit(PAGE + 1).offset(skip)).scalars().all()


def _page_of(connection: Connection, ids: Sequence[str], number: int, total: int | None) -> Page:
    return Page(tuple(_read(connection, ids[:PAGE])), max(number, 1), len(ids) > PAGE, total)


def _read(connection: Connection, ids: Sequence[str]) -> list[Proposal]:
    """The proposals with these ids in this order, without their calls."""
    found = {each.id: each for each in read_proposals(connection, [_P.id.in_(ids)])}
    return [found[id_] for id_ in ids if id_ in found]


def whole(connection: Connection, proposal_id: str) -> tuple[Proposal, list[Transition]] | None:
    """One proposal with its calls, and every change of it, oldest first."""
    found = get_proposal(connection, proposal_id)
    return None if found is None else (found, trail(connection, proposal_id))


def beginning(connection: Connection, start: str) -> list[str]:
    """The ids that are `start`, or else begin with it; a few at most."""
    exact = connection.execute(select(_P.id).where(_P.id == start)).scalars().all()
    if exact:
        return list(exact)
    # Ids are of digits and small letters: all that begin so stand between these two, in any order of letters.
    near = _P.id.between(start, start + "z" * _LONGEST_ID)
    alike = select(_P.id).where(near, _P.id.startswith(start, autoescape=True))
    return list(connection.execute(alike.order_by(_P.id).limit(_MOST_SAME)).scalars())


def candidates(connection: Connection, now: datetime, limit: int = 40) -> list[Proposal]:
    """Those that could be the next to decide: due soonest, most money, oldest; up to `limit` of each."""
    free = (_PENDING, or_(_P.snoozed_until.is_(None), _P.snoozed_until <= now))
    some = select(_P.id).where(*free).limit(limit)
    ids: dict[str, None] = {}
    for one in (
        some.where(_P.ends_at.is_not(None)).order_by(_P.ends_at),
        some.order_by(_P.worth.desc(), _P.created_at),
        some.order_by(_P.created_at),
    ):
        ids |= dict.fromkeys(connection.execute(one).scalars())
    found = _read(connection, list(ids))
    return [each for each in found if each.held_by is None and each.approval_checking_by is None]


def card_places(connection: Connection, found: Sequence[Proposal]) -> dict[str, tuple[str, str]]:
    """(channel, ts) of the message that shows each: its own card, or the bundle's it is part of."""
    places = {each.id: (each.channel, each.card_ts) for each in found if each.channel and each.card_ts}
    bundled = {each.bundle_id for each in found if each.id not in places and each.bundle_id}
    known: dict[str, tuple[str, str]] = {}
    if bundled:
        posted = select(bundles).where(bundles.c.id.in_(bundled), bundles.c.card_ts.is_not(None))
        known = {row.id: (row.channel, row.card_ts) for row in connection.execute(posted)}
    return {each.id: known[each.bundle_id] for each in found if each.bundle_id in known} | places
