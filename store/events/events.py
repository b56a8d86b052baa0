"""Webhooks, rule matches, failed rules, poll cursors: stored, claimed, read; the state of a subject."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, or_, select, update

from store.engine.dialects import (
    SafeText,
    insert_into,
    insert_new,
    insert_new_by_driver,
    readable,
    row_of,
    spelled,
    stream_rows,
    upsert_newer,
    value_of,
    values_of,
)
from store.engine.leases import EVENTS, NOW, RULE_MATCHES, Lease
from store.engine.writer import without_turn
from store.graduation.admission import insert_with_policy
from store.models import (
    EventState,
    NewEvent,
    NewProposal,
    RuleMatch,
    RuleMatchState,
    StoredEvent,
    SubjectState,
)
from store.models.details import FailedMatch, Failure, RuleActivity
from store.models.graduation import Evaluator
from store.models.reasons import Reason, ReasonCode, columns_of
from store.proposals.proposals import insert_proposal
from store.schema import events, poll_cursors, rule_matches, rule_versions, subjects
from store.schema.waiting import failed_matches

_F = failed_matches.c
# Built once: every event needs them.
_TAKING = EVENTS.taking(events.c.due_at <= NOW, order=(events.c.due_at,), attempts=events.c.attempts + 1)
_TAKING_MATCHES = RULE_MATCHES.taking(
    rule_matches.c.due_at <= NOW, order=(rule_matches.c.due_at,), attempts=rule_matches.c.attempts + 1
)
_MATCH = (rule_matches.c.fact_key, rule_matches.c.rule)


def insert_events(connection: Connection, arrivals: Sequence[NewEvent]) -> Sequence[None]:
    """Store webhooks. An id that is already there changes nothing, unless a rule failed on it: sent again, it
    is to be tried again.
    """
    rows = [row_of(event) | {"due_at": event.received_at} for event in sorted(arrivals, key=attrgetter("id"))]
    insert_new_by_driver(connection, events, rows, _with_wishes)
    return [None] * len(arrivals)


def _with_wishes(dialect: str, statement: str, columns: Sequence[str]) -> str:
    """The statement that inserts webhooks, with the wish to try again in it: one statement for both."""
    if dialect != "postgresql":
        again = "(id) DO UPDATE SET state = 'new', due_at = excluded.due_at WHERE events.state = 'failed'"
        return statement.replace("ON CONFLICT DO NOTHING", f"ON CONFLICT {again}")
    # There DO UPDATE would lock rows that it does not change, and wait for rivals.
    own, due = (f"${columns.index(name) + 1}" for name in ("id", "due_at"))
    again = f"UPDATE events SET state = 'new', due_at = {due} WHERE id = {own} AND state = 'failed'"  # noqa: S608 - our own names
    return f"WITH again AS ({again}) {statement}"


@without_turn
def claim_events(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[StoredEvent]:
    """Take up to `limit` due webhooks, oldest first, that nobody holds."""
    rows = EVENTS.take(connection, _TAKING, Lease(token, now, until), limit)
    return sorted((value_of(StoredEvent, row) for row in rows), key=lambda event: event.received_at)


def latest_state(connection: Connection, subject: str) -> dict[str, Any] | None:
    """The newest known state of a subject such as "order:…"."""
    found: dict[str, Any] | None = connection.execute(
        select(subjects.c.state).where(subjects.c.subject == subject)
    ).scalar()
    return found


def keep_subject_states(connection: Connection, told: Sequence[tuple[str, SubjectState]]) -> None:
    """Keep what events (by id) told of their subjects unless something newer is known."""
    rows = [row_of(newest) | {"event_id": event_id} for event_id, newest in told]
    if rows:
        rows.sort(key=itemgetter("subject"))
        upsert_newer(connection, subjects, rows, "terminal", "occurred_at", "rank")


@without_turn
def get_event(connection: Connection, event_id: str) -> StoredEvent | None:
    """The webhook with this `webhook-id`."""
    found = values_of(connection, select(events).where(events.c.id == event_id), StoredEvent)
    return found[0] if found else None


def received_at(connection: Connection, event_ids: Sequence[str]) -> dict[str, datetime]:
    """When each of these events arrived, by its id."""
    if not event_ids:
        return {}
    rows = connection.execute(select(events.c.id, events.c.received_at).where(events.c.id.in_(event_ids)))
    return {row.id: row.received_at for row in rows}


def all_events(
    connection: Connection, *, after: StoredEvent | None = None, most: int | None = None
) -> Iterator[StoredEvent]:
    """Every webhook, or so many after one, in the order received. Go through it inside the transaction: it is
    read as you go.
    """
    wanted = select(events).order_by(events.c.received_at, events.c.id).limit(most)
    if after is not None:
        later = or_(events.c.received_at > after.received_at, events.c.id > after.id)
        wanted = wanted.where(events.c.received_at >= after.received_at, later)
    for row in connection.execute(stream_rows(wanted)):
        yield value_of(StoredEvent, row)


def count_events(connection: Connection) -> dict[str, int]:
    """The number of webhooks in each state; from indexes alone, for rows are as large as their bodies."""
    counts: dict[str, int] = {
        state: connection.execute(select(func.count()).where(spelled(events.c.state, state))).scalar_one()
        for state in (EventState.NEW, EventState.FAILED)
    }
    total = connection.execute(select(func.count()).select_from(events)).scalar_one()
    counts[EventState.DONE] = total - sum(counts.values())
    return {state: count for state, count in counts.items() if count}


def keep_rules(
    connection: Connection, sources: Mapping[str, tuple[str, Mapping[str, Any]]], now: datetime
) -> None:
    """Keep each rule, {version: (name, source)}: a proposal is judged by the rule that made it."""
    rows = [
        {"version": version, "name": name, "source": dict(source), "first_seen_at": now}
        for version, (name, source) in sources.items()
    ]
    if rows:
        insert_new(connection, rule_versions, rows)


@without_turn
def rule_source(connection: Connection, version: str | None) -> dict[str, Any] | None:
    """A rule as it was in that version."""
    found: dict[str, Any] | None = connection.execute(
        select(rule_versions.c.source).where(rule_versions.c.version == version)
    ).scalar()
    return found


def note_rule_matches(connection: Connection, found: Sequence[RuleMatch]) -> list[bool]:
    """Note that rules matched changes. False: it has matched before, and nothing is written: one proposal per
    (change, rule), whatever is repeated.
    """
    if not found:
        return []
    keys = [(readable(one.fact_key), one.rule) for one in found]
    first: dict[tuple[Any, str], RuleMatch] = {}
    for key, one in zip(keys, found, strict=True):
        first.setdefault(key, one)
    rows = [row_of(first[key]) | {"attempts": 0} for key in sorted(first)]
    new = {tuple(row) for row in insert_new(connection, rule_matches, rows, *_MATCH)}
    return [key in new and first[key] is one for key, one in zip(keys, found, strict=True)]


@without_turn
def claim_rule_matches(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[RuleMatch]:
    """Take up to `limit` rule matches whose delay is over."""
    rows = RULE_MATCHES.take(connection, _TAKING_MATCHES, Lease(token, now, until), limit)
    return [value_of(RuleMatch, row) for row in rows]


def conclude_rule_match(
    connection: Connection,
    rule_match: RuleMatch,
    *,
    token: str,
    state: RuleMatchState,
    reason: Reason | None,
    due_at: datetime | None,
    proposal: NewProposal | None,
    evaluator: Evaluator | None = None,
    failed: FailedMatch | None = None,
) -> bool:
    """Close a claimed rule match, with any proposal or failure, or (WAITING) have it tried again. False: the
    lease was lost.
    """
    key = (rule_match.fact_key, rule_match.rule)
    closed = RULE_MATCHES.release(connection, token, *key, state=state, **columns_of(reason), due_at=due_at)
    if closed and failed is not None:
        fail_event(connection, failed)
    if closed and proposal is not None:
        if evaluator is None:
            insert_proposal(connection, proposal)
        else:
            insert_with_policy(connection, proposal, evaluator)
    return closed


def rule_activity(connection: Connection) -> dict[str, RuleActivity]:
    """The matches of each rule that ever matched, by its name; read from an index alone."""
    c = rule_matches.c
    found = select(c.rule, c.state, func.count(), func.max(c.matched_at)).group_by(c.rule, c.state)
    counts: dict[str, dict[RuleMatchState, int]] = defaultdict(dict)
    last: dict[str, list[datetime]] = defaultdict(list)
    for rule, state, count, matched_at in connection.execute(found):
        counts[rule][RuleMatchState(state)] = count
        last[rule] += [] if matched_at is None else [matched_at]
    return {rule: RuleActivity(dict(of), max(last[rule], default=None)) for rule, of in counts.items()}


def claim_poll(connection: Connection, name: str, *, now: datetime, until: datetime, first: datetime) -> bool:
    """True when a poll is due; it is ours, and none is due before `until`. The very first is at `first`."""
    insert_new(connection, poll_cursors, [{"name": name, "due_at": first}])
    own = update(poll_cursors).where(poll_cursors.c.name == name, poll_cursors.c.due_at <= now)
    return connection.execute(own.values(due_at=until)).rowcount == 1


def poll_again(connection: Connection, name: str, due_at: datetime) -> None:
    """Let the next poll be due at `due_at`."""
    connection.execute(update(poll_cursors).where(poll_cursors.c.name == name).values(due_at=due_at))


@without_turn
def polled_until(connection: Connection, name: str) -> datetime | None:
    """The moment until which the last complete poll has read, or None before the first."""
    own = select(poll_cursors.c.read_until).where(poll_cursors.c.name == name)
    found: datetime | None = connection.execute(own).scalar()
    return found


def keep_polled_until(connection: Connection, name: str, until: datetime) -> None:
    """Note until when a poll has read."""
    row = {"name": name, "due_at": until, "read_until": until}
    if insert_new(connection, poll_cursors, [row]).rowcount != 1:
        connection.execute(update(poll_cursors).where(poll_cursors.c.name == name).values(read_until=until))


# --- Rules that failed on an event: kept, and asked again when somebody wishes it --------------------------


@without_turn
def failed_matches_of(connection: Connection, event_id: str) -> list[FailedMatch]:
    """The rules that failed on an event."""
    own = select(failed_matches).where(_F.event_id == event_id).order_by(_F.rule)
    return values_of(connection, own, FailedMatch)


def newest_failures(connection: Connection, limit: int) -> list[Failure]:
    """The newest rules that failed, each with its event's type."""
    found = select(failed_matches, events.c.type).join(events, events.c.id == _F.event_id)
    rows = connection.execute(found.order_by(_F.failed_at.desc(), _F.event_id, _F.rule).limit(limit))
    return [Failure(value_of(FailedMatch, row), row.type) for row in rows]


def keep_failures(connection: Connection, over: Sequence[FailedMatch], failed: Sequence[FailedMatch]) -> None:
    """Forget the failures that are `over`, with rule matches that had ended by them, and keep new ones."""
    if over:
        own = (_F.event_id == bindparam("event"), _F.rule == bindparam("name"))
        gone = [{"event": one.event_id, "name": one.rule} for one in over]
        connection.execute(delete(failed_matches).where(*own), gone)
    ended = [{"change": one.fact_key, "name": one.rule} for one in over if one.fact_key is not None]
    if ended:
        match = (
            rule_matches.c.fact_key == bindparam("change", type_=SafeText),
            rule_matches.c.rule == bindparam("name"),
            rule_matches.c.state == RuleMatchState.SILENT,
        )
        connection.execute(delete(rule_matches).where(*match), ended)
    if failed:
        statement = insert_into(connection.dialect.name, failed_matches)
        new = {one.name: statement.excluded[one.name] for one in failed_matches.c if not one.primary_key}
        key = list(failed_matches.primary_key)
        connection.execute(
            statement.on_conflict_do_update(index_elements=key, set_=new), [row_of(one) for one in failed]
        )


def fail_event(connection: Connection, failed: FailedMatch) -> None:
    """Keep the failure of a rule after its delay; its event counts as failed, unless its rules are due."""
    keep_failures(connection, (), [failed])
    causes = [] if failed.reason is None else [failed.reason]
    why = Reason.of(ReasonCode.OF_RULES, Reason.of(ReasonCode.OF_RULE, *causes, rule=failed.rule))
    done = (events.c.id == failed.event_id, events.c.state == EventState.DONE)
    state: dict[str, Any] = {"state": EventState.FAILED} | columns_of(why)
    connection.execute(update(events).where(*done).values(state))


def retry_events(
    connection: Connection, start: str | None, now: datetime, *, limit: int = 1_000
) -> list[str]:
    """Have the failed rules of events asked again: of all, or of those whose id begins with `start`. The ids,
    at most `limit`.
    """
    own = () if start is None else (events.c.id.startswith(start, autoescape=True),)
    return _again(connection, now, limit, *own)


def retry_changed(
    connection: Connection, versions: Collection[str], now: datetime, *, limit: int = 1_000
) -> list[str]:
    """Have rules asked again that have failed in another version than those in force; the ids of events, at
    most `limit`.
    """
    other = select(_F.event_id).where(_F.rule_version.not_in(list(versions)))
    return _again(connection, now, limit, events.c.id.in_(other))


def _again(connection: Connection, now: datetime, limit: int, *which: ColumnElement[bool]) -> list[str]:
    has_failed = spelled(events.c.state, EventState.FAILED)
    first_come = select(events.c.id).where(has_failed, *which).order_by(events.c.received_at).limit(limit)
    # Locked in the order in which arriving webhooks lock them.
    found = select(events.c.id).where(has_failed, events.c.id.in_(first_come)).order_by(events.c.id)
    found = found.with_for_update(key_share=True)
    ids = list(connection.execute(found).scalars())
    for first in range(0, len(ids), 500):
        own = update(events).where(events.c.id.in_(ids[first : first + 500]))
        connection.execute(own.values(state=EventState.NEW, due_at=now))
    return ids
