"""Execution: from approved to an outcome, at most once a call, and the looks at what Polar never answered."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, and_, bindparam, or_, select, update

from store.audit_log.log import append, fingerprint
from store.engine.dialects import row_of, value_of
from store.engine.leases import EXECUTION, NOW, UNKNOWN, Lease
from store.engine.writer import without_turn
from store.graduation.case_kinds import get_case_kind, last_human, paused
from store.models import (
    WENT_WRONG,
    Actor,
    CallState,
    CaseKindState,
    Mode,
    PlannedCall,
    Proposal,
    ProposalKind,
    ProposalState,
)
from store.models.graduation import ExecutionGuard
from store.models.reasons import Reason, ReasonCode, columns_of
from store.proposals.proposals import advance, get_proposal, lock_proposal, touch, with_calls
from store.schema import calls, proposals

_UNGUARDED = ExecutionGuard()
_LONGEST_LEASE = timedelta(minutes=15)
# What people were told of it while it waited for a decision says nothing of its result.
_UNTOLD: Mapping[str, Any] = {"reminded_at": None, "escalated_at": None}
# Built once: every execution needs them.
_DUE = (
    select(proposals.c.id, proposals.c.mode, proposals.c.decided_by, proposals.c.attempts)
    .where(
        proposals.c.state == ProposalState.APPROVED,
        proposals.c.kind == ProposalKind.CALLS,
        proposals.c.due_at <= bindparam("now"),
        proposals.c.held_by.is_(None),
    )
    .order_by(proposals.c.due_at)
    .limit(bindparam("most", type_=Integer))
)
_TAKEN = (
    select(proposals).where(proposals.c.id.in_(bindparam("ids", expanding=True))).order_by(proposals.c.due_at)
)
_HELD = (
    update(proposals)
    .where(
        proposals.c.id == bindparam("own"),
        proposals.c.lease_token == bindparam("held"),
        proposals.c.state == ProposalState.EXECUTING,
        proposals.c.lease_expires_at > bindparam("now"),
    )
    .values(lease_token=proposals.c.lease_token)
    .returning(proposals.c.id, proposals.c.mode, proposals.c.decided_by)
)
_TAKING_UNKNOWN = UNKNOWN.taking(
    proposals.c.due_at <= NOW,
    proposals.c.verify_attempts < bindparam("most_attempts"),
    order=(proposals.c.due_at,),
    verify_attempts=proposals.c.verify_attempts + 1,
)
_SENT = (
    update(calls)
    .where(
        calls.c.proposal_id == bindparam("own"),
        calls.c.number == bindparam("of"),
        calls.c.state == CallState.PLANNED,
    )
    .values(state=CallState.SENDING)
    .returning(calls.c.operation, calls.c.path, calls.c.query, calls.c.body)
)


def claim_approved(
    connection: Connection,
    *,
    token: str,
    now: datetime,
    until: datetime,
    limit: int,
    guard: ExecutionGuard = _UNGUARDED,
) -> list[Proposal]:
    """Take up to `limit` that are due into `executing`; what the `guard` forbids the policy asks a person."""
    taken, states = [], (ProposalState.APPROVED, ProposalState.EXECUTING)
    lease: dict[str, Any] = {"lease_token": token, "lease_expires_at": until}
    for row in connection.execute(_DUE, {"now": now, "most": limit}).all():
        if not _may_run(connection, row, now, guard):
            revert_to_manual(connection, row.id, now)
        elif advance(connection, row.id, *states, at=now, attempts=row.attempts + 1, **lease) is not None:
            taken.append(row.id)
    if not taken:
        return []
    rows = connection.execute(_TAKEN, {"ids": taken})
    return with_calls(connection, [value_of(Proposal, row, calls=()) for row in rows])


def _may_run(connection: Connection, row: Any, now: datetime, guard: ExecutionGuard) -> bool:
    """As `may_still_run`, which need not be asked about what a person approved."""
    alone = row.mode == Mode.AUTO and row.decided_by == Actor.POLICY
    return not alone or may_still_run(connection, row.id, now, guard)


def may_still_run(connection: Connection, proposal_id: str, now: datetime, guard: ExecutionGuard) -> bool:
    """Tell whether what the policy approved may still be sent; what a person approved always may.

    It may not when its kind was demoted or set aside since, everything was paused, nobody has decided
    anything for too long, it waited too long, or the policy has become another one. What was begun is
    finished.
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
    if case_kind.set_aside is not None:
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


def _executing(token: str, proposal_id: str) -> ColumnElement[bool]:
    return and_(EXECUTION.held(token, proposal_id), proposals.c.state == ProposalState.EXECUTING)


def begin_call(
    connection: Connection,
    proposal_id: str,
    number: int,
    *,
    token: str,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    guard: ExecutionGuard = _UNGUARDED,
) -> bool:
    """Note, before the first byte leaves, that a call is being sent. False: it must not be sent.

    `before` are the fields it changes as they were, to write them back. Only a PLANNED call of a proposal
    still executing under `token` may be sent: this is what makes a write at most once, whatever is killed.
    The proposal's row is written first: a rival who takes it over (`recover_stranded`) comes before or after.
    """
    held = connection.execute(_HELD, {"own": proposal_id, "held": token, "now": now}).first()
    if held is None or not _may_run(connection, held, now, guard):
        return False
    own = {"own": proposal_id, "of": number}
    given = own | {"started_at": now, "before": None if before is None else dict(before)}
    result = connection.execute(_SENT, given).first()
    if result is None:
        return False
    append(connection, "request", proposal_id, {"number": number} | fingerprint(*result), now)
    return True


def end_call(
    connection: Connection,
    proposal_id: str,
    number: int,
    *,
    token: str,
    state: CallState,
    now: datetime,
    status: int | None = None,
    reason: Reason | None = None,
    answer: Any = None,
) -> bool:
    """Note the result of a call. False: the lease has gone to somebody else."""
    held = calls.c.proposal_id.in_(select(proposals.c.id).where(EXECUTION.held(token, proposal_id)))
    open_states = [CallState.SENDING, CallState.PLANNED, CallState.UNKNOWN]
    said = {"state": state, "status": status, "answer": answer} | columns_of(reason)
    return _note_answer(connection, proposal_id, number, said, now, held, calls.c.state.in_(open_states))


def _note_answer(
    connection: Connection,
    proposal_id: str,
    number: int,
    said: dict[str, Any],
    now: datetime,
    *which: ColumnElement[bool],
) -> bool:
    """Write what became of a call, into the log too. False: it is none of `which`; nothing is written."""
    own = (calls.c.proposal_id == proposal_id, calls.c.number == number, *which)
    result = connection.execute(update(calls).where(*own).values(said | {"finished_at": now}))
    if result.rowcount != 1:
        return False
    append(connection, "answer", proposal_id, {"number": number} | said, now)
    return True


def answer_late(
    connection: Connection,
    proposal_id: str,
    number: int,
    *,
    started_at: datetime,
    state: CallState,
    now: datetime,
    status: int | None = None,
    reason: Reason | None = None,
    answer: Any = None,
) -> bool:
    """Note what became of a call whose lease was lost, whoever has the proposal by now: an answer counts for
    more than a guess, a person's too. False: it was sent once more since, or nothing was guessed.

    The proposal goes on as its calls then stand.
    """
    found = lock_proposal(connection, proposal_id)
    call = None if found is None else next((one for one in found.calls if one.number == number), None)
    if found is None or call is None or call.started_at != started_at or state == CallState.UNKNOWN:
        return False
    if call.state not in (CallState.SENDING, CallState.UNKNOWN) and not call.in_doubt:
        return False
    said = {"state": state, "status": status, "answer": answer} | columns_of(reason)
    _note_answer(connection, proposal_id, number, said, now)
    to = state_after_unknown(connection, proposal_id)
    if found.state == ProposalState.FAILED and to == ProposalState.SUCCEEDED:
        to = ProposalState.APPROVED  # nothing is left to be sent: the next run stores the result
    if found.state in WENT_WRONG and to is not None and to != found.state:
        gone: dict[str, Any] = {"lease_token": None, "lease_expires_at": None, "due_at": now}
        refused = to == ProposalState.FAILED and reason is not None
        why = Reason.of(ReasonCode.CALLS_REFUSED, reason) if refused and reason is not None else None
        advance(connection, proposal_id, found.state, to, at=now, reason=why, **gone)
    return True


def finish_execution(
    connection: Connection,
    proposal_id: str,
    to: ProposalState,
    *,
    token: str,
    now: datetime,
    reason: Reason | None,
    due_at: datetime | None = None,
) -> int | None:
    """Leave `executing` for an outcome, or back to `approved` until `due_at`; over it to WITHDRAWN, for what
    was certainly not sent. None: the lease was lost.
    """
    withdrawn = to == ProposalState.WITHDRAWN
    later: dict[str, Any] = {} if due_at is None else {"due_at": due_at}
    later |= _UNTOLD if to == ProposalState.UNKNOWN else {}
    states = (ProposalState.EXECUTING, ProposalState.APPROVED if withdrawn else to)
    version = advance(connection, proposal_id, *states, at=now, reason=reason, token=token, **later)
    if version is not None and withdrawn:
        from_ = ProposalState.APPROVED
        version = advance(connection, proposal_id, from_, to, at=now, reason=reason)
    return version


def recover_stranded(
    connection: Connection,
    *,
    now: datetime,
    but: Collection[str] = (),
    answers_within: timedelta | None = None,
) -> int:
    """Close what a dead worker left in `executing`; the number of proposals. `but`: ids of what this process
    executes, however its lease stands.

    A call that was being sent may have arrived: `unknown`. Where none is in doubt: back to `approved`. The
    worker may only seem dead: `answers_within` is the longest that it waits for an answer (None: it is dead).
    """
    at = proposals.c.lease_expires_at
    # No lease is so long: that one was taken before the clock was set back.
    over = or_(at.is_(None), at <= now, at > now + _LONGEST_LEASE)
    # Taking the lease away first: from here on its holder, should it still live, can begin no call.
    stranded = (
        update(proposals)
        .where(proposals.c.state == ProposalState.EXECUTING, over, proposals.c.id.not_in(but))
        .values(lease_token=None, lease_expires_at=None)
        .returning(proposals.c.id)
    )
    ids = connection.execute(stranded).scalars().all()
    return sum(_close_stranded(connection, proposal_id, now, answers_within) for proposal_id in ids)


def _close_stranded(
    connection: Connection, proposal_id: str, now: datetime, answers_within: timedelta | None
) -> bool:
    # From now: what a clock that was set says of the beginning is not believed.
    until = None if answers_within is None else (now + answers_within).isoformat()
    reason = Reason.of(ReasonCode.STRANDED, until=until)
    own = calls.c.proposal_id == proposal_id
    connection.execute(
        update(calls)
        .where(own, calls.c.state == CallState.SENDING)
        .values(state=CallState.UNKNOWN, finished_at=now, **columns_of(reason))
    )
    doubtful = select(calls.c.number).where(own, calls.c.state == CallState.UNKNOWN).limit(1)
    in_doubt = connection.execute(doubtful).first() is not None
    to, why = (ProposalState.UNKNOWN, reason) if in_doubt else (ProposalState.APPROVED, None)
    more = _UNTOLD if in_doubt else {}
    states = (ProposalState.EXECUTING, to)
    version = advance(connection, proposal_id, *states, at=now, reason=why, due_at=now, **more)
    return version is not None


def bind_call(connection: Connection, proposal_id: str, number: int, *, token: str, to: PlannedCall) -> None:
    """Write into a planned call what the answers before it gave, unless the lease was lost: it is sent so."""
    held = select(proposals.c.id).where(_executing(token, proposal_id))
    connection.execute(
        update(calls)
        .where(calls.c.proposal_id.in_(held), calls.c.number == number, calls.c.state == CallState.PLANNED)
        .values(row_of(PlannedCall.of(to)))
    )


@without_turn
def claim_unknown(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int, most_attempts: int
) -> list[Proposal]:
    """Take up to `limit` proposals in `unknown` that are due, verified less than `most_attempts` times."""
    lease = Lease(token, now, until)
    taken = UNKNOWN.take(connection, _TAKING_UNKNOWN, lease, limit, most_attempts=most_attempts)
    return with_calls(connection, [value_of(Proposal, row, calls=()) for row in taken])


def claim_one_unknown(
    connection: Connection, proposal_id: str, *, token: str, now: datetime, until: datetime
) -> Proposal | None:
    """Take one in `unknown` for a person's look, and count its attempts anew. None: one is under way."""
    own = UNKNOWN.taking_those(proposals.c.id == proposal_id, verify_attempts=1, due_at=now)
    taken = UNKNOWN.take(connection, own, Lease(token, now, until))
    return get_proposal(connection, proposal_id) if taken else None


def postpone_unknown(
    connection: Connection,
    proposal_id: str,
    *,
    token: str,
    due_at: datetime,
    redrawn_at: datetime | None = None,
) -> None:
    """Let a proposal in doubt be looked at again at `due_at`. Its card offers more from `redrawn_at` on."""
    if EXECUTION.release(connection, token, proposal_id, due_at=due_at) and redrawn_at is not None:
        touch(connection, proposal_id, redrawn_at)


def find_done(connection: Connection, proposal_id: str, *, token: str, now: datetime) -> bool:
    """Leave `unknown` when no call is in doubt any more; True when it did.

    All done: `succeeded`. Some never sent: back to `approved`, to go on with those. Some refused: `failed`.
    """
    to, found = state_after_unknown(connection, proposal_id), Reason(ReasonCode.FOUND_DONE)
    if to is None:
        return False
    move: dict[str, Any] = {"at": now, "reason": found, "token": token, "due_at": now}
    return advance(connection, proposal_id, ProposalState.UNKNOWN, to, **move) is not None


def state_after_unknown(connection: Connection, proposal_id: str) -> ProposalState | None:
    """The state that follows `unknown` as its calls stand; None while one of them is still in doubt."""
    own = calls.c.proposal_id == proposal_id
    states = set(connection.execute(select(calls.c.state).where(own)).scalars())
    if CallState.UNKNOWN in states or CallState.SENDING in states:
        return None
    if CallState.REFUSED in states:
        return ProposalState.FAILED
    return ProposalState.APPROVED if CallState.PLANNED in states else ProposalState.SUCCEEDED
