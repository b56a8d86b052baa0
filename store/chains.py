"""Queries on calls that follow one another."""

from sqlalchemy import Connection, select, update

from store.models import CallState, PlannedCall, ProposalState
from store.schema import calls, proposals


def bind_call(
    connection: Connection,
    proposal_id: str,
    number: int,
    *,
    token: str,
    to: PlannedCall,
) -> None:
    """Write into a planned call what the answers before it gave, so that what is kept is what is sent.

    Nothing is written when the claim ran out.
    """
    held = select(proposals.c.id).where(
        proposals.c.id == proposal_id,
        proposals.c.state == ProposalState.EXECUTING,
        proposals.c.claim == token,
    )
    connection.execute(
        update(calls)
        .where(calls.c.proposal_id.in_(held), calls.c.number == number, calls.c.state == CallState.PLANNED)
        .values(path=dict(to.path), query=dict(to.query), body=None if to.body is None else dict(to.body))
    )
