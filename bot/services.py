"""The bundle that a step gets (store, clients, rules, clock), and the queues it may notify."""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from bot.permissions import Authority
from bot.rules import RuleSet
from bot.slack.client import Slack
from polar.client import PolarClient
from store import Store
from store.engine.errors import StoreError
from store.engine.leases import (
    EVENTS,
    EXECUTION,
    OUTBOX,
    PENDING_APPROVALS,
    RULE_MATCHES,
    HeldRow,
    renew_leases,
)
from store.messages.outbox import OutboxMessage
from store.models import Proposal, RuleMatch, StoredEvent
from store.proposals.decisions import PendingApproval

log = logging.getLogger(__name__)

Row = TypeVar("Row")

# What a killed program held is free after so long. A living one renews its leases long before.
LEASE = timedelta(seconds=20)
_RENEWED_EVERY = timedelta(seconds=5)
_LEASES = {
    StoredEvent: EVENTS,
    RuleMatch: RULE_MATCHES,
    PendingApproval: PENDING_APPROVALS,
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


class Held:
    """The rows that this process works on at the moment."""

    def __init__(self) -> None:
        self._rows: Counter[HeldRow] = Counter()
        self.renewed_at = datetime.min.replace(tzinfo=UTC)

    @contextmanager
    def working(self, row: HeldRow) -> Iterator[None]:
        """Somebody works on the row until the block ends: its lease is renewed."""
        self._rows[row] += 1
        try:
            yield
        finally:
            self._rows[row] -= 1
            self._rows = +self._rows

    def rows(self) -> list[HeldRow]:
        """All of them."""
        return list(self._rows)


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

    @property
    def held(self) -> HeldRow:
        """The row as one that is worked on."""
        return HeldRow.of(_LEASES[type(self.row)], self.token, self.row)


async def claim_rows(
    services: Services, due: Callable[..., Sequence[Row]], limit: int, **more: Any
) -> list[Claimed[Row]]:
    """Take rows that are due; `due` is the store's function for them, with `more` of its arguments."""
    token, now = new_token(), services.clock()
    found = await services.store.do(due, token=token, now=now, until=now + LEASE, limit=limit, **more)
    return [Claimed(row, token) for row in found]


async def keep_held(services: Services) -> None:
    """Renew the leases on what this process works on, unless that was done a moment ago. Before rows are
    claimed: however the clock jumps, no process takes from itself what it works on.
    """
    if abs(services.clock() - services.held.renewed_at) >= _RENEWED_EVERY:
        await _renew_held(services)


async def _renew_held(services: Services) -> None:
    now, held = services.clock(), services.held
    if rows := held.rows():
        await services.store.do(renew_leases, rows, now + LEASE)
    held.renewed_at = now


@asynccontextmanager
async def renewing(services: Services) -> AsyncIterator[None]:
    """Renew the leases on what this process works on every few seconds until the block ends."""
    task = asyncio.create_task(_again_and_again(services), name="leases")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _again_and_again(services: Services) -> None:
    while True:
        await asyncio.sleep(_RENEWED_EVERY.total_seconds())
        try:
            await _renew_held(services)
        except StoreError as error:
            log.warning("leases could not be renewed: %s", error)


def new_token() -> str:
    """A lease token that nobody else has."""
    return secrets.token_hex(8)


def backoff(attempts: int) -> timedelta:
    """The pause after the `attempts`-th try: 1 s, 2 s, 4 s … at most five minutes."""
    return min(timedelta(seconds=2 ** min(max(attempts - 1, 0), 9)), _BACKOFF_MOST)
