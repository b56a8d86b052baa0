"""Queries on decisions: exactly one wins, and it is written down with its author."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select

from store.audit_log.log import append
from store.engine.dialects import in_pieces
from store.graduation.gate import record_human_activity
from store.models import Actor, CallState, Decision, Proposal, ProposalState, Verdict
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal, lock_proposal, touch
from store.proposals.undo import settle_undo
from store.schema import decisions

_BECOMES = {Verdict.APPROVE: ProposalState.APPROVED, Verdict.DECLINE: ProposalState.DECLINED}


class Bar(StrEnum):
    """What keeps a decision from counting."""

    SETTLED = "settled"  # it is no longer pending
    CHANGED = "changed"  # it asks something else than what the person saw
    ON_HOLD = "on hold"


@dataclass(frozen=True, slots=True)
class ApprovalRequirements:
    """What an approval takes: how many different people, and how long it then waits before it runs."""

    people: int = 1
    hold: timedelta = timedelta(0)


def barred(proposal: Proposal, verdict: Verdict, revision: int) -> Bar | None:
    """What keeps a decision on `revision` from counting, whoever takes it; None: nothing does."""
    if proposal.state != ProposalState.PENDING:
        return Bar.SETTLED
    if proposal.revision != revision:
        return Bar.CHANGED
    held = verdict == Verdict.APPROVE and proposal.held_by is not None
    return Bar.ON_HOLD if held else None


def decide(
    connection: Connection,
    decision: Decision,
    required: ApprovalRequirements = ApprovalRequirements(),
    *,
    without: Collection[str] = (),
) -> tuple[bool, Proposal | None]:
    """Decide a pending proposal. Returns whether this decision counts, and the proposal as it is now.

    (False, None): there is no such proposal. (False, proposal): `barred` says why, or else the same person
    has approved this revision before. A first yes of two counts and leaves it pending. The earlier yes of
    those in `without` stays written down and does not count: they may decide no more.
    """
    proposal = lock_proposal(connection, decision.proposal_id)
    if proposal is None or barred(proposal, decision.verdict, decision.revision) is not None:
        return False, proposal
    approves = decision.verdict == Verdict.APPROVE
    said = approvals(connection, decision.proposal_id, decision.revision) if approves else []
    standing = {actor for actor in said if actor not in without}
    if decision.actor in standing and len(standing) < required.people:
        return False, proposal
    _record(
        connection,
        replace(decision, shown_at=decision.shown_at or proposal.first_shown_at),
        proposal.content_hash,
    )
    record_human_activity(connection, decision, proposal)
    if approves and len(standing | {decision.actor}) < required.people:
        touch(connection, decision.proposal_id, decision.at, approval_checking_by=None)
    else:
        _settle(connection, decision, required.hold if approves else timedelta(0))
    return True, get_proposal(connection, decision.proposal_id)


def _settle(connection: Connection, decision: Decision, hold: timedelta) -> None:
    due_at = decision.at + hold
    said = None if decision.reason is None else Reason.of(ReasonCode.GIVEN, text=decision.reason)
    advance(
        connection,
        decision.proposal_id,
        ProposalState.PENDING,
        _BECOMES[decision.verdict],
        actor=decision.actor,
        at=decision.at,
        reason=said,
        decided_by=decision.actor,
        decided_at=decision.at,
        approval_checking_by=None,
        due_at=due_at,
        cancellable_until=due_at if hold else None,
    )
    settle_undo(connection, decision.proposal_id, decision.at)


def _record(connection: Connection, decision: Decision, digest: str | None) -> None:
    row: dict[str, Any] = {name: getattr(decision, name) for name in Decision.__slots__}
    connection.execute(insert(decisions), [row])
    times = {
        name: None if row[name] is None else row[name].isoformat() for name in ("shown_at", "clicked_at")
    }
    body = {name: row[name] for name in ("actor", "verdict", "via", "revision", "interaction_id", "reason")}
    append(connection, "decision", decision.proposal_id, body | times | {"content_hash": digest}, decision.at)


def approvals(connection: Connection, proposal_id: str, revision: int) -> list[str]:
    """Which people have approved this revision, in order: with two needed, the first leaves it pending.

    The policy is nobody: its yes, once taken back, is not the first of two.
    """
    found = connection.execute(
        select(decisions.c.actor)
        .where(
            decisions.c.proposal_id == proposal_id,
            decisions.c.revision == revision,
            decisions.c.verdict == Verdict.APPROVE,
            decisions.c.actor != Actor.POLICY,
        )
        .order_by(decisions.c.id)
    ).scalars()
    return list(dict.fromkeys(found))


def take_back(
    connection: Connection, proposal_id: str, *, actor: str, at: datetime
) -> tuple[bool, Proposal | None]:
    """Withdraw what is approved while nothing of it was sent: whether it was in time, and how it is now."""
    proposal = lock_proposal(connection, proposal_id)
    if (
        proposal is None
        or proposal.state != ProposalState.APPROVED
        or any(call.state != CallState.PLANNED for call in proposal.calls)
    ):
        return False, proposal
    states = (ProposalState.APPROVED, ProposalState.WITHDRAWN)
    reason = Reason.of(ReasonCode.UNDONE_IN_TIME, actor=actor)
    advance(connection, proposal_id, *states, actor=actor, at=at, reason=reason, cancellable_until=None)
    settle_undo(connection, proposal_id, at)
    return True, get_proposal(connection, proposal_id)


def all_decisions(connection: Connection) -> Iterator[Decision]:
    """Every decision, oldest first. Go through it inside the transaction: it is read as you go."""
    for row in connection.execute(in_pieces(select(decisions).order_by(decisions.c.id))):
        names = set(Decision.__slots__) - {"verdict"}
        yield Decision(**{name: getattr(row, name) for name in names}, verdict=Verdict(row.verdict))
