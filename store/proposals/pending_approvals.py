"""Queries on taps: an Approve is on disk before Slack is told that we have it, until its end is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select, update

from store.engine.dialects import insert_new
from store.models import Proposal
from store.proposals.proposals import get_proposal, touch
from store.schema import proposals, taps


@dataclass(frozen=True, slots=True)
class Tap:
    """One person's Approve of one edition of one proposal, by one way in (`button`, `thread`, `cli`, …).

    `id` names the row: given twice, it is the same Approve, delivered again. `tap` is one press of a button,
    however many proposals it approves. `channel` is where the person is told what came of it, should the
    program be restarted meanwhile.
    """

    id: str
    proposal_id: str
    edition: int
    actor: str
    via: str
    at: datetime
    tap: str | None = None
    reason: str | None = None
    channel: str | None = None


def leave_tap(
    connection: Connection, tap: Tap, *, token: str | None = None, until: datetime | None = None
) -> tuple[bool, Proposal | None]:
    """Keep a tap: whether it is new, and the proposal it is about (None: there is none, nothing is kept).

    With a `token` the caller sees to it himself until `until`; without, the lane "confirm" does.
    """
    proposal = get_proposal(connection, tap.proposal_id)
    if proposal is None:
        return False, None
    row = {name: getattr(tap, name) for name in Tap.__slots__} | {"claim": token, "claimed_until": until}
    return insert_new(connection, taps, [row]).rowcount == 1, proposal


def claim_taps(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[Tap]:
    """Take up to `limit` taps that nobody sees to, oldest first."""
    free = [taps.c.closed_at.is_(None), or_(taps.c.claimed_until.is_(None), taps.c.claimed_until < now)]
    due = select(taps.c.id).where(*free).order_by(taps.c.at).limit(limit)
    taken = connection.execute(
        update(taps).where(taps.c.id.in_(due), *free).values(claim=token, claimed_until=until).returning(taps)
    )
    return sorted((_tap(row) for row in taken), key=lambda tap: tap.at)


def leave_taps(
    connection: Connection, left: Sequence[Tap], *, token: str, until: datetime
) -> list[tuple[bool, Proposal | None]]:
    """Keep several taps, all of them or (with an error) none; what `leave_tap` says of each."""
    return [leave_tap(connection, tap, token=token, until=until) for tap in left]


def put_off_tap(connection: Connection, tap_id: str, *, token: str, due_at: datetime) -> bool:
    """Have a tap seen to again at `due_at`. False: the claim ran out."""
    result = connection.execute(update(taps).where(*_claimed(tap_id, token)).values(claimed_until=due_at))
    return result.rowcount == 1


def close_tap(connection: Connection, tap_id: str, *, token: str, came: str, at: datetime) -> bool:
    """Note what came of a tap, in the words its person is told. False: the claim ran out.

    The card no longer says that they are deciding: where their tap did not move it, it has its buttons again.
    """
    row = connection.execute(
        update(taps)
        .where(*_claimed(tap_id, token))
        .values(came=came, closed_at=at, claim=None, claimed_until=None)
        .returning(taps.c.proposal_id, taps.c.actor)
    ).first()
    if row is None:
        return False
    own = (proposals.c.id == row.proposal_id, proposals.c.deciding_by == row.actor)
    if connection.execute(select(proposals.c.id).where(*own)).first() is not None:
        touch(connection, row.proposal_id, at, deciding_by=None)
    return True


def _claimed(tap_id: str, token: str) -> tuple[ColumnElement[bool], ...]:
    return taps.c.id == tap_id, taps.c.claim == token, taps.c.closed_at.is_(None)


def _tap(row: Row[Any]) -> Tap:
    return Tap(**{name: getattr(row, name) for name in Tap.__slots__})
