"""Queries on taps: an Approve is on disk before Slack is told that we have it, until its end is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from store.engine.dialects import insert_new
from store.models import Proposal
from store.proposals.proposals import get_proposal, touch
from store.schema import pending_approvals, proposals


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """One person's Approve of one revision of one proposal, by one way in (`button`, `thread`, `cli`, …).

    `id` names the row: given twice, it is the same Approve, delivered again. `tap` is one press of a button,
    however many proposals it approves. `channel` is where the person is told what came of it, should the
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


def add_pending_approval(
    connection: Connection, tap: PendingApproval, *, token: str | None = None, until: datetime | None = None
) -> tuple[bool, Proposal | None]:
    """Keep a tap: whether it is new, and the proposal it is about (None: there is none, nothing is kept).

    With a `token` the caller sees to it himself until `until`; without, the lane "confirm" does.
    """
    proposal = get_proposal(connection, tap.proposal_id)
    if proposal is None:
        return False, None
    row = {name: getattr(tap, name) for name in PendingApproval.__slots__} | {
        "lease_token": token,
        "lease_expires_at": until,
    }
    return insert_new(connection, pending_approvals, [row]).rowcount == 1, proposal


def claim_pending_approvals(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[PendingApproval]:
    """Take up to `limit` taps that nobody sees to, oldest first."""
    free = [
        pending_approvals.c.closed_at.is_(None),
        or_(pending_approvals.c.lease_expires_at.is_(None), pending_approvals.c.lease_expires_at < now),
    ]
    due = select(pending_approvals.c.id).where(*free).order_by(pending_approvals.c.at).limit(limit)
    taken = connection.execute(
        update(pending_approvals)
        .where(pending_approvals.c.id.in_(due), *free)
        .values(lease_token=token, lease_expires_at=until)
        .returning(pending_approvals)
    )
    return sorted((_tap(row) for row in taken), key=lambda tap: tap.at)


def add_pending_approvals(
    connection: Connection, left: Sequence[PendingApproval], *, token: str, until: datetime
) -> list[tuple[bool, Proposal | None]]:
    """Keep several taps, all of them or (with an error) none; what `add_pending_approval` says of each."""
    return [add_pending_approval(connection, tap, token=token, until=until) for tap in left]


def postpone_pending_approval(connection: Connection, tap_id: str, *, token: str, due_at: datetime) -> bool:
    """Have a tap seen to again at `due_at`. False: the claim ran out."""
    result = connection.execute(
        update(pending_approvals).where(*_claimed(tap_id, token)).values(lease_expires_at=due_at)
    )
    return result.rowcount == 1


def close_pending_approval(
    connection: Connection, tap_id: str, *, token: str, result: str, at: datetime
) -> bool:
    """Note the result of an approval, a status code. False: the claim ran out.

    The card no longer says that they are deciding: where their tap did not move it, it has its buttons again.
    """
    row = connection.execute(
        update(pending_approvals)
        .where(*_claimed(tap_id, token))
        .values(result=result, closed_at=at, lease_token=None, lease_expires_at=None)
        .returning(pending_approvals.c.proposal_id, pending_approvals.c.actor)
    ).first()
    if row is None:
        return False
    own = (proposals.c.id == row.proposal_id, proposals.c.approval_checking_by == row.actor)
    if connection.execute(select(proposals.c.id).where(*own)).first() is not None:
        touch(connection, row.proposal_id, at, approval_checking_by=None)
    return True


def _claimed(tap_id: str, token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        pending_approvals.c.id == tap_id,
        pending_approvals.c.lease_token == token,
        pending_approvals.c.closed_at.is_(None),
    )


def _tap(row: Row[Any]) -> PendingApproval:
    return PendingApproval(**{name: getattr(row, name) for name in PendingApproval.__slots__})
