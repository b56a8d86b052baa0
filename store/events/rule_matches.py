"""Queries on rules: their versions, the rule matches that wait, and how often each rule matched."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, func, select

from store.engine.dialects import insert_new
from store.engine.leases import RULE_MATCHES, Lease
from store.events.events import ask_successor_again, finish_event, keep_subject_state, postpone_event
from store.graduation.gate import insert_with_policy
from store.models import (
    EventState,
    NewProposal,
    RuleActivity,
    RuleMatch,
    RuleMatchState,
    RuleResult,
    SubjectState,
)
from store.models.graduation import Evaluator
from store.models.reasons import Reason, columns_of, read_reason
from store.proposals.proposals import add_proposal, insert_proposal
from store.schema import rule_matches, rule_versions


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


def rule_source(connection: Connection, version: str) -> dict[str, Any] | None:
    """A rule as it was in that version."""
    found: dict[str, Any] | None = connection.execute(
        select(rule_versions.c.source).where(rule_versions.c.version == version)
    ).scalar()
    return found


def claim_rule_matches(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[RuleMatch]:
    """Take up to `limit` rule matches whose delay is over."""
    lease, more = Lease(token, now, until), {"attempts": rule_matches.c.attempts + 1}
    due, order = rule_matches.c.due_at <= now, (rule_matches.c.due_at,)
    rows = RULE_MATCHES.take(connection, lease, due, order=order, limit=limit, **more)
    return [_rule_match(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The results of an event. `compared`: a rule compares it with its predecessor, so its successor, which
    may have come first, is asked again. `judge`: the policy over the proposals; without it everything asks.
    """

    state: EventState
    reason: Reason
    results: Sequence[RuleResult] = ()
    subject_state: SubjectState | None = None
    compared: bool = False
    judge: Evaluator | None = None


def conclude_event(
    connection: Connection, event_id: str, conclusion: Conclusion, *, token: str, now: datetime
) -> None:
    """In one transaction: close a claimed event and keep what came of it; nothing if the lease was lost."""
    if not finish_event(connection, event_id, token=token, state=conclusion.state, reason=conclusion.reason):
        return
    _keep(connection, conclusion.results, conclusion.judge)
    told = conclusion.subject_state
    if told is not None and keep_subject_state(connection, event_id, told) and conclusion.compared:
        ask_successor_again(connection, told.subject, told.occurred_at, now)


def conclude_for_now(
    connection: Connection,
    event_id: str,
    results: Sequence[RuleResult],
    *,
    token: str,
    due_at: datetime,
    reason: Reason,
    judge: Evaluator | None = None,
) -> None:
    """Keep what the rules that could be asked have said; the event is tried again at `due_at`."""
    if postpone_event(connection, event_id, token=token, due_at=due_at, reason=reason):
        _keep(connection, results, judge)


def _keep(connection: Connection, results: Sequence[RuleResult], judge: Evaluator | None) -> None:
    for one in results:
        add_proposal(connection, one.rule_match, one.proposal, _way_in(judge))


def _way_in(judge: Evaluator | None) -> Callable[[Connection, NewProposal], None]:
    return insert_proposal if judge is None else partial(insert_with_policy, evaluator=judge)


def conclude_rule_match(
    connection: Connection,
    rule_match: RuleMatch,
    *,
    token: str,
    state: RuleMatchState,
    reason: Reason | None,
    due_at: datetime | None,
    proposal: NewProposal | None,
    judge: Evaluator | None = None,
) -> bool:
    """Close a claimed rule match, with its proposal if any, or (WAITING) let it be tried again at `due_at`.

    False: the lease was lost, and nothing is written.
    """
    key = (rule_match.fact_key, rule_match.rule)
    closed = RULE_MATCHES.release(connection, token, *key, state=state, **columns_of(reason), due_at=due_at)
    if closed and proposal is not None:
        _way_in(judge)(connection, proposal)
    return closed


def _rule_match(row: Row[Any]) -> RuleMatch:
    return RuleMatch(
        fact_key=row.fact_key,
        rule=row.rule,
        rule_version=row.rule_version,
        event_id=row.event_id,
        state=RuleMatchState(row.state),
        due_at=row.due_at,
        reason=read_reason(row.reason_code, row.reason_args),
        matched_at=row.matched_at,
    )


def rule_activity(connection: Connection) -> dict[str, RuleActivity]:
    """The matches of each rule that ever matched, by its name; read from an index alone."""
    found = connection.execute(
        select(
            rule_matches.c.rule, rule_matches.c.state, func.count(), func.max(rule_matches.c.matched_at)
        ).group_by(rule_matches.c.rule, rule_matches.c.state)
    )
    counts: dict[str, dict[RuleMatchState, int]] = defaultdict(dict)
    last: dict[str, list[datetime]] = defaultdict(list)
    for rule, state, count, matched_at in found:
        counts[rule][RuleMatchState(state)] = count
        last[rule] += [] if matched_at is None else [matched_at]
    return {rule: RuleActivity(dict(of), max(last[rule], default=None)) for rule, of in counts.items()}
