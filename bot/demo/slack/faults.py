"""Faults that a test asks for, and Slack's real rate limits."""

import math
from collections.abc import Callable
from dataclasses import dataclass

# A kind outside this table is one of Slack's error names: the call is not carried out and answers it.
KINDS = {
    "ratelimited": "429 with Retry-After, not carried out",
    "server_error": "503, not carried out",
    "drop_before": "the connection breaks, not carried out",
    "drop_after": "carried out, then the connection breaks",
    "slow": "carried out after `seconds`",
    "duplicate": "on `events`: the next event is delivered twice",
    "reorder": "on `events`: the next event is held back until the one after it was delivered",
    "refused_ticket": "on `socket`: the next connection is refused",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that will go wrong."""

    kind: str
    retry_after: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Tier:
    """So many calls a minute, and how many may come at once."""

    per_minute: float
    burst: int


# https://docs.slack.dev/apis/web-api/rate-limits; posting: about one a second in each channel
TIER_1, TIER_2, TIER_3, TIER_4 = Tier(1, 5), Tier(20, 20), Tier(50, 50), Tier(100, 100)
HUNDREDS, POSTING = Tier(600, 100), Tier(60, 4)


class Limits:
    """Token buckets, one for each method (for posting: for each channel)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, name: str, tier: Tier) -> int:
        """Takes a token: 0, or the whole seconds to wait when there is none."""
        now = self._clock()
        tokens, at = self._buckets.get(name, (float(tier.burst), now))
        tokens = min(tier.burst, tokens + (now - at) * tier.per_minute / 60)
        if tokens < 1:
            self._buckets[name] = (tokens, now)
            return max(1, math.ceil((1 - tokens) * 60 / tier.per_minute))
        self._buckets[name] = (tokens - 1, now)
        return 0
