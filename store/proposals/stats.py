"""Counts and sums: of a day, of the backlog, of refunds."""

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, select

from store.engine.dialects import spelled
from store.events.events import count_events, newest_failures, rule_activity
from store.models import CallState, EventState, Mode, ProposalKind, ProposalState
from store.models.details import Arrival, Backlog, DailyStats, RuleActivity, Today
from store.models.reasons import read_reason
from store.schema import calls, events, outbox, proposals

_P = proposals.c
_SHOWN = 5  # failures


def daily_stats(connection: Connection, since: datetime, until: datetime) -> DailyStats:
    """The proposals and decisions from `since` until `until`."""
    # In every state: the index of creation begins with the state.
    made = (_P.state.in_(list(ProposalState)), _P.created_at >= since, _P.created_at < until)
    asked = _count(connection, proposals, *made)
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


def count_all(connection: Connection) -> tuple[dict[str, int], dict[str, int], dict[str, RuleActivity]]:
    """The number of webhooks and of proposals in each state, and what each rule has done. It reads indexes
    from end to end, so it takes longer with the years.
    """
    return count_events(connection), count_proposals(connection), rule_activity(connection)


def count_open(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
    """The number of webhooks and of proposals in each state that somebody or something still has to see to,
    0 included; from the part of an index that holds no others.
    """
    waiting: dict[str, int] = {
        state: _count(connection, events, spelled(events.c.state, state)) for state in _OPEN_EVENTS
    }
    open_: dict[str, int] = {
        state: _count(connection, proposals, spelled(_P.state, state)) for state in _OPEN_PROPOSALS
    }
    return waiting, open_


_OPEN_EVENTS = (EventState.NEW, EventState.FAILED)
_OPEN_PROPOSALS = (
    ProposalState.PENDING,
    ProposalState.APPROVED,
    ProposalState.EXECUTING,
    ProposalState.UNKNOWN,
    ProposalState.FAILED,
)


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
    failed = spelled(events.c.state, EventState.FAILED)
    names = (events.c.id, events.c.type, events.c.received_at, events.c.reason_code, events.c.reason_args)
    newest = select(*names).order_by(events.c.received_at.desc())
    return Backlog(
        last=_arrival(connection.execute(newest.limit(1)).first()),
        failed=_count(connection, events, failed),
        newest_failure=_arrival(connection.execute(newest.where(failed).limit(1)).first()),
        unread=_count(connection, events, spelled(events.c.state, EventState.NEW)),
        cards=_count(connection, proposals, _P.rendered_version < _P.row_version),
        outbox=_count(connection, outbox, outbox.c.sent_at.is_(None)),
        runs=_count(connection, proposals, _P.state.in_([ProposalState.APPROVED, ProposalState.EXECUTING])),
        failures=tuple(newest_failures(connection, _SHOWN)),
    )


def _arrival(row: Any) -> Arrival | None:
    if row is None:
        return None
    return Arrival(row.id, row.type, row.received_at, read_reason(row.reason_code, row.reason_args))


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()
