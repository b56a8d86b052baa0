"""Timers: what expires, what people are reminded of, and what is escalated to named people."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, update

from store.messages.outbox import add_to_outbox
from store.models import Proposal, ProposalState
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import advance, read_proposals
from store.schema import pending_approvals, proposals

_MOST = 500  # in one reminder; nobody reads further
_PENDING = proposals.c.state == ProposalState.PENDING
_UNKNOWN = proposals.c.state == ProposalState.UNKNOWN
_UNCHECKED = ~(
    select(pending_approvals.c.id)
    .where(pending_approvals.c.proposal_id == proposals.c.id, pending_approvals.c.closed_at.is_(None))
    .exists()
)


def expire(connection: Connection, *, now: datetime, limit: int = 20) -> list[str]:
    """Close what nobody has decided in time; their ids. One whose Approve is being checked waits for that."""
    late = (
        select(proposals.c.id, proposals.c.deadline, proposals.c.expires_at)
        .where(_PENDING, proposals.c.expires_at <= now, _UNCHECKED)
        .order_by(proposals.c.expires_at)
        .limit(limit)
    )
    states, closed = (ProposalState.PENDING, ProposalState.EXPIRED), []
    for row in connection.execute(late).all():
        why = ReasonCode.DEADLINE_PASSED if row.deadline == row.expires_at else ReasonCode.EXPIRED
        if advance(connection, row.id, *states, at=now, reason=Reason(why)) is not None:
            closed.append(row.id)
    return closed


def to_remind(
    connection: Connection, *, older_than: datetime, reminded_before: datetime, now: datetime
) -> list[Proposal]:
    """All that wait since `older_than`, awake; none if a reminder is younger than `reminded_before`."""
    recent = select(proposals.c.id).where(_PENDING, proposals.c.reminded_at > reminded_before).limit(1)
    if connection.execute(recent).first() is not None:
        return []
    return _waiting(connection, [proposals.c.created_at <= older_than, _awake(now)])


def to_escalate(
    connection: Connection, *, older_than: datetime, deadline_before: datetime | None, now: datetime
) -> list[Proposal]:
    """The proposals that were not escalated and wait since `older_than`, or end before `deadline_before`."""
    due = [] if deadline_before is None else [proposals.c.deadline <= deadline_before]
    late = or_(proposals.c.created_at <= older_than, *due)
    return _waiting(connection, [late, proposals.c.escalated_at.is_(None), _awake(now)])


def in_doubt(
    connection: Connection, *, looks: int, again: datetime, escalated: bool = False
) -> list[Proposal]:
    """The proposals in `unknown` after all `looks`, the most money first: those not told of since `again`.
    `escalated`: instead those approved before `again` that nobody was called for.
    """
    due = or_(proposals.c.reminded_at.is_(None), proposals.c.reminded_at <= again)
    late = (proposals.c.decided_at <= again, proposals.c.escalated_at.is_(None))
    own = (_UNKNOWN, proposals.c.has_card == 1, proposals.c.verify_attempts >= looks)
    order = (proposals.c.worth.desc(), proposals.c.created_at)
    return read_proposals(connection, [*own, *(late if escalated else (due,))], order=order, limit=_MOST)


def _awake(now: datetime) -> ColumnElement[bool]:
    return or_(proposals.c.snoozed_until.is_(None), proposals.c.snoozed_until <= now)


def _waiting(connection: Connection, conditions: Sequence[ColumnElement[bool]]) -> list[Proposal]:
    """Pending ones that have a card, the most urgent first: by deadline, then by age."""
    order = (proposals.c.deadline.is_(None), proposals.c.deadline, proposals.c.created_at)
    where = [_PENDING, proposals.c.has_card == 1, *conditions]
    return read_proposals(connection, where, order=order, limit=_MOST)


def call_people(
    connection: Connection,
    kind: str,
    waiting: Sequence[Proposal],
    say: Callable[[Sequence[Proposal]], Mapping[str, Any]],
    at: datetime,
    *,
    window: timedelta,
) -> bool:
    """Note a reminder or an escalation, once for each `window` of time; no card changes. `say` is its message
    about those of `waiting` still due. False: another replica has done it since, and nothing is noted.
    """
    column, waits = _CALLS[kind]
    reminded = column is proposals.c.reminded_at
    again = or_(column.is_(None), column <= at - window) if reminded else column.is_(None)
    own = (proposals.c.id.in_([one.id for one in waiting]), waits, again)
    # Written before they are read: a rival waits here, and then finds none of them due.
    locked = update(proposals).where(*own).values({column: column}).returning(proposals.c.id)
    due = set(connection.execute(locked).scalars())
    if not due:
        return False
    number = int(at.timestamp() // max(window.total_seconds(), 1))
    message = say([one for one in waiting if one.id in due])
    if not add_to_outbox(connection, f"{kind}:{number}", kind=kind, message=message, at=at):
        return False
    connection.execute(update(proposals).where(proposals.c.id.in_(due)).values({column: at}))
    return True


_CALLS = {
    "reminder": (proposals.c.reminded_at, _PENDING),
    "escalation": (proposals.c.escalated_at, _PENDING),
    "doubt": (proposals.c.reminded_at, _UNKNOWN),
    "doubt escalation": (proposals.c.escalated_at, _UNKNOWN),
}
