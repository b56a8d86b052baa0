"""Decisions: an Approve is kept before Slack is told that we have it, and exactly one decision wins."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, literal_column, select, union_all, update

from store.audit_log.log import append
from store.engine.dialects import insert_new, row_of, stream_rows, value_of
from store.engine.leases import PENDING_APPROVALS, Lease
from store.engine.writer import without_turn
from store.events.events import get_event
from store.graduation.case_kinds import record_human_activity
from store.messages.outbox import add_to_outbox
from store.models import CallState, Decision, Proposal, ProposalState, StoredEvent, Verdict
from store.models.reasons import Reason, ReasonCode
from store.proposals.details import approvals
from store.proposals.proposals import advance, get_proposal, lock_proposal, touch
from store.schema import decisions, pending_approvals, proposals

# Built once: every tap needs these.
_TAKING = PENDING_APPROVALS.taking(order=(pending_approvals.c.at,))
_A_PROPOSAL, _AN_APPROVAL = 1, 2
_THERE = union_all(
    select(literal_column(str(_A_PROPOSAL)).label("kind"), proposals.c.id).where(
        proposals.c.id.in_(bindparam("about", expanding=True))
    ),
    select(literal_column(str(_AN_APPROVAL)).label("kind"), pending_approvals.c.id).where(
        pending_approvals.c.id.in_(bindparam("own", expanding=True))
    ),
)
_CLOSED = (
    update(pending_approvals)
    .where(pending_approvals.c.id == bindparam("own"), pending_approvals.c.lease_token == bindparam("held"))
    .values(lease_token=None, lease_expires_at=None)
    .returning(pending_approvals.c.proposal_id, pending_approvals.c.actor)
)
_BECOMES = {Verdict.APPROVE: ProposalState.APPROVED, Verdict.DECLINE: ProposalState.DECLINED}


class DecisionError(StrEnum):
    """The reasons for which a decision does not count."""

    SETTLED = "settled"  # it is no longer pending
    CHANGED = "changed"  # it asks something else than what the person saw
    ON_HOLD = "on hold"


@dataclass(frozen=True, slots=True)
class ApprovalRequirements:
    """The number of different people that an approval takes, and how long it then waits before it runs."""

    people: int = 1
    hold: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """One person's Approve of one revision of one proposal, by one way in (`button`, `thread`, `cli`, …).

    `id` names the row: given twice, it is the same Approve, delivered again. `interaction_id` is one press of
    a button, however many proposals it approves. `channel` is where the person is told the result, should the
    program be restarted meanwhile.
    """

    id: str
    proposal_id: str
    revision: int
    actor: str
    via: str
    at: datetime
    interaction_id: str | None = None
    reason: str | None = None
    channel: str | None = None


def decision_error(proposal: Proposal, verdict: Verdict, revision: int) -> DecisionError | None:
    """The reason for which a decision on `revision` does not count, whoever takes it; None: it counts."""
    if proposal.state != ProposalState.PENDING:
        return DecisionError.SETTLED
    if proposal.revision != revision:
        return DecisionError.CHANGED
    held = verdict == Verdict.APPROVE and proposal.held_by is not None
    return DecisionError.ON_HOLD if held else None


def decide(
    connection: Connection,
    decision: Decision,
    required: ApprovalRequirements = ApprovalRequirements(),
    *,
    without: Collection[str] = (),
) -> tuple[bool, Proposal | None]:
    """Decide a pending proposal: True when this decision counts, and the proposal as it is now.

    (False, None): there is no such proposal. (False, proposal): `decision_error` says why, or else the same
    person has approved this revision before. A first approval of two counts and leaves it pending. Approvals
    by users in `without` stay recorded but are not counted.
    """
    proposal = lock_proposal(connection, decision.proposal_id)
    if proposal is None or decision_error(proposal, decision.verdict, decision.revision) is not None:
        return False, proposal
    approves = decision.verdict == Verdict.APPROVE
    said = approvals(connection, decision.proposal_id, decision.revision) if approves else []
    standing = {actor for actor in said if actor not in without}
    if decision.actor in standing and len(standing) < required.people:
        return False, proposal
    shown_at = decision.shown_at or proposal.first_shown_at
    _record(connection, replace(decision, shown_at=shown_at), proposal.content_hash)
    record_human_activity(connection, decision, proposal)
    if approves and len(standing | {decision.actor}) < required.people:
        touch(connection, decision.proposal_id, decision.at, approval_checking_by=None)
    else:
        _settle(connection, decision, required.hold if approves else timedelta(0))
    return True, get_proposal(connection, decision.proposal_id)


class LeaseLost(Exception):
    """Somebody else sees to the pending approval now, and their word counts: nothing was written."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A pending approval to close, held under `token`, and its result as the first of two or as the last."""

    approval_id: str
    token: str
    as_first: str
    as_last: str


def decide_and_close(
    connection: Connection,
    closing: Closing,
    decision: Decision,
    required: ApprovalRequirements,
    *,
    without: Collection[str] = (),
) -> tuple[bool, Proposal | None]:
    """Decide as `decide` does, by a pending approval, which is closed when it counts. Raises LeaseLost."""
    counts, proposal = decide(connection, decision, required, without=without)
    if counts and proposal is not None:
        # The decision has taken `approval_checking_by` away.
        result = closing.as_first if proposal.state == ProposalState.PENDING else closing.as_last
        closed = _close(connection, closing.approval_id, token=closing.token, result=result, at=decision.at)
        if closed is None:  # raised, it takes the decision back with it
            raise LeaseLost
    return counts, proposal


def _settle(connection: Connection, decision: Decision, hold: timedelta) -> None:
    due_at = decision.at + hold
    said = None if decision.reason is None else Reason.of(ReasonCode.GIVEN, text=decision.reason)
    values: dict[str, Any] = {"decided_by": decision.actor, "decided_at": decision.at, "due_at": due_at}
    values |= {"approval_checking_by": None, "cancellable_until": due_at if hold else None}
    values |= {"actor": decision.actor, "reason": said}
    states = (ProposalState.PENDING, _BECOMES[decision.verdict])
    advance(connection, decision.proposal_id, *states, at=decision.at, **values)


def _record(connection: Connection, decision: Decision, content_hash: str | None) -> None:
    row = row_of(decision)
    connection.execute(insert(decisions), [row])
    body = {name: row[name] for name in ("actor", "verdict", "via", "revision", "interaction_id", "reason")}
    for name in ("shown_at", "clicked_at"):
        body[name] = None if row[name] is None else row[name].isoformat()
    body["content_hash"] = content_hash
    append(connection, "decision", decision.proposal_id, body, decision.at)


@dataclass(frozen=True, slots=True)
class Asked:
    """A proposal that somebody approves, who has approved it in that revision, and the event it is about."""

    proposal: Proposal
    approvals: Sequence[str]
    event: StoredEvent | None


@without_turn
def asked(connection: Connection, proposal_id: str, revision: int) -> Asked | None:
    """Read what has to be known to settle an Approve; None when there is no such proposal."""
    proposal = get_proposal(connection, proposal_id)
    if proposal is None:
        return None
    event = None if proposal.event_id is None else get_event(connection, proposal.event_id)
    return Asked(proposal, approvals(connection, proposal_id, revision), event)


def cancel_approved(
    connection: Connection, proposal_id: str, *, actor: str, at: datetime
) -> tuple[bool, Proposal | None]:
    """Withdraw what is approved while nothing of it was sent: True when in time, and how it is now.

    While it is being checked (`executing`, no call begun) it is in time too: the lease ends here, and without
    it `begin_call` sends nothing.
    """
    proposal = lock_proposal(connection, proposal_id)
    if (
        proposal is None
        or proposal.state not in (ProposalState.APPROVED, ProposalState.EXECUTING)
        or any(call.state != CallState.PLANNED for call in proposal.calls)
    ):
        return False, proposal
    if proposal.state == ProposalState.EXECUTING:
        states = (ProposalState.EXECUTING, ProposalState.APPROVED)
        advance(connection, proposal_id, *states, at=at, lease_token=None, lease_expires_at=None)
    states = (ProposalState.APPROVED, ProposalState.WITHDRAWN)
    reason = Reason.of(ReasonCode.UNDONE_IN_TIME, actor=actor, doubt=proposal.in_doubt or None)
    advance(connection, proposal_id, *states, actor=actor, at=at, reason=reason, cancellable_until=None)
    return True, get_proposal(connection, proposal_id)


def reopen_declined(
    connection: Connection, proposal_id: str, *, actor: str, at: datetime, notice: Mapping[str, Any]
) -> bool:
    """Take back a decline by `actor`, who turned out to be a stranger: it waits for a decision again. An undo
    stays declined, because it can be asked for anew. False: it is not declined by them. `notice` is for the
    thread of its card.
    """
    found = lock_proposal(connection, proposal_id)
    if found is None or found.decided_by != actor or not _may_come_back(found):
        return False
    states = (ProposalState.DECLINED, ProposalState.PENDING)
    act = _TakenBack(found.id, states, actor, at, notice)
    return _take_back(connection, act, decided_by=None, decided_at=None)


def renew_approved(
    connection: Connection,
    proposal_id: str,
    *,
    actor: str,
    at: datetime,
    rest: timedelta,
    notice: Mapping[str, Any],
) -> bool:
    """Take back an undo in time by `actor`, who turned out to be a stranger: it runs after the rest of its
    wait. False: it is not they who undid it. `notice` as in `reopen_declined`.
    """
    found = lock_proposal(connection, proposal_id)
    why = None if found is None else found.status_reason
    theirs = why is not None and why.code is ReasonCode.UNDONE_IN_TIME and why.args.get("actor") == actor
    if found is None or not theirs or not _may_come_back(found):
        return False
    until, states = at + rest, (ProposalState.WITHDRAWN, ProposalState.APPROVED)
    waits = {"due_at": until, "cancellable_until": until if rest else None}
    return _take_back(connection, _TakenBack(found.id, states, actor, at, notice), **waits)


def _may_come_back(found: Proposal) -> bool:
    """An undo can be asked for anew; of an erased one the texts that it would send are gone."""
    return found.undo_of_id is None and found.erased_at is None


@dataclass(frozen=True, slots=True)
class _TakenBack:
    proposal_id: str
    states: tuple[ProposalState, ProposalState]
    actor: str
    at: datetime
    notice: Mapping[str, Any]


def _take_back(connection: Connection, act: _TakenBack, **values: Any) -> bool:
    reason, about = Reason.of(ReasonCode.STRANGER, actor=act.actor), act.proposal_id
    version = advance(connection, about, *act.states, at=act.at, reason=reason, **values)
    if version is not None:
        name = f"act.{about}.{version}"
        add_to_outbox(connection, name, kind="act", message=act.notice, at=act.at, proposal_id=about)
    return version is not None


def all_decisions(connection: Connection, *, after: int = 0, until: int | None = None) -> Iterator[Decision]:
    """Every decision, or those with a number after `after` and up to `until`, oldest first. Go through it
    inside the transaction: it is read as you go.
    """
    wanted = select(decisions).where(decisions.c.id > after).order_by(decisions.c.id)
    if until is not None:
        wanted = wanted.where(decisions.c.id <= until)
    for row in connection.execute(stream_rows(wanted)):
        yield value_of(Decision, row)


def newest_decision(connection: Connection) -> int:
    """The number of the newest decision; 0 before the first."""
    newest: int | None = connection.execute(select(func.max(decisions.c.id))).scalar()
    return newest or 0


class Added(StrEnum):
    """The result of keeping an Approve."""

    NEW = "new"
    REPEATED = "repeated"  # kept already
    NO_PROPOSAL = "no_proposal"  # nothing is kept


def add_pending_approvals(
    connection: Connection,
    left: Sequence[PendingApproval],
    *,
    token: str | None = None,
    until: datetime | None = None,
) -> list[Added]:
    """Keep several, all of them or (with an error) none; the result for each. With a `token` the caller sees
    to them until `until`; without, the queue "confirm". No proposal is read here: Slack waits for the commit.
    """
    own, about = {one.id for one in left}, {one.proposal_id for one in left}
    found = connection.execute(_THERE, {"own": sorted(own), "about": sorted(about)})
    there = {(row.kind, row.id) for row in found}

    def result(one: PendingApproval) -> Added:
        if (_A_PROPOSAL, one.proposal_id) not in there:
            return Added.NO_PROPOSAL
        return Added.REPEATED if (_AN_APPROVAL, one.id) in there else Added.NEW

    results = [result(one) for one in left]
    rows = [
        row_of(one) | {"lease_token": token, "lease_expires_at": until}
        for one, added in zip(left, results, strict=True)
        if added is Added.NEW
    ]
    if rows:
        insert_new(connection, pending_approvals, rows)
    return results


@without_turn
def claim_pending_approvals(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[PendingApproval]:
    """Take up to `limit` that nobody sees to, oldest first."""
    taken = PENDING_APPROVALS.take(connection, _TAKING, Lease(token, now, until), limit)
    return sorted((value_of(PendingApproval, row) for row in taken), key=lambda approval: approval.at)


def postpone_pending_approval(
    connection: Connection, approval_id: str, *, token: str, due_at: datetime
) -> bool:
    """Let an Approve be handled again at `due_at`. False: the lease was lost."""
    return PENDING_APPROVALS.extend(connection, token, approval_id, until=due_at)


def close_pending_approval(
    connection: Connection, approval_id: str, *, token: str, result: str, at: datetime
) -> bool:
    """Note the result of an Approve, a status code. False: the lease was lost.

    The card no longer says that they are deciding: where it did not move, it has its buttons again.
    """
    row = _close(connection, approval_id, token=token, result=result, at=at)
    if row is None:
        return False
    own = (proposals.c.id == row.proposal_id, proposals.c.approval_checking_by == row.actor)
    if connection.execute(select(proposals.c.id).where(*own)).first() is not None:
        touch(connection, row.proposal_id, at, approval_checking_by=None)
    return True


def _close(
    connection: Connection, approval_id: str, *, token: str, result: str, at: datetime
) -> Row[Any] | None:
    given = {"own": approval_id, "held": token, "result": result, "closed_at": at}
    return connection.execute(_CLOSED, given).first()
