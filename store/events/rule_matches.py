"""Queries on rules: their versions as they were, and the rule_matches that wait."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, or_, select, tuple_, update

from store.engine.dialects import insert_new
from store.events.events import ask_successor_again, finish_event, note_sighting, postpone_event
from store.graduation.gate import insert_with_policy
from store.models import EventState, NewProposal, RuleMatch, RuleMatchState, Sighting, Spoken
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
    """Take up to `limit` rule_matches whose wait is over."""
    free = [
        rule_matches.c.state == RuleMatchState.WAITING,
        rule_matches.c.due_at <= now,
        or_(rule_matches.c.lease_expires_at.is_(None), rule_matches.c.lease_expires_at < now),
    ]
    key = tuple_(rule_matches.c.fact_key, rule_matches.c.rule)
    due = (
        select(rule_matches.c.fact_key, rule_matches.c.rule)
        .where(*free)
        .order_by(rule_matches.c.due_at)
        .limit(limit)
    )
    rows = connection.execute(
        update(rule_matches)
        .where(key.in_(due), *free)
        .values(lease_token=token, lease_expires_at=until, attempts=rule_matches.c.attempts + 1)
        .returning(rule_matches)
    )
    return [_rule_match(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What came of an event. `compared`: a rule compares it with its predecessor, so its successor, which may
    have come first, is asked again. `judge`: the policy over what was proposed; without it everything asks.
    """

    state: EventState
    reason: Reason
    spoken: Sequence[Spoken] = ()
    sighting: Sighting | None = None
    compared: bool = False
    judge: Evaluator | None = None


def conclude_event(
    connection: Connection, event_id: str, conclusion: Conclusion, *, token: str, now: datetime
) -> None:
    """In one transaction: close a claimed event and keep what came of it; nothing if the claim ran out."""
    if not finish_event(connection, event_id, token=token, state=conclusion.state, reason=conclusion.reason):
        return
    _keep(connection, conclusion.spoken, conclusion.judge)
    told = conclusion.sighting
    if told is not None and note_sighting(connection, event_id, told) and conclusion.compared:
        ask_successor_again(connection, told.subject, told.occurred_at, now)


def conclude_for_now(
    connection: Connection,
    event_id: str,
    spoken: Sequence[Spoken],
    *,
    token: str,
    due_at: datetime,
    reason: Reason,
    judge: Evaluator | None = None,
) -> None:
    """Keep what the rules that could be asked have said; the event is tried again at `due_at`."""
    if postpone_event(connection, event_id, token=token, due_at=due_at, reason=reason):
        _keep(connection, spoken, judge)


def _keep(connection: Connection, spoken: Sequence[Spoken], judge: Evaluator | None) -> None:
    for one in spoken:
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
    """Close a claimed rule_match, with its proposal if any, or (WAITING) let it be tried again at `due_at`.

    False: the claim ran out, and nothing is written.
    """
    result = connection.execute(
        update(rule_matches)
        .where(
            rule_matches.c.fact_key == rule_match.fact_key,
            rule_matches.c.rule == rule_match.rule,
            rule_matches.c.lease_token == token,
        )
        .values(state=state, due_at=due_at, lease_token=None, lease_expires_at=None, **columns_of(reason))
    )
    if result.rowcount == 1 and proposal is not None:
        _way_in(judge)(connection, proposal)
    return result.rowcount == 1


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
