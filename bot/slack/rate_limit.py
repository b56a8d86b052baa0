"""Slack's rate limits: a token bucket for each method, which keeps our calls under them."""

import math
from collections.abc import Callable, Mapping

from bot.config.rate_limits import POST, SLACK, Tier
from polar.rate_limit import TokenBucket

_UNLIMITED = 1_000_000
_EACH_CHANNEL = frozenset({POST})  # the others are limited for the workspace as a whole


class RateLimits:
    """The room for calls of each method. `clock` gives seconds; nothing here waits."""

    def __init__(self, clock: Callable[[], float], tiers: Mapping[str, Tier] = SLACK) -> None:
        """A method not in `tiers` has no limit of ours, and still keeps to the pauses that Slack asks for."""
        self._clock, self._tiers = clock, tiers
        self._buckets: dict[tuple[str, str | None], TokenBucket] = {}

    def free(self, method: str, channel: str | None) -> int:
        """The number of calls for which there is room now."""
        # A hair of tolerance: waiting exactly `wait` seconds must do, in spite of floating point.
        tokens = self._bucket(method, channel).tokens() + 1e-9
        return max(0, math.floor(min(tokens, _UNLIMITED)))

    def take(self, method: str, channel: str | None) -> bool:
        """Take room for one call, if there is any."""
        if not self.free(method, channel):
            return False
        self._bucket(method, channel).take()
        return True

    def wait(self, method: str, channel: str | None) -> float:
        """Seconds until there is room for one call; 0 when there is some now."""
        return self._bucket(method, channel).wait()

    def pauses(self) -> Mapping[str, float]:
        """The seconds each method is still paused for because Slack asked; only those that are."""
        left: dict[str, float] = {}
        for (method, _), bucket in self._buckets.items():
            if seconds := bucket.paused_for():
                left[method] = max(left.get(method, 0.0), seconds)
        return left

    def pause(self, method: str, channel: str | None, seconds: float) -> None:
        """Slack asked for a pause (Retry-After): no call of this kind until it is over, then one at first."""
        left = 1.0 if method in self._tiers else math.inf
        self._bucket(method, channel).pause(seconds, left=left)

    def _bucket(self, method: str, channel: str | None) -> TokenBucket:
        key = (method, channel if method in _EACH_CHANNEL else None)
        if key not in self._buckets:
            tier = self._tiers.get(method, Tier(0, math.inf))
            self._buckets[key] = TokenBucket(tier.burst, tier.per_minute / 60, self._clock)
        return self._buckets[key]
