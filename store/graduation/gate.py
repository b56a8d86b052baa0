"""The gate: a proposal is evaluated, stored and (when the policy says so) approved in one transaction."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, insert

from store.audit_log.log import append
from store.engine.settings_kv import Setting, hold_or_set, read, write
from store.events.customer_history import past_of, seen_this_week
from store.graduation.caps import spend, usage
from store.graduation.case_kinds import change, demote, get_case_kind, hold_trust, note_case_kind
from store.graduation.pause import paused
from store.graduation.reducer import TrustChange, cause_of_decision
from store.graduation.usage import Wanted, counted
from store.models import (
    Actor,
    CallState,
    CaseKindState,
    Decision,
    Mode,
    NewProposal,
    Proposal,
    ProposalState,
    Verdict,
)
from store.models.graduation import Evaluation, Evaluator, ExecutionGuard, GateInputs, NewCaseKind
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal, insert_proposal
from store.schema import decisions

# Built once: every case that comes needs them.
_DECIDED = insert(decisions)


def insert_with_policy(connection: Connection, proposal: NewProposal, evaluator: Evaluator) -> None:
    """Store a proposal as the policy evaluates it: it asks, or it is approved and due at once."""
    kind, found = evaluate(connection, proposal, evaluator)
    case = replace(proposal, case_kind=None if kind is None else kind.hash)
    has_card = int(found.mode != Mode.AUTO)
    insert_proposal(connection, case, mode=found.mode, gate=dict(found.gate), has_card=has_card)
    told = {"case_kind": case.case_kind, "mode": found.mode, "gate": dict(found.gate)}
    append(connection, "policy", proposal.id, told, proposal.created_at)
    if kind is not None:
        spend(connection, counted(case, kind.hash, found))
        if found.pause is not None:
            paused_kind = TrustChange(CaseKindState.PAUSED, found.pause)
            change(connection, kind.hash, paused_kind, actor=Actor.POLICY, at=proposal.created_at)
    if found.mode == Mode.AUTO:
        _approve(connection, case)


def evaluate(
    connection: Connection, proposal: NewProposal, evaluator: Evaluator
) -> tuple[NewCaseKind | None, Evaluation]:
    """The kind of a case and what the policy says of it now; from here on no rival changes either."""
    kind = evaluator.case_kind(proposal, past_of(connection, proposal))
    inputs = None if kind is None else _inputs(connection, proposal, kind)
    return kind, evaluator.evaluate(proposal, inputs)


def _inputs(connection: Connection, proposal: NewProposal, new: NewCaseKind) -> GateInputs:
    """The inputs that the policy asks for about a case: a few reads by key, however long the history."""
    now = proposal.created_at
    secret = hold_trust(connection)  # from here on no rival spends, demotes or graduates
    kind = note_case_kind(connection, new, now)
    stopped = paused(connection)
    wanted = Wanted.of(proposal, kind)
    return wanted.inputs(
        usage(connection, wanted.all()),
        proposal,
        kind,
        secret=secret,
        paused_by=None if stopped is None else stopped.by,
        human_at=last_human(connection, now),
        first_this_week=not seen_this_week(connection, proposal, kind.hash, now),
    )


def _approve(connection: Connection, proposal: NewProposal) -> None:
    """Approve it in the transaction that has just counted it against every cap."""
    at, policy = proposal.created_at, Actor.POLICY
    states = (ProposalState.PENDING, ProposalState.APPROVED)
    values: dict[str, Any] = {"decided_by": policy, "decided_at": at, "due_at": at}
    advance(connection, proposal.id, *states, actor=policy, at=at, **values)
    row = {"proposal_id": proposal.id, "actor": policy, "verdict": Verdict.APPROVE, "via": policy, "at": at}
    connection.execute(_DECIDED, [row | {"revision": 1}])


def record_human_activity(connection: Connection, decision: Decision, proposal: Proposal) -> None:
    """A person has decided: automatic runs may go on for a while; a rejected spot check ends them at once.

    Called by `store.proposals.decisions.decide`, in its transaction, with the proposal as it was.
    """
    note_human(connection, decision.actor, decision.at)
    edited = proposal.edited_by is not None
    cause = cause_of_decision(proposal.id, proposal.mode, decision.verdict, edited=edited)
    if cause is not None and proposal.case_kind is not None:
        demote(connection, proposal.case_kind, cause=cause, at=decision.at, actor=decision.actor)


def note_human(connection: Connection, actor: str, at: datetime) -> None:
    """Note when a person last decided anything, for the dead man's switch."""
    if actor in tuple(Actor):
        return
    text = at.isoformat(timespec="microseconds")
    # Texts of one length in one zone: they compare as they follow.
    if hold_or_set(connection, Setting.LAST_HUMAN_AT, text) < text:
        write(connection, Setting.LAST_HUMAN_AT, text)


def last_human(connection: Connection, now: datetime) -> datetime | None:
    """When a person last decided anything; what a clock that ran ahead wrote down is brought back to now.

    It is written anew, or else it would be "just now" at every look until that moment comes.
    """
    found = read(connection, Setting.LAST_HUMAN_AT)
    if found is None or (at := datetime.fromisoformat(found)) <= now:
        return None if found is None else at
    text = now.astimezone(UTC).isoformat(timespec="microseconds")
    write(connection, Setting.LAST_HUMAN_AT, text)
    return now


def may_still_run(connection: Connection, proposal_id: str, now: datetime, guard: ExecutionGuard) -> bool:
    """Tell whether what the policy approved may still be sent; what a person approved always may.

    It may not when its kind was demoted since, everything was paused, nobody has decided anything for too
    long, it waited too long, or the policy has become another one. What was begun is finished.
    """
    proposal = get_proposal(connection, proposal_id)
    if proposal is None or proposal.mode != Mode.AUTO or proposal.decided_by != Actor.POLICY:
        return True
    if any(call.state != CallState.PLANNED for call in proposal.calls):
        return True
    case_kind = None if proposal.case_kind is None else get_case_kind(connection, proposal.case_kind)
    generation = (proposal.gate or {}).get("generation")
    if case_kind is None or case_kind.state != CaseKindState.GRADUATED or case_kind.generation != generation:
        return False
    human, decided = last_human(connection, now), proposal.decided_at
    lately = human is not None and now - human <= guard.max_idle
    fresh = decided is not None and now - decided <= guard.max_age
    return lately and fresh and paused(connection) is None and guard.allows(proposal, case_kind)


def revert_to_manual(connection: Connection, proposal_id: str, at: datetime) -> bool:
    """Take the policy's approval back before anything was sent: a person is asked. False: it has moved on."""
    values: dict[str, Any] = {"decided_by": None, "decided_at": None, "has_card": 1, "mode": Mode.ASKED}
    states = (ProposalState.APPROVED, ProposalState.PENDING)
    values |= {"reason": Reason(ReasonCode.TRUST_LOST)}
    return advance(connection, proposal_id, *states, actor=Actor.POLICY, at=at, **values) is not None
