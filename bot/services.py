"""The bundle that a step gets (store, clients, rules, clock), and the queues it may notify."""

import asyncio
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

Row = TypeVar("Row")

# Longer than any step can take (a rate-limited read sits out a minute, twice): a lease ends only under a dead
# worker.
LEASE = timedelta(minutes=5)
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


@dataclass(frozen=True, slots=True)
class Claimed(Generic[Row]):
    """A row under our lease. What comes of it is written only while `token` holds the lease."""

    row: Row
    token: str


async def claim_rows(
    services: Services, due: Callable[..., Sequence[Row]], limit: int, **more: Any
) -> list[Claimed[Row]]:
    """Take rows that are due; `due` is the store's function for them, with `more` of its arguments."""
    token, now = new_token(), services.clock()
    found = await services.store.do(due, token=token, now=now, until=now + LEASE, limit=limit, **more)
    return [Claimed(row, token) for row in found]


def new_token() -> str:
    """A lease token that nobody else has."""
    return secrets.token_hex(8)


def backoff(attempts: int) -> timedelta:
    """The pause after the `attempts`-th try: 1 s, 2 s, 4 s … at most five minutes."""
    return min(timedelta(seconds=2 ** min(max(attempts - 1, 0), 9)), _BACKOFF_MOST)
