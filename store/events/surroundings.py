"""The facts around events before the rules are asked: our own calls, and the event before each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, union

from store.engine.dialects import SafeText, UtcDateTime, ask, given, readable, value_of
from store.engine.writer import without_turn
from store.models import CallState, Mode, ProposalCall, StoredEvent
from store.schema import calls, events, proposals

# Between a proposal and its calls lies a decision, which is seldom later than this.
_LONGEST = timedelta(days=30)
# So many of a customer's newest proposals are looked at, however many there are.
_NEWEST = 200
# Built once: every event needs them.
_SENT = (
    select(calls)
    .where(
        calls.c.started_at >= bindparam("since", type_=UtcDateTime),
        calls.c.state.in_([CallState.SENDING, CallState.DONE, CallState.UNKNOWN]),
    )
    .order_by(calls.c.started_at)
)
_THOSE = select(events).where(events.c.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class SentCall:
    """A call that reached or may have reached Polar, with its proposal."""

    proposal_id: str
    call: ProposalCall


@dataclass(frozen=True, slots=True)
class Done:
    """A proposal of which something was done, with the calls that were."""

    proposal_id: str
    subject: str | None
    calls: tuple[ProposalCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A question about one event: the calls sent since `sent_since`; what was done for a customer since
    `done_since`, automatically since `alone_since`; the event about `subject` before `before`.
    """

    sent_since: datetime
    customer_id: str | None
    done_since: datetime
    alone_since: datetime
    subject: str | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The facts around one event."""

    sent: Sequence[SentCall]
    done: Sequence[Done]
    before: StoredEvent | None


@without_turn
def surroundings(connection: Connection, sought: Sequence[Sought]) -> list[Surroundings]:
    """The facts around each of these events."""
    sent = calls_sent_since(connection, min(one.sent_since for one in sought))
    done = _done_for(connection, sought)
    before = _events_before(connection, sought)
    return [
        Surroundings(
            [each for each in sent if _begun_since(each.call, one.sent_since)],
            _in_time(done[readable(one.customer_id)], one),
            before.get((readable(one.subject), one.before)),
        )
        for one in sought
    ]


def _begun_since(call: ProposalCall, since: datetime) -> bool:
    return call.started_at is not None and call.started_at >= since


def calls_sent_since(connection: Connection, since: datetime) -> Sequence[SentCall]:
    """The calls begun since `since` that were, or may have been, carried out: their echoes are ours."""
    rows = connection.execute(_SENT, {"since": since})
    return [SentCall(row.proposal_id, value_of(ProposalCall, row)) for row in rows]


# --- What was done for a customer -------------------------------------------------------------------------


def _done_for(connection: Connection, sought: Sequence[Sought]) -> Mapping[Any, Sequence[Row[Any]]]:
    """The done calls of rules' proposals for each customer, as far back as any of the events asks."""
    found: defaultdict[Any, list[Row[Any]]] = defaultdict(list)
    customers = sorted({one.customer_id for one in sought if one.customer_id is not None})
    since = min(min(one.done_since, one.alone_since) for one in sought) - _LONGEST
    for row in ask(connection, _done, [{"customer": one, "since": since} for one in customers]):
        found[row.customer_id].append(row)
    return found


def _in_time(rows: Sequence[Row[Any]], sought: Sought) -> list[Done]:
    """Of the done calls for a customer those that one event asks for, by proposal."""
    made: dict[tuple[str, str | None], list[ProposalCall]] = {}
    for row in rows:
        since = sought.done_since if row.mode != Mode.AUTO else min(sought.done_since, sought.alone_since)
        call = value_of(ProposalCall, row)
        if _begun_since(call, since):
            made.setdefault((row.proposal_id, row.subject), []).append(call)
    return [Done(*one, tuple(done)) for one, done in made.items()]


@cache
def _done(size: int) -> Select[Any]:
    newest = [_newest(number) for number in range(size)]
    own = (union(*newest) if size > 1 else newest[0]).subquery()
    found = select(own.c.customer_id, own.c.subject, own.c.mode, calls)
    found = found.join_from(own, calls, calls.c.proposal_id == own.c.id)
    return found.where(calls.c.state == CallState.DONE).order_by(calls.c.proposal_id, calls.c.number)


def _newest(number: int) -> Select[Any]:
    c = proposals.c
    own = (
        c.customer_id == bindparam(f"customer_{number}"),
        c.created_at >= bindparam(f"since_{number}", type_=UtcDateTime),
        c.case_kind.is_not(None),
    )
    newest = select(c.id, c.customer_id, c.subject, c.mode).where(*own)
    # A part of a UNION has no order of its own on SQLite, but the table in it has.
    return select(newest.order_by(c.created_at.desc()).limit(_NEWEST).subquery())


# --- The event before -------------------------------------------------------------------------------------


@without_turn
def event_before(connection: Connection, subject: str, at: datetime) -> StoredEvent | None:
    """The newest event about a subject that happened before `at`."""
    return _before(connection, [(subject, at)]).get((readable(subject), at))


def _events_before(
    connection: Connection, sought: Sequence[Sought]
) -> Mapping[tuple[Any, datetime | None], StoredEvent]:
    asked = {(one.subject, one.before) for one in sought if one.subject and one.before is not None}
    return _before(connection, sorted(asked))


def _before(
    connection: Connection, asked: Sequence[tuple[str, datetime]]
) -> Mapping[tuple[Any, datetime | None], StoredEvent]:
    """The newest event before each of these moments about its subject, where there is one."""
    rows = ask(connection, _ids_before, [{"subject": subject, "at": at} for subject, at in asked])
    ids = {row.id for row in rows} - {None}
    if not ids:
        return {}
    events_ = {row.id: value_of(StoredEvent, row) for row in connection.execute(_THOSE, {"ids": list(ids)})}
    return {(row.subject, row.at): events_[row.id] for row in rows if row.id is not None}


@cache
def _ids_before(size: int) -> Select[Any]:
    asked = given(size, subject=SafeText(), at=UtcDateTime())
    earlier = (
        select(events.c.id)
        .where(events.c.subject == asked.c.subject, events.c.occurred_at < asked.c.at)
        .order_by(events.c.occurred_at.desc())
        .limit(1)
    )
    return select(asked.c.subject, asked.c.at, earlier.scalar_subquery().label("id"))
