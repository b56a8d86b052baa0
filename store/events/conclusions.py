"""Events and their rules: the facts around events when they are asked, and the ends once they answered."""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    func,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from store.engine.dialects import (
    SafeJson,
    SafeText,
    UtcDateTime,
    ask,
    given,
    readable,
    value_of,
)
from store.engine.writer import without_turn
from store.events.events import keep_failures, keep_subject_states, note_rule_matches
from store.graduation.admission import Case, Pasts, insert_all_with_policy
from store.models import (
    CallState,
    EventState,
    Mode,
    ProposalCall,
    RuleResult,
    StoredEvent,
    SubjectState,
)
from store.models.details import FailedMatch
from store.models.graduation import Evaluator
from store.models.reasons import Reason, columns_of
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
    whole = {id_: one for id_, one in events_.items() if not one.is_erased}
    return {(row.subject, row.at): whole[row.id] for row in rows if row.id in whole}


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


# --- The ends of claimed events ---------------------------------------------------------------------------


# Built once: every event needs them.
_HELD = (
    select(events.c.id, events.c.lease_token, events.c.subject)
    .where(events.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(events.c.id)
    .with_for_update(key_share=True)
)
_CLOSED = (
    update(events)
    .where(events.c.id == bindparam("event"), events.c.lease_token == bindparam("token"))
    .values(
        state=bindparam("to_state"),
        reason_code=bindparam("code"),
        reason_args=bindparam("args", type_=SafeJson(none_as_null=True)),
        due_at=func.coalesce(bindparam("due", type_=UtcDateTime), events.c.due_at),
        lease_token=None,
        lease_expires_at=None,
        subject=func.coalesce(events.c.subject, bindparam("about", type_=SafeText)),
        occurred_at=func.coalesce(events.c.occurred_at, bindparam("occurred", type_=UtcDateTime)),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The results of a claimed event. With the state NEW it is tried again at `due_at`.

    `compared`: rules compare such events with the one before, so the next one, which may have come first, is
    asked again. `looked_back`: the rules compared it with the event `before` (None: with none); if another
    one is before it now, it waits once more, and what they said is not kept. `evaluator` is the policy over
    its proposals. `failed` are rules that failed, `over` earlier failures of rules that were asked again.
    """

    event_id: str
    token: str
    now: datetime
    state: EventState
    reason: Reason
    evaluator: Evaluator
    due_at: datetime | None = None
    results: Sequence[RuleResult] = ()
    subject_state: SubjectState | None = None
    compared: bool = False
    looked_back: bool = False
    before: str | None = None
    over: Sequence[FailedMatch] = ()
    failed: Sequence[FailedMatch] = ()


@dataclass(frozen=True, slots=True)
class Concluded:
    """Two facts: the lease was held; the event, or the next one about its subject, waits once more."""

    held: bool
    waits: bool = False


def conclude_events(connection: Connection, conclusions: Sequence[Conclusion]) -> list[Concluded]:
    """Close claimed events and keep what came of them; nothing of those whose lease was lost."""
    known = connection.execute(_HELD, {"ids": sorted({one.event_id for one in conclusions})})
    leases = {(row.id, row.lease_token): row.subject for row in known}
    held = [one for one in conclusions if (one.event_id, one.token) in leases]
    again: Mapping[str, str] = {}
    if held:
        connection.execute(_CLOSED, [_closing(one) for one in held])
        # An event that was concluded before has told its successor of itself already.
        new = {one.event_id for one in held if one.compared and leases[one.event_id, one.token] is None}
        again = _ask_again(connection, held, new)
        late = {one.event_id for one in held if one.looked_back and one.event_id in again}
        kept = [one for one in held if one.event_id not in late]
        over = [each for one in kept for each in one.over]
        failed = [each for one in kept for each in one.failed]
        if over or failed:
            keep_failures(connection, over, failed)
        _keep_results(connection, [replace(one, results=()) if one.event_id in late else one for one in held])
        told = [(one.event_id, one.subject_state) for one in held if one.subject_state is not None]
        keep_subject_states(connection, told)
    waiting = set(again.values())
    return [Concluded((one.event_id, one.token) in leases, _subject(one) in waiting) for one in conclusions]


def _subject(one: Conclusion) -> Any:
    return None if one.subject_state is None else readable(one.subject_state.subject)


def _closing(one: Conclusion) -> dict[str, Any]:
    reason, told = columns_of(one.reason), one.subject_state
    return {
        "event": one.event_id,
        "token": one.token,
        "to_state": one.state,
        "code": reason["reason_code"],
        "args": reason["reason_args"],
        "due": one.due_at,
        "about": told and told.subject,
        "occurred": told and told.occurred_at,
    }


# --- What the rules said ----------------------------------------------------------------------------------


def _keep_results(connection: Connection, held: Sequence[Conclusion]) -> None:
    """Store rule matches and proposals in the order of their events. A case sees what was told before it."""
    new = note_rule_matches(connection, [result.rule_match for one in held for result in one.results])
    fresh = iter(new)
    made = [[each.proposal for each in one.results if next(fresh) and each.proposal] for one in held]
    told = [one.subject_state for one in held if one.subject_state is not None]
    pasts = Pasts(connection, (each for own in made for each in own), told)
    cases: list[Case] = []
    for one, own in zip(held, made, strict=True):
        cases += [Case(each, one.evaluator, pasts.of(each)) for each in own]
        if one.subject_state is not None:
            pasts.tell(one.subject_state)
    insert_all_with_policy(connection, cases)


# --- What the events told ---------------------------------------------------------------------------------


def _ask_again(connection: Connection, held: Sequence[Conclusion], new: Set[str]) -> Mapping[str, str]:
    """Put before the rules once more the next event about the subject of each that is `new`, and each that
    was compared with another event than the one before it now. Their subjects, by their ids.
    """
    rows = [
        {
            "own": one.event_id,
            "subject": one.subject_state.subject,
            "at": one.subject_state.occurred_at,
            "before": one.before,
            "is_new": int(one.event_id in new),
            "looked_back": int(one.looked_back),
        }
        for one in held
        if one.subject_state is not None and (one.looked_back or one.event_id in new)
    ]
    if not rows:
        return {}
    found = ask(connection, _again, rows, now=max(one.now for one in held))
    return {row.id: row.subject for row in found}


@cache
def _again(size: int) -> ReturningUpdate[Any]:
    numbers = {"is_new": Integer(), "looked_back": Integer()}
    asked = given(size, own=Text(), subject=SafeText(), at=UtcDateTime(), before=Text(), **numbers)
    c, near, seen = events.c, events.alias().c, events.alias().c
    about = near.subject == asked.c.subject
    following = select(near.id).where(about, near.occurred_at > asked.c.at).order_by(near.occurred_at)
    earlier = select(near.occurred_at).where(about, near.occurred_at < asked.c.at)
    newest, compared, following_id = (
        one.limit(1).correlate(asked).scalar_subquery()
        for one in (
            earlier.order_by(near.occurred_at.desc()),
            select(seen.occurred_at).where(seen.id == asked.c.before),
            following,
        )
    )
    after_new = select(following_id).select_from(asked).where(asked.c.is_new == 1)
    # By their times: of two at one time neither is before the other.
    late = select(asked.c.own).where(asked.c.looked_back == 1, newest.is_distinct_from(compared))
    again = or_(and_(c.id.in_(after_new), c.state == EventState.DONE), c.id.in_(late))
    waits = {"state": EventState.NEW, "due_at": bindparam("now", type_=UtcDateTime)}
    return update(events).where(again).values(waits).returning(c.id, c.subject)
