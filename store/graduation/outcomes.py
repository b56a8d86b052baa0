"""Queries on what later happened to something that was done. What it costs in trust is settled at once."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from store.audit_log.log import append
from store.engine.dialects import insert_new
from store.graduation.case_kinds import demote
from store.graduation.reducer import cause_of_outcome
from store.models import Actor, Mode, OutcomeKind, Proposal, ProposalState
from store.models.graduation import Outcome
from store.schema import proposals
from store.schema.graduation import outcomes

_WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)


def add_outcome(connection: Connection, outcome: Outcome, now: datetime) -> bool:
    """Keep an outcome and demote the kind of case it speaks against. False: it is known already.

    An event may arrive long after it happened: trust is lost now, or what counted since would count twice.
    """
    row = {name: getattr(outcome, name) for name in Outcome.__slots__}
    if insert_new(connection, outcomes, [row]).rowcount != 1:
        return False
    body = {"kind": outcome.kind, "source": outcome.source, "at": outcome.at.isoformat()}
    append(connection, "outcome", outcome.proposal_id, body, now)
    found = connection.execute(
        select(proposals.c.case_kind, proposals.c.mode).where(proposals.c.id == outcome.proposal_id)
    ).one()
    cause = cause_of_outcome(outcome.proposal_id, Mode(found.mode), outcome.kind)
    if found.case_kind is not None and cause is not None:
        demote(connection, found.case_kind, cause=cause, at=now)
    return True


def asked_to_undo(connection: Connection, original: Proposal, undo: str, at: datetime) -> None:
    """Somebody undoes an automatic run, or a spot check, by the proposal `undo`.

    That was wrong whether or not it can still be undone. A person's own case waits for its undo to succeed.
    """
    if original.mode != Mode.ASKED:
        add_outcome(connection, Outcome(original.id, OutcomeKind.UNDONE, undo, at), at)


def record_outcome(
    connection: Connection, proposal_id: str, to: ProposalState, actor: str, at: datetime
) -> None:
    """Record what a proposal's new state says of trust: called by `advance`, in its transaction."""
    if to not in (ProposalState.SUCCEEDED, ProposalState.WITHDRAWN, *_WENT_WRONG):
        return
    own = connection.execute(
        select(proposals.c.mode, proposals.c.undo_of_id).where(proposals.c.id == proposal_id)
    ).one()
    if to == ProposalState.SUCCEEDED and own.undo_of_id is not None:
        add_outcome(connection, Outcome(own.undo_of_id, OutcomeKind.UNDONE, proposal_id, at), at)
    elif to == ProposalState.WITHDRAWN and actor not in tuple(Actor):
        add_outcome(connection, Outcome(proposal_id, OutcomeKind.UNDONE, f"taken back by {actor}", at), at)
    elif to in _WENT_WRONG and own.mode == Mode.AUTO:
        # Nobody has seen it yet, and now somebody has to.
        connection.execute(update(proposals).where(proposals.c.id == proposal_id).values(has_card=1))
        add_outcome(connection, Outcome(proposal_id, OutcomeKind.FAILED, to, at), at)
