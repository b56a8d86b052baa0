"""Wishes of the safe direction (decline, undo, hold, pause) for which Slack has not said who made them.

The wish of somebody who is listed by id takes effect at once and is kept until it is confirmed. Any other is
kept and takes effect when it is confirmed. A wish that is settled is deleted: what came of it stands in the
audit log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from sqlalchemy import Connection, delete

from store.engine.dialects import insert_new, row_of, value_of
from store.engine.leases import WISHES, Lease
from store.engine.writer import without_turn
from store.schema.waiting import wishes

T = TypeVar("T")

_TAKING = WISHES.taking(order=(wishes.c.at,))


class WishKind(StrEnum):
    """The wishes that only stop something."""

    DECLINE = "decline"
    UNDO = "undo"
    HOLD = "hold"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Wish:
    """One wish of `actor`, by one way in (`via`). `id` names the row: given twice, it is the same wish.

    `proposal_id` is None for a pause. `channel` is where the person is told the result. `would_run_at` is
    when the call that an undo has cancelled would have been made.
    """

    id: str
    kind: WishKind
    actor: str
    via: str
    at: datetime
    proposal_id: str | None = None
    revision: int | None = None
    interaction_id: str | None = None
    reason: str | None = None
    channel: str | None = None
    took_effect: bool = False
    would_run_at: datetime | None = None


def grant_wish(
    connection: Connection, wish: Wish, work: Callable[[Connection], tuple[bool, T]]
) -> tuple[bool, T]:
    """Carry a wish out and keep it until it is confirmed. What changed nothing (False) is not kept."""
    done, found = work(connection)
    if done:
        insert_new(connection, wishes, [row_of(wish) | {"took_effect": 1}])
    return done, found


def keep_wish(connection: Connection, wish: Wish, lease: Lease | None = None) -> None:
    """Keep a wish that takes effect once it is confirmed; one that is there already stays as it is. With a
    `lease` the caller sees to it.
    """
    held = {} if lease is None else {"lease_token": lease.token, "lease_expires_at": lease.until}
    insert_new(connection, wishes, [row_of(wish) | held])


@without_turn
def claim_wishes(
    connection: Connection, *, token: str, now: datetime, until: datetime, limit: int
) -> list[Wish]:
    """Take up to `limit` wishes that nobody sees to, oldest first."""
    taken = WISHES.take(connection, _TAKING, Lease(token, now, until), limit)
    return sorted((value_of(Wish, row) for row in taken), key=lambda wish: wish.at)


def postpone_wish(connection: Connection, wish_id: str, *, token: str, due_at: datetime) -> bool:
    """Let a wish be looked at again at `due_at`. False: the lease was lost."""
    return WISHES.extend(connection, token, wish_id, until=due_at)


def close_wish(
    connection: Connection, wish_id: str, *, token: str, work: Callable[[Connection], object] | None = None
) -> bool:
    """Settle a wish: `work` takes back what it did for a stranger. False: the lease was lost."""
    if connection.execute(delete(wishes).where(WISHES.held(token, wish_id))).rowcount != 1:
        return False
    if work is not None:
        work(connection)
    return True
