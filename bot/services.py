"""The bundle that a step gets (store, clients, rules, clock), and the queues it may notify."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from bot.permissions import Authority
from bot.rules import RuleSet
from bot.slack.client import Slack
from polar.client import PolarClient
from store import Store
from store.engine.leases import (
    EVENTS,
    EXECUTION,
    OUTBOX,
    PENDING_APPROVALS,
    RULE_MATCHES,
    WISHES,
    Held,
    HeldRow,
    renew_leases,
)
from store.messages.outbox import OutboxMessage
from store.models import Proposal, RuleMatch, StoredEvent
from store.proposals.decisions import PendingApproval
from store.proposals.wishes import Wish

log = logging.getLogger(__name__)

Row = TypeVar("Row")

# What a killed program held is free after so long. A living one renews its leases long before.
LEASE = timedelta(seconds=20)
RENEWED_EVERY = timedelta(seconds=5)
_LEASES = {
    StoredEvent: EVENTS,
    RuleMatch: RULE_MATCHES,
    PendingApproval: PENDING_APPROVALS,
    Wish: WISHES,
    Proposal: EXECUTION,
    OutboxMessage: OUTBOX,
}
_BACKOFF_MOST = timedelta(minutes=5)
# Approvals that are settled at a time: in a burst of clicks all are stored and Slack is answered first.
_SETTLED_AT_ONCE = 16


class Queue(StrEnum):
    """The queues of background work, each a set of rows that are due. The value is its name in the log."""

    PROPOSE = "propose"  # stored events that wait for the rules
    DELAYED = "delayed rules"  # rules whose `delay` is over
    CONFIRM = "confirm"  # stored approvals that wait for the check against Polar
    WISHES = "wishes"  # declines, undos, holds and pauses that Slack has not confirmed
    ANNOUNCE = "announce"  # cards that are not posted, or behind their proposal
    OUTBOX = "outbox"  # messages that are no cards
    EXECUTE = "execute"  # approved proposals
    LEARN = "learn"  # decided cases that are not counted yet
    VERIFY = "verify"  # calls without an answer
    POLL = "poll"  # what Polar sends no webhook for
    RECOVER = "recover"  # proposals that a dead worker left executing
    HOME = "home"  # open Home tabs


class Notify(Protocol):
    """Tells queues that they may have work, so that they look at once."""

    def __call__(self, *queues: Queue) -> None:
        """Return at once; a queue that is not told looks by itself a little later."""


@dataclass(frozen=True, slots=True)
class Services:
    """The store, both clients, the rules, the permissions and the clock. `notify` tells queues of work."""

    store: Store
    polar: PolarClient
    slack: Slack
    rules: RuleSet
    authority: Authority
    channel: str
    clock: Callable[[], datetime]
    notify: Notify
    settling: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_SETTLED_AT_ONCE))
    held: Held = field(default_factory=Held)


@dataclass(frozen=True, slots=True)
class Claimed(Generic[Row]):
    """A row under our lease. What comes of it is written only while `token` holds the lease."""

    row: Row
    token: str
    held: HeldRow  # the row as one that is worked on


async def claim_rows(
    services: Services, due: Callable[..., Sequence[Row]], limit: int, **more: Any
) -> list[Claimed[Row]]:
    """Take rows that are due; `due` is the store's function for them, with `more` of its arguments."""
    token, now = new_token(), services.clock()
    found = await services.store.do(due, token=token, now=now, until=now + LEASE, limit=limit, **more)
    return [Claimed(row, token, HeldRow.of(_LEASES[type(row)], token, row)) for row in found]


async def keep_held(services: Services, renewed_every: timedelta = RENEWED_EVERY) -> None:
    """Renew the leases on what this process works on, unless that was done a moment ago. Before rows are
    claimed: however the clock jumps, no process takes from itself what it works on.
    """
    now, held = services.clock(), services.held
    if abs(now - held.renewed_at) < renewed_every:
        return
    if rows := held.rows():
        await services.store.do(renew_leases, rows, now + LEASE)
    held.renewed_at = now


def new_token() -> str:
    """A lease token that nobody else has."""
    return secrets.token_hex(8)


def backoff(attempts: int) -> timedelta:
    """The pause after the `attempts`-th try: 1 s, 2 s, 4 s … at most five minutes."""
    return min(timedelta(seconds=2 ** min(max(attempts - 1, 0), 9)), _BACKOFF_MOST)
