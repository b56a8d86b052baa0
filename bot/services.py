"""What the steps work with."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.permissions import Authority
from bot.rules import RuleSet
from bot.slack.client import Slack
from polar.client import PolarClient
from store import Store

# Longer than any step can take (a rate-limited read sits out a minute, twice), so that a claim runs out
# only under a dead worker.
LEASE = timedelta(minutes=5)
_BACKOFF_MOST = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Services:
    """The store, both services, the rules and the clock. `wake` tells a lane that it has work."""

    store: Store
    polar: PolarClient
    slack: Slack
    rules: RuleSet
    authority: Authority
    channel: str
    clock: Callable[[], datetime]
    wake: Callable[[str], None]


def new_token() -> str:
    """A claim token nobody else has."""
    return secrets.token_hex(8)


def backoff(attempts: int) -> timedelta:
    """How long to wait after the `attempts`-th try: 1 s, 2 s, 4 s … at most five minutes."""
    return min(timedelta(seconds=2 ** min(max(attempts - 1, 0), 9)), _BACKOFF_MOST)
