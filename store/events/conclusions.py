"""The ends of claimed events: many are concluded in one transaction, each only while its lease is held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from store.engine.dialects import (
    SafeJson,
    SafeText,
    UtcDateTime,
    ask,
    given,
    insert_new,
    readable,
    row_of,
    upsert_newer,
)
from store.graduation.admission import Case, Pasts, insert_all_with_policy
from store.models import EventState, RuleMatch, RuleResult, SubjectState
from store.models.graduation import Evaluator
from store.models.reasons import Reason, columns_of
from store.schema import events, rule_matches, subjects

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
_MATCH = (rule_matches.c.fact_key, rule_matches.c.rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The results of a claimed event. With the state NEW it is tried again at `due_at`.

    `compared`: a rule compares it with its predecessor, so its successor, which may have come first, is asked
    again. `evaluator` is the policy over its proposals.
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


@dataclass(frozen=True, slots=True)
class Concluded:
    """Two facts: the lease was held; the next event about its subject waits once more."""

    held: bool
    successor_waits: bool = False


def conclude_events(connection: Connection, conclusions: Sequence[Conclusion]) -> list[Concluded]:
    """Close claimed events and keep what came of them; nothing of those whose lease was lost."""
    known = connection.execute(_HELD, {"ids": sorted({one.event_id for one in conclusions})})
    leases = {(row.id, row.lease_token): row.subject for row in known}
    held = [one for one in conclusions if (one.event_id, one.token) in leases]
    if held:
        connection.execute(_CLOSED, [_closing(one) for one in held])
        _keep_results(connection, held)
        told = [(one.event_id, one.subject_state) for one in held if one.subject_state is not None]
        keep_subject_states(connection, told)
    # An event that was concluded before has told its successor of itself already.
    new = [one for one in held if one.compared and leases[one.event_id, one.token] is None]
    followed = _ask_successors_again(connection, new)
    return [Concluded((one.event_id, one.token) in leases, one.event_id in followed) for one in conclusions]


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


# --- What the events told ---------------------------------------------------------------------------------


def keep_subject_states(connection: Connection, told: Sequence[tuple[str, SubjectState]]) -> None:
    """Keep what events (by id) told of their subjects unless something newer is known."""
    rows = [row_of(newest) | {"event_id": event_id} for event_id, newest in told]
    if rows:
        rows.sort(key=itemgetter("subject"))
        upsert_newer(connection, subjects, rows, "terminal", "occurred_at", "rank")


def _ask_successors_again(connection: Connection, new: Sequence[Conclusion]) -> set[str]:
    """Put the next event about the subject of each before the rules once more: it has a new predecessor. The
    ids of those that have such a successor.
    """
    told = {one.event_id: one.subject_state for one in new if one.subject_state is not None}
    if not told:
        return set()
    moments = [{"subject": each.subject, "at": each.occurred_at} for each in told.values()]
    rows = ask(connection, _again, moments, now=max(one.now for one in new))
    waiting = {row.subject for row in rows}
    return {event_id for event_id, each in told.items() if readable(each.subject) in waiting}


@cache
def _again(size: int) -> ReturningUpdate[Any]:
    asked = given(size, subject=SafeText(), at=UtcDateTime())
    c = events.c
    following = (
        select(c.id)
        .where(c.subject == asked.c.subject, c.occurred_at > asked.c.at)
        .order_by(c.occurred_at)
        .limit(1)
        .correlate(asked)
    )
    again = update(events).where(
        c.id.in_(select(following.scalar_subquery()).select_from(asked)), c.state == EventState.DONE
    )
    waits = {"state": EventState.NEW, "due_at": bindparam("now", type_=UtcDateTime)}
    return again.values(waits).returning(c.subject)
