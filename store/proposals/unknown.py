"""Queries on proposals in `unknown`: who looks, and what a look closes."""

from datetime import datetime

from sqlalchemy import Connection, or_, select, update

from store.models import Actor, CallState, Proposal, ProposalState
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, get_proposal
from store.proposals.undo import settle_undo
from store.schema import calls, proposals


def claim_unknown(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int, most_attempts: int
) -> list[Proposal]:
    """Take up to `limit` proposals in `unknown` that are due, looked at less than `most_attempts` times."""
    free = [
        proposals.c.state == ProposalState.UNKNOWN,
        proposals.c.due_at <= now,
        proposals.c.verify_attempts < most_attempts,
        or_(proposals.c.lease_expires_at.is_(None), proposals.c.lease_expires_at < now),
    ]
    due = select(proposals.c.id).where(*free).order_by(proposals.c.due_at).limit(limit)
    taken = connection.execute(
        update(proposals)
        .where(proposals.c.id.in_(due), *free)
        .values(lease_token=token, lease_expires_at=until, verify_attempts=proposals.c.verify_attempts + 1)
        .returning(proposals.c.id)
    ).scalars()
    found = [get_proposal(connection, proposal_id) for proposal_id in taken.all()]
    return [proposal for proposal in found if proposal is not None]


def postpone_unknown(connection: Connection, proposal_id: str, *, token: str, due_at: datetime) -> None:
    """Let a proposal in doubt be looked at again at `due_at`."""
    connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.lease_token == token)
        .values(due_at=due_at, lease_token=None, lease_expires_at=None)
    )


def find_done(connection: Connection, proposal_id: str, *, token: str, now: datetime) -> bool:
    """Leave `unknown` when no call is in doubt any more: whether it did.

    All done: `succeeded`. Some never sent: back to `approved`, to go on with those. Some refused: `failed`.
    """
    to = after_doubt(connection, proposal_id)
    if to is None:
        return False
    version = advance(
        connection,
        proposal_id,
        ProposalState.UNKNOWN,
        to,
        actor=Actor.PROGRAM,
        at=now,
        reason=Reason(ReasonCode.FOUND_DONE),
        token=token,
        lease_token=None,
        lease_expires_at=None,
        due_at=now,
    )
    settle_undo(connection, proposal_id, now)
    return version is not None


def after_doubt(connection: Connection, proposal_id: str) -> ProposalState | None:
    """Where a proposal goes from `unknown` as its calls stand; None while one of them is still in doubt."""
    own = calls.c.proposal_id == proposal_id
    states = set(connection.execute(select(calls.c.state).where(own)).scalars())
    if CallState.UNKNOWN in states or CallState.SENDING in states:
        return None
    if CallState.REFUSED in states:
        return ProposalState.FAILED
    return ProposalState.APPROVED if CallState.PLANNED in states else ProposalState.SUCCEEDED


def claim_doubt(
    connection: Connection, proposal_id: str, *, token: str, now: datetime, until: datetime
) -> Proposal | None:
    """Take one proposal in `unknown` for a look that a person asks for; None: one is under way.

    Its looks begin anew, so that this one is followed by others.
    """
    free = or_(proposals.c.lease_expires_at.is_(None), proposals.c.lease_expires_at < now)
    taken = connection.execute(
        update(proposals)
        .where(proposals.c.id == proposal_id, proposals.c.state == ProposalState.UNKNOWN, free)
        .values(lease_token=token, lease_expires_at=until, verify_attempts=1, due_at=now)
    )
    return get_proposal(connection, proposal_id) if taken.rowcount == 1 else None
