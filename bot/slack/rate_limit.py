"""How fast Slack takes our calls: token buckets that keep us under its limits before it says so. No clock."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.config.rate_limits import POST, SLACK, Tier

_UNLIMITED = 1_000_000
_EACH_CHANNEL = frozenset({POST})  # the others are limited for the workspace as a whole


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    paused_until: float = -math.inf


class Pace:
    """How many calls of a method may be made now. All times are seconds of the clock handed in."""

    def __init__(self, clock: Callable[[], float], tiers: Mapping[str, Tier] = SLACK) -> None:
        """A method not in `tiers` has no limit of ours, and still keeps to the pauses Slack asks for."""
        self._clock, self._tiers = clock, tiers
        self._buckets: dict[tuple[str, str | None], _Bucket] = {}

    def free(self, method: str, channel: str | None) -> int:
        """For how many calls there is room now."""
        bucket, tier = self._bucket(method, channel), self._tiers.get(method)
        if self._clock() < bucket.paused_until:
            return 0
        # A hair of tolerance: waiting exactly `wait` seconds must do, in spite of floating point.
        return _UNLIMITED if tier is None else max(0, math.floor(bucket.tokens + 1e-9))

    def take(self, method: str, channel: str | None) -> bool:
        """Take room for one call, if there is any."""
        if not self.free(method, channel):
            return False
        self._bucket(method, channel).tokens -= 1
        return True

    def wait(self, method: str, channel: str | None) -> float:
        """Seconds until there is room for one call; 0 when there is some now."""
        bucket, tier = self._bucket(method, channel), self._tiers.get(method)
        refill = 0.0 if tier is None else (1 - bucket.tokens) * 60 / tier.per_minute
        return max(0.0, refill, bucket.paused_until - self._clock())

    def pauses(self) -> Mapping[str, float]:
        """The seconds each method is still paused for because Slack asked; only those that are."""
        now = self._clock()
        left: dict[str, float] = {}
        for (method, _), bucket in self._buckets.items():
            if bucket.paused_until > now:
                left[method] = max(left.get(method, 0.0), bucket.paused_until - now)
        return left

    def pause(self, method: str, channel: str | None, seconds: float) -> None:
        """Slack asked for a pause (Retry-After): nothing of this kind until it is over, then slowly again."""
        bucket, tier = self._bucket(method, channel), self._tiers.get(method)
        bucket.paused_until = max(bucket.paused_until, self._clock() + seconds)
        if tier is not None:
            bucket.tokens, bucket.at = min(bucket.tokens, 1.0), bucket.paused_until

    def _bucket(self, method: str, channel: str | None) -> _Bucket:
        """The bucket as it is now, refilled."""
        key, now = (method, channel if method in _EACH_CHANNEL else None), self._clock()
        tier = self._tiers.get(method)
        full = float(tier.burst) if tier else 0.0
        bucket = self._buckets.setdefault(key, _Bucket(full, now))
        if tier is not None and now > bucket.at:
            bucket.tokens = min(full, bucket.tokens + (now - bucket.at) * tier.per_minute / 60)
            bucket.at = now
        return bucket
