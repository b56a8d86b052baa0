"""Queries on the way from approved to an outcome: claim, mark each call before and after it is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from store.models import Call, CallState, Proposal, ProposalState
from store.proposals import advance, get_proposal, read_call
from store.tables import calls, events, firings, proposals

WORKER = "polar-approvals"


def claim_approved(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[Proposal]:
    """Take up to `limit` approved proposals that are due: each goes to `executing` under `token`."""
    due = connection.execute(
        select(proposals.c.id)
        .where(proposals.c.state == ProposalState.APPROVED, proposals.c.due_at <= now)
        .order_by(proposals.c.due_at)
        .limit(limit)
    ).scalars()
    taken = []
    for proposal_id in due.all():
        version = advance(
            connection,
            proposal_id,
            ProposalState.APPROVED,
            ProposalState.EXECUTING,
            actor=WORKER,
            at=now,
            claim=token,
            claimed_until=until,
            attempts=proposals.c.attempts + 1,
        )
        proposal = get_proposal(connection, proposal_id) if version is not None else None
        if proposal is not None:
            taken.append(proposal)
    return taken


def begin_call(connection: Connection, proposal_id: str, number: int, *, token: str, now: datetime) -> bool:
    """Note, before the first byte leaves, that a call is being sent. False: it must not be sent.

    Only a PLANNED call of a proposal still executing under `token` may be sent: this is what makes a
    write at most once, whatever is killed.
    """
    held = select(proposals.c.id).where(
        proposals.c.id == proposal_id,
        proposals.c.state == ProposalState.EXECUTING,
        proposals.c.claim == token,
        proposals.c.claimed_until > now,
    )
    result = connection.execute(
        update(calls)
        .where(calls.c.proposal_id.in_(held), calls.c.number == number, calls.c.state == CallState.PLANNED)
        .values(state=CallState.SENDING, started_at=now)
    )
    return result.rowcount == 1


def end_call(
    connection: Connection,
    proposal_id: str,
    number: int,
    *,
    state: CallState,
    now: datetime,
    status: int | None = None,
    error: str | None = None,
    answer: Any = None,
) -> None:
    """Note what came of a call that was being sent (or that it no longer applies and was skipped)."""
    connection.execute(
        update(calls)
        .where(
            calls.c.proposal_id == proposal_id,
            calls.c.number == number,
            calls.c.state.in_([CallState.SENDING, CallState.PLANNED, CallState.UNKNOWN]),
        )
        .values(state=state, status=status, error=error, answer=answer, finished_at=now)
    )


def finish_execution(
    connection: Connection,
    proposal_id: str,
    to: ProposalState,
    *,
    token: str,
    now: datetime,
    reason: str | None,
    due_at: datetime | None = None,
) -> int | None:
    """Leave `executing` for an outcome, or back to `approved` until `due_at`. None: the claim ran out.

    WITHDRAWN is reached over `approved`: it is for what was certainly not sent.
    """
    withdrawn = to == ProposalState.WITHDRAWN
    later = {} if due_at is None else {"due_at": due_at}
    version = advance(
        connection,
        proposal_id,
        ProposalState.EXECUTING,
        ProposalState.APPROVED if withdrawn else to,
        actor=WORKER,
        at=now,
        reason=reason,
        token=token,
        claim=None,
        claimed_until=None,
        **later,
    )
    if version is None or not withdrawn:
        return version
    return advance(connection, proposal_id, ProposalState.APPROVED, to, actor=WORKER, at=now, reason=reason)


def recover_stranded(connection: Connection, *, now: datetime, reason: str) -> int:
    """Close what a dead worker left in `executing`: how many proposals.

    A call that was being sent may have arrived, so the proposal becomes `unknown`. Where no call was
    being sent, nothing is in doubt and it goes back to `approved`.
    """
    stranded = connection.execute(
        select(proposals.c.id).where(
            proposals.c.state == ProposalState.EXECUTING,
            or_(proposals.c.claimed_until.is_(None), proposals.c.claimed_until <= now),
        )
    ).scalars()
    count = 0
    for proposal_id in stranded.all():
        in_doubt = connection.execute(
            update(calls)
            .where(and_(calls.c.proposal_id == proposal_id, calls.c.state == CallState.SENDING))
            .values(state=CallState.UNKNOWN, error=reason, finished_at=now)
        ).rowcount
        to, why = (ProposalState.UNKNOWN, reason) if in_doubt else (ProposalState.APPROVED, None)
        version = advance(
            connection,
            proposal_id,
            ProposalState.EXECUTING,
            to,
            actor=WORKER,
            at=now,
            reason=why,
            claim=None,
            claimed_until=None,
            due_at=now,
        )
        count += version is not None
    return count


def release_claims(connection: Connection) -> None:
    """At the start of the only process: whoever held a claim is dead, so nobody waits for it to run out."""
    for column in (
        events.c.claimed_until,
        firings.c.claimed_until,
        proposals.c.claimed_until,
        proposals.c.card_claimed_until,
    ):
        connection.execute(update(column.table).where(column.is_not(None)).values({column: None}))


@dataclass(frozen=True, slots=True)
class SentCall:
    """A call that reached or may have reached Polar, with its proposal."""

    proposal_id: str
    call: Call


def calls_sent_since(connection: Connection, since: datetime) -> Sequence[SentCall]:
    """The calls begun since `since` that were, or may have been, carried out: their echoes are ours."""
    ours = [CallState.SENDING, CallState.DONE, CallState.UNKNOWN]
    rows = connection.execute(
        select(calls).where(calls.c.started_at >= since, calls.c.state.in_(ours)).order_by(calls.c.started_at)
    )
    return [SentCall(row.proposal_id, read_call(row)) for row in rows]
