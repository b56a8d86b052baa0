"""What people do with a proposal beside deciding it: snooze, assign, hold, release, ask, edit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from store.audit_log.log import append, fingerprint
from store.messages.outbox import add_notice, coded
from store.models import Actor, CallState, CommentKind, OutboxCode, PlannedCall, Proposal, ProposalState
from store.proposals.comments import add_comment
from store.proposals.proposals import get_proposal, lock_proposal, touch
from store.schema import calls, proposals, revisions

# An approved proposal on hold is due in this year; what goes beyond it is the rest of its hold.
PINNED = datetime(9000, 1, 1, tzinfo=UTC)
_NOTHING = timedelta(0)
Came = tuple[bool, Proposal | None]  # whether it was done, and the proposal as it is now


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody's act: `said` in plain words for the record, `message` for the thread (None: no line)."""

    proposal_id: str
    actor: str
    said: str
    at: datetime
    message: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NewRevision:
    """What a proposal is to ask from now on; `revision` is the one that was looked at while editing."""

    revision: int
    title: str
    facts: tuple[tuple[str, str], ...]
    calls: tuple[PlannedCall, ...]
    changes: tuple[tuple[str, str, str], ...]
    content_hash: str
    risk: str
    always_asks: str | None
    amount: int | None
    currency: str | None


def snooze(connection: Connection, act: Act, until: datetime) -> Came:
    """Keep a pending proposal out of the queue and the reminders until then; never past its end."""
    found = lock_proposal(connection, act.proposal_id)
    ends = [at for at in (found.deadline, found.expires_at) if at is not None] if found else []
    if found is None or found.state != ProposalState.PENDING or any(until >= at for at in ends):
        return False, found
    return _done(connection, act, snoozed_until=until, snoozed_by=act.actor)


def due_snoozes(connection: Connection, now: datetime, said: str) -> list[str]:
    """Wake what was put aside until now; the ids. A line in its thread tells whoever put it aside.

    `said` is for the record, as in `Act`.
    """
    rows = connection.execute(
        select(proposals.c.id, proposals.c.snoozed_by).where(
            proposals.c.state == ProposalState.PENDING, proposals.c.snoozed_until <= now
        )
    ).all()
    for row in rows:
        line = coded(OutboxCode.BACK_FROM_SNOOZE, actor=row.snoozed_by)
        act = Act(row.id, Actor.PROGRAM, said, now, line)
        _done(connection, act, snoozed_until=None, snoozed_by=None)
    return [row.id for row in rows]


def assign(connection: Connection, act: Act, assignee: str) -> Came:
    """Ask one person to decide a pending proposal. Whether they may is for the caller to know."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.PENDING:
        return False, found
    return _done(connection, act, assignee=assignee)


def ask(connection: Connection, act: Act) -> Came:
    """Put a question into the thread of its card, whatever state it is in."""
    if get_proposal(connection, act.proposal_id) is None:
        return False, None
    return _done(connection, act, CommentKind.THREAD)


def hold(connection: Connection, act: Act) -> Came:
    """Let nobody approve it and nothing run until it is released; the clock of its hold stands still."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.held_by is not None:
        return False, found
    if found.state == ProposalState.PENDING:
        return _done(connection, act, held_by=act.actor)
    if found.state != ProposalState.APPROVED:
        return False, found
    rest = max(found.cancellable_until - act.at, _NOTHING) if found.cancellable_until else _NOTHING
    return _done(connection, act, held_by=act.actor, cancellable_until=PINNED + rest, due_at=PINNED + rest)


def release(connection: Connection, act: Act) -> Came:
    """Take back a hold: what was approved runs after the rest of its wait, or now."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.held_by is None:
        return False, found
    if found.state != ProposalState.APPROVED:
        return _done(connection, act, held_by=None)
    pinned = found.cancellable_until is not None and found.cancellable_until >= PINNED
    rest = found.cancellable_until - PINNED if pinned and found.cancellable_until is not None else _NOTHING
    return _done(connection, act, held_by=None, cancellable_until=act.at + rest, due_at=act.at + rest)


def give_reason(connection: Connection, act: Act, preset: str | None) -> Came:
    """Keep why something was declined; `act.said` is the reason, in somebody's own words or a preset's."""
    found = lock_proposal(connection, act.proposal_id)
    if found is None or found.state != ProposalState.DECLINED:
        return False, found
    return _done(connection, act, CommentKind.REASON, preset)


def edit(connection: Connection, act: Act, new: NewRevision) -> Came:
    """Make it ask something else: a new revision, which needs a decision of its own.

    Nothing is done when it is no longer pending, is being decided, or is no longer of `new.revision`.
    """
    found = lock_proposal(connection, act.proposal_id)
    if found is None or not _editable(found, new.revision):
        return False, found
    keep_revision(connection, found, superseded_by=act.actor, at=act.at)
    replace_calls(connection, found.id, new.calls)
    body = {
        "revision": new.revision + 1,
        "title": new.title,
        "by": act.actor,
        "content_hash": new.content_hash,
    }
    body |= {"changes": [list(one) for one in new.changes], "calls": _prints(new.calls)}
    body |= {"risk": new.risk, "amount": new.amount, "currency": new.currency}
    append(connection, "edited", found.id, body, act.at)
    return _done(
        connection,
        act,
        title=new.title,
        facts=[list(fact) for fact in new.facts],
        changes=[list(one) for one in new.changes],
        content_hash=new.content_hash,
        risk=new.risk,
        always_asks=new.always_asks,
        amount=new.amount,
        currency=new.currency,
        edited_by=act.actor,
        revision=new.revision + 1,
        first_shown_at=None,
    )


def _editable(found: Proposal, revision: int) -> bool:
    return (
        found.state == ProposalState.PENDING
        and found.approval_checking_by is None
        and found.revision == revision
    )


def keep_revision(connection: Connection, proposal: Proposal, *, superseded_by: str, at: datetime) -> None:
    """Write down what a proposal asks, before it asks something else."""
    row: dict[str, Any] = {"proposal_id": proposal.id, "revision": proposal.revision, "title": proposal.title}
    row |= {"reasons": list(proposal.reasons), "facts": [list(fact) for fact in proposal.facts]}
    row |= {
        "calls": [_planned(call) for call in proposal.calls],
        "superseded_by": superseded_by,
        "superseded_at": at,
    }
    connection.execute(insert(revisions), [row])


def replace_calls(connection: Connection, proposal_id: str, planned: Sequence[PlannedCall]) -> None:
    """Other calls for a proposal of which none has been sent."""
    connection.execute(delete(calls).where(calls.c.proposal_id == proposal_id))
    rows = [
        {"proposal_id": proposal_id, "number": number, "state": CallState.PLANNED} | _planned(call)
        for number, call in enumerate(planned)
    ]
    connection.execute(insert(calls), rows)


def _prints(planned: Sequence[PlannedCall]) -> list[dict[str, Any]]:
    return [fingerprint(call.operation, call.path, call.query, call.body) for call in planned]


def _planned(call: PlannedCall) -> dict[str, Any]:
    body = None if call.body is None else dict(call.body)
    return {"operation": call.operation, "path": dict(call.path), "query": dict(call.query), "body": body}


def _done(
    connection: Connection,
    act: Act,
    kind: CommentKind = CommentKind.ACT,
    preset: str | None = None,
    **values: Any,
) -> Came:
    """Set what the act sets, and write down the act and its line for the thread."""
    version = touch(connection, act.proposal_id, act.at, **values)
    add_comment(connection, act.proposal_id, kind, act.actor, act.said, at=act.at, preset=preset)
    if act.message is not None:
        add_notice(
            connection,
            f"act.{act.proposal_id}.{version}",
            kind="act",
            message=act.message,
            at=act.at,
            proposal_id=act.proposal_id,
        )
    return True, get_proposal(connection, act.proposal_id)
