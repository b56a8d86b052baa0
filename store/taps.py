"""Queries on taps: an Approve is on disk before Slack is told that we have it, until its end is known."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update

from store.database import insert_new
from store.models import Proposal
from store.proposals import get_proposal
from store.tables import taps


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


def close_tap(connection: Connection, tap_id: str, *, token: str, came: str, at: datetime) -> bool:
    """Note what came of a tap, in the words its person is told. False: the claim ran out."""
    result = connection.execute(
        update(taps)
        .where(taps.c.id == tap_id, taps.c.claim == token, taps.c.closed_at.is_(None))
        .values(came=came, closed_at=at, claim=None, claimed_until=None)
    )
    return result.rowcount == 1


def came_of_tap(connection: Connection, tap_id: str) -> str | None:
    """What came of a tap; None while it is open or unknown."""
    found: str | None = connection.execute(select(taps.c.came).where(taps.c.id == tap_id)).scalar()
    return found


def _tap(row: Row[Any]) -> Tap:
    return Tap(**{name: getattr(row, name) for name in Tap.__slots__})
