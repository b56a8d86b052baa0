"""Queries on decisions: exactly one wins, and it is written down with its author."""

from collections.abc import Iterator

from sqlalchemy import Connection, insert, select

from store.models import Decision, Proposal, ProposalState, Verdict
from store.proposals import advance, get_proposal
from store.tables import decisions

_BECOMES = {Verdict.APPROVE: ProposalState.APPROVED, Verdict.DECLINE: ProposalState.DECLINED}


def decide(connection: Connection, decision: Decision) -> tuple[bool, Proposal | None]:
    """Decide a pending proposal. Returns whether this decision won, and the proposal as it is now.

    (False, None): there is no such proposal. (False, proposal): it was no longer pending; the proposal
    says who was first and what became of it.
    """
    version = advance(
        connection,
        decision.proposal_id,
        ProposalState.PENDING,
        _BECOMES[decision.verdict],
        actor=decision.actor,
        at=decision.at,
        reason=decision.reason,
        decided_by=decision.actor,
        decided_at=decision.at,
        due_at=decision.at,
    )
    if version is not None:
        row = {name: getattr(decision, name) for name in Decision.__slots__}
        connection.execute(insert(decisions), [row])
    return version is not None, get_proposal(connection, decision.proposal_id)


def all_decisions(connection: Connection) -> Iterator[Decision]:
    """Every decision, oldest first. Go through it inside the transaction: it is read as you go."""
    for row in connection.execute(select(decisions).order_by(decisions.c.id)):
        names = set(Decision.__slots__) - {"verdict"}
        yield Decision(**{name: getattr(row, name) for name in names}, verdict=Verdict(row.verdict))
