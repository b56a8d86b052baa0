"""Queries on proposals in `unknown`: who looks, and what a look closes."""

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from store.execution import WORKER
from store.models import CallState, Proposal, ProposalState
from store.proposals import advance, get_proposal
from store.tables import calls, proposals


def claim_unknown(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int, most_looks: int
) -> list[Proposal]:
    """Take up to `limit` proposals in `unknown` that are due, looked at less than `most_looks` times."""
    free = [
        proposals.c.state == ProposalState.UNKNOWN,
        proposals.c.due_at <= now,
        proposals.c.looks < most_looks,
        or_(proposals.c.claimed_until.is_(None), proposals.c.claimed_until < now),
    ]
    due = select(proposals.c.id).where(*free).order_by(proposals.c.due_at).limit(limit)
    taken = connection.execute(
        update(proposals)
        .where(proposals.c.id.in_(due), *free)
        .values(claim=token, claimed_until=until, looks=proposals.c.looks + 1)
        .returning(proposals.c.id)
    ).scalars()
    found = [get_proposal(connection, proposal_id) for proposal_id in taken.all()]
    return [proposal for proposal in found if proposal is not None]


def postpone_unknown(connection: Connection, proposal_id: str, *, token: str, due_at: datetime) -> None:
    """Let a proposal in doubt be looked at again at `due_at`."""
    connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.claim == token)
        .values(due_at=due_at, claim=None, claimed_until=None)
    )


def find_done(connection: Connection, proposal_id: str, *, token: str, now: datetime, reason: str) -> bool:
    """Leave `unknown` when no call is in doubt any more: whether it did.

    All done: `succeeded`. Some never sent: back to `approved`, to go on with those. Some refused: `failed`.
    """
    states = set(
        connection.execute(select(calls.c.state).where(calls.c.proposal_id == proposal_id)).scalars()
    )
    if CallState.UNKNOWN in states or CallState.SENDING in states:
        return False
    to = ProposalState.SUCCEEDED
    if CallState.REFUSED in states:
        to = ProposalState.FAILED
    elif CallState.PLANNED in states:
        to = ProposalState.APPROVED
    version = advance(
        connection,
        proposal_id,
        ProposalState.UNKNOWN,
        to,
        actor=WORKER,
        at=now,
        reason=reason,
        token=token,
        claim=None,
        claimed_until=None,
        due_at=now,
    )
    return version is not None
