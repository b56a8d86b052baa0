"""Lists of proposals: the queue, one person's, the history, one by its id, a page at a time; and counts.

Each is answered from an index, so that a hundred thousand proposals cost no more than a hundred.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    Table,
    and_,
    case,
    cast,
    func,
    not_,
    or_,
    select,
)

from store.models import (
    CallState,
    EventState,
    Mode,
    Proposal,
    ProposalKind,
    ProposalState,
    Transition,
    Verdict,
)
from store.models.details import Arrival, Backlog, DailyStats, Today
from store.models.reasons import read_reason
from store.proposals.proposals import get_proposal, read_proposals, trail
from store.schema import bundles, calls, decisions, events, outbox, proposals

PAGE = 8  # proposals on one page
_P = proposals.c
_PENDING = _P.state == ProposalState.PENDING
# Down to the id: the pages of one list must not overlap, and PostgreSQL promises no order among equals.
_NEWEST = (_P.created_at.desc(), _P.id)
_UNFINISHED = (ProposalState.APPROVED, ProposalState.EXECUTING, ProposalState.UNKNOWN)
_MOST_SAME = 6  # ids that begin alike: enough to say that there are several


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


def due() -> ColumnElement[datetime | None]:
    """The end of a proposal: the business's deadline, else its own expiry."""
    return func.coalesce(_P.deadline, _P.expires_at)


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
        order: tuple[Any, ...] = _NEWEST
    else:
        snoozed = and_(_P.snoozed_until.is_not(None), _P.snoozed_until > now)
        kinds: dict[str, ColumnElement[bool]] = {
            "urgent": and_(not_(snoozed), due() <= soon),
            "mine": _P.assignee == person,
            "snoozed": snoozed,
        }
        where = and_(_PENDING, kinds.get(which, or_(_P.snoozed_until.is_(None), _P.snoozed_until <= now)))
        order = _by_urgency(soon)
    total = connection.execute(select(func.count()).select_from(proposals).where(where)).scalar_one()
    last = max(-(-total // PAGE), 1)
    return _page(connection, select(_P.id).where(where).order_by(*order), min(page, last), total)


def _by_urgency(soon: datetime) -> tuple[Any, ...]:
    hurry = due() <= soon
    return (case((hurry, 0), else_=1), case((hurry, due())), worth_in_sql().desc(), _P.created_at, _P.id)


def mine(connection: Connection, *, person: str, soon: datetime, page: int = 1) -> Mine:
    """Proposals assigned to, proposed by and approved by somebody, as far as they are not finished."""
    ids = select(_P.id)
    open_ = _P.state.in_([ProposalState.PENDING, *_UNFINISHED])
    first_yes = (
        select(decisions.c.proposal_id)
        .join(proposals, _P.id == decisions.c.proposal_id)
        .where(decisions.c.actor == person, decisions.c.verdict == Verdict.APPROVE, _PENDING)
        .where(decisions.c.revision == _P.revision)
    )
    # Not by the index of who decided, which holds years; what is not finished is little.
    said_yes = and_(_P.state.in_(_UNFINISHED), func.coalesce(_P.decided_by, "") == person)
    approved = ids.where(or_(said_yes, and_(_PENDING, _P.id.in_(first_yes))))
    return Mine(
        assigned=_page(
            connection, ids.where(_PENDING, _P.assignee == person).order_by(*_by_urgency(soon)), page
        ),
        proposed=_page(connection, ids.where(_P.proposer == person, open_).order_by(*_NEWEST), page),
        approved=_page(connection, approved.order_by(*_NEWEST), page),
    )


def history(connection: Connection, *, by: str, value: str, page: int = 1) -> Page:
    """The last decided proposals, newest first; or all of a customer or rule, decided or not.

    `by`: "" everything, "customer" (an e-mail address in lower case), "customer_id", "rule", "person".
    """
    if by == "person":
        acts = (
            select(decisions.c.proposal_id)
            .where(decisions.c.actor == value)
            .group_by(decisions.c.proposal_id)
            .order_by(func.max(decisions.c.at).desc(), decisions.c.proposal_id)
        )
        return _page(connection, acts, page)
    column = {"customer": _P.customer, "customer_id": _P.customer_id, "rule": _P.rule}.get(by)
    if column is None:
        found = select(_P.id).where(_P.decided_at.is_not(None)).order_by(_P.decided_at.desc(), _P.id)
    else:
        found = select(_P.id).where(column == value).order_by(*_NEWEST)
    return _page(connection, found, page)


def _page(connection: Connection, ids: Select[Any], number: int, total: int | None = None) -> Page:
    """One page of a query of ids, one row more to know whether there is another."""
    number = max(number, 1)
    rows = connection.execute(ids.limit(PAGE + 1).offset((number - 1) * PAGE)).scalars().all()
    return Page(tuple(_read(connection, rows[:PAGE])), number, len(rows) > PAGE, total)


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
    alike = select(_P.id).where(_P.id.startswith(start, autoescape=True)).order_by(_P.id).limit(_MOST_SAME)
    return list(connection.execute(alike).scalars())


def candidates(connection: Connection, now: datetime, limit: int = 40) -> list[Proposal]:
    """Those that could be the next to decide: due soonest, most money, oldest; up to `limit` of each."""
    free = (_PENDING, or_(_P.snoozed_until.is_(None), _P.snoozed_until <= now))
    orders: tuple[tuple[Any, ...], ...] = (
        (case((due().is_(None), 1), else_=0), due()),
        (worth_in_sql().desc(), _P.created_at),
        (_P.created_at,),
    )
    ids: dict[str, None] = {}
    for order in orders:
        some = select(_P.id).where(*free).order_by(*order).limit(limit)
        ids |= dict.fromkeys(connection.execute(some).scalars())
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


# Minor units, as Polar counts them, that make about one US dollar: one digit of the rates of autumn 2026 is
# enough to tell ¥5,000 from $5,000. What is not listed counts like hundredths of a dollar.
PER_DOLLAR = {
    "aud": 150.0, "brl": 550.0, "cad": 140.0, "chf": 80.0, "clp": 950.0, "cny": 710.0,
    "cop": 400_000.0, "czk": 2_100.0, "dkk": 640.0, "eur": 86.0, "gbp": 75.0, "hkd": 780.0,
    "huf": 34_000.0, "idr": 1_650_000.0, "ils": 330.0, "inr": 8_800.0, "jpy": 150.0, "krw": 1_400.0,
    "mxn": 1_850.0, "myr": 420.0, "ngn": 145_000.0, "nok": 1_000.0, "nzd": 175.0, "php": 5_800.0,
    "pln": 365.0, "sek": 940.0, "sgd": 130.0, "thb": 3_250.0, "try": 4_200.0, "twd": 3_050.0,
    "usd": 100.0, "vnd": 26_000.0, "zar": 1_750.0,
}  # fmt: skip
OTHERWISE = 100.0


def worth(amount: int | None, currency: str | None) -> float:
    """About how many US dollars: 0 for nothing, never negative. `amount` in minor units of `currency`."""
    return abs(amount or 0) / PER_DOLLAR.get((currency or "").lower(), OTHERWISE)


def worth_in_sql() -> ColumnElement[Any]:
    """The same of a row of `proposals`."""
    currency, amount = func.lower(proposals.c.currency), func.abs(func.coalesce(proposals.c.amount, 0))
    rate = case(PER_DOLLAR, value=currency, else_=OTHERWISE)
    return cast(amount, Float) / rate


def daily_stats(connection: Connection, since: datetime, until: datetime) -> DailyStats:
    """The proposals and decisions from `since` until `until`."""
    asked = _count(connection, proposals, _P.created_at >= since, _P.created_at < until)
    decided = [_P.decided_at >= since, _P.decided_at < until, _P.kind == ProposalKind.CALLS]
    columns = select(_P.state, _P.decided_by, _P.created_at, _P.decided_at)
    rows = connection.execute(columns.where(*decided)).all()
    seconds = sorted((row.decided_at - row.created_at).total_seconds() for row in rows)
    states = Counter(ProposalState(row.state) for row in rows)
    ended = (_P.state == ProposalState.EXPIRED, _P.expires_at >= since, _P.expires_at < until)
    expired = _count(connection, proposals, *ended)
    if expired:
        states[ProposalState.EXPIRED] = expired
    return DailyStats(asked, states, Counter(row.decided_by for row in rows), tuple(seconds))


def decided_between(connection: Connection, since: datetime, until: datetime) -> int:
    """The number of proposals decided in a span of time."""
    return _count(connection, proposals, _P.decided_at >= since, _P.decided_at < until)


def waiting_since(connection: Connection, moment: datetime) -> int:
    """The number of pending proposals that were there at `moment`."""
    return _count(connection, proposals, _P.state == ProposalState.PENDING, _P.created_at < moment)


def count_proposals(connection: Connection) -> dict[str, int]:
    """The number of proposals in each state."""
    rows = connection.execute(select(_P.state, func.count()).group_by(_P.state))
    return dict(tuple(row) for row in rows)


def today(connection: Connection, since: datetime) -> Today:
    """The decisions since `since`."""
    rows = connection.execute(
        select(_P.mode, _P.state, _P.currency, func.count(), func.coalesce(func.sum(_P.amount), 0))
        .where(_P.decided_at >= since)
        .group_by(_P.mode, _P.state, _P.currency)
    ).all()
    ran = [row for row in rows if row[0] == Mode.AUTO]
    asked = [row for row in rows if row[0] != Mode.AUTO]
    money: dict[str, int] = {}
    for _, _, currency, _, amount in ran:
        if currency:
            money[currency] = money.get(currency, 0) + int(amount)
    declined = sum(count for _, state, _, count, _ in asked if state == ProposalState.DECLINED)
    return Today(
        approved=sum(count for _, _, _, count, _ in asked) - declined,
        declined=declined,
        ran=sum(count for _, _, _, count, _ in ran),
        money=tuple(sorted(money.items())),
    )


def refunds_since(connection: Connection, since: datetime) -> dict[str, int]:
    """Our refunds since then before tax, in minor units by currency; unanswered ones too, none refused."""
    sent = (CallState.DONE, CallState.UNKNOWN, CallState.SENDING)
    rows = connection.execute(
        select(calls.c.body, calls.c.status, calls.c.answer, _P.currency)
        .join(proposals, _P.id == calls.c.proposal_id)
        .where(calls.c.started_at >= since, calls.c.operation == "refunds:create", calls.c.state.in_(sent))
    )
    totals: dict[str, int] = {}
    for row in rows:
        currency = (row.answer or {}).get("currency") or row.currency
        amount = (row.body or {}).get("amount")
        was_so = row.status is not None and row.status >= 400
        if isinstance(amount, int) and isinstance(currency, str) and not was_so:
            totals[currency.lower()] = totals.get(currency.lower(), 0) + amount
    return totals


def backlog(connection: Connection) -> Backlog:
    """The last webhook, the newest failure and the backlog; each number from an index of its own."""
    failed = events.c.state == EventState.FAILED
    names = (events.c.id, events.c.type, events.c.received_at, events.c.reason_code, events.c.reason_args)
    newest = select(*names).order_by(events.c.received_at.desc())
    return Backlog(
        last=_arrival(connection.execute(newest.limit(1)).first()),
        failed=_count(connection, events, failed),
        newest_failure=_arrival(connection.execute(newest.where(failed).limit(1)).first()),
        unread=_count(connection, events, events.c.state == EventState.NEW),
        cards=_count(connection, proposals, _P.rendered_version < _P.row_version),
        outbox=_count(connection, outbox, outbox.c.sent_at.is_(None)),
        runs=_count(connection, proposals, _P.state.in_([ProposalState.APPROVED, ProposalState.EXECUTING])),
    )


def _arrival(row: Any) -> Arrival | None:
    if row is None:
        return None
    return Arrival(row.id, row.type, row.received_at, read_reason(row.reason_code, row.reason_args))


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
