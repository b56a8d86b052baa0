"""A token bucket, and the limiter that keeps our calls under Polar's rate limit: writes go before reads.

Replicas share one limit: before each call they ask `SharedPace` too.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from math import inf
from typing import Protocol

from polar.errors import RateBudgetExhausted

BURST = 10  # calls at once
KEPT_FOR_WRITES = 4  # of these, so that an approved call never queues behind a reconcile's reads
_KEY = "polar"  # one token, so one limit
TICK = 0.001  # seconds; the shortest sleep, so that rounding never makes us wait for nothing


class SharedPace(Protocol):
    """The pace that replicas keep together: `size` calls of a key at once, one more every `step` seconds."""

    async def take(self, key: str, *, size: float, step: float, need: float = 1.0) -> float:
        """Take room for one call when `need` fit in; seconds to wait, 0 when it was taken."""

    async def pause(self, key: str, seconds: float, *, size: float, step: float) -> None:
        """Nobody calls for so long."""


class TokenBucket:
    """At most `size` tokens, refilled by `per_second`. A pause gives none and refills none until it is over.

    `monotonic` gives seconds.
    """

    def __init__(self, size: float, per_second: float, monotonic: Callable[[], float]) -> None:
        self._size, self._per_second, self._monotonic = size, per_second, monotonic
        self._tokens, self._counted_at = size, monotonic()

    def tokens(self) -> float:
        """The tokens there are now; none during a pause."""
        self._refill()
        return 0.0 if self.paused_for() else self._tokens

    def take(self) -> None:
        """Take one token; the caller has seen that there is one."""
        self._refill()
        self._tokens -= 1

    def give_back(self) -> None:
        """Give back one token that was taken and not used."""
        self._tokens = min(self._tokens + 1, self._size)

    def wait(self, need: float = 1) -> float:
        """Seconds until it holds `need` tokens."""
        self._refill()
        missing = need - self._tokens
        return self.paused_for() + (missing / self._per_second if missing > 0 else 0.0)

    def pause(self, seconds: float, *, left: float = 0.0) -> None:
        """Give no token for so long; after it there are `left` at most."""
        self._refill()
        self._tokens = min(self._tokens, left)
        self._counted_at = max(self._counted_at, self._monotonic() + seconds)

    def paused_for(self) -> float:
        """The seconds that a pause still lasts."""
        return max(self._counted_at - self._monotonic(), 0.0)

    def _refill(self) -> None:
        now = self._monotonic()
        if now > self._counted_at:
            earned = (now - self._counted_at) * self._per_second
            self._tokens, self._counted_at = min(self._size, self._tokens + earned), now


class RateLimiter:
    """At most `per_minute` calls in any minute, `BURST` of them at once.

    `monotonic` gives seconds; `sleep` takes seconds.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        shared: SharedPace | None = None,
    ) -> None:
        size = min(BURST, per_minute // 2)
        if size < 1:
            raise ValueError(f"A rate limit of {per_minute} calls a minute is too low: 2 is the least.")
        # A minute that begins with a full bucket must not pass the limit either.
        self._size, self._per_second = size, (per_minute - size) / 60
        self._bucket = TokenBucket(size, self._per_second, monotonic)
        self._shared = shared
        self._kept = min(KEPT_FOR_WRITES, size - 1)
        self._monotonic, self._sleep = monotonic, sleep
        self._per_minute, self._taken = per_minute, deque[float]()

    async def take(self, *, at_most: float = inf, for_write: bool = False) -> None:
        """Wait for room for one call, `at_most` so many seconds. Raises RateBudgetExhausted."""
        need = 1 if for_write else 1 + self._kept
        give_up_at = self._monotonic() + at_most
        while (wait := await self._take(need)) > 0:
            if self._monotonic() + wait > give_up_at:
                raise RateBudgetExhausted(wait)
            await self._sleep(max(wait, TICK))
        self._taken.append(self._monotonic())
        self._forget()

    def budget(self) -> tuple[int, int, float]:
        """Calls that may still be made in this minute, the limit, and the seconds Polar has us wait."""
        self._forget()
        return max(self._per_minute - len(self._taken), 0), self._per_minute, self._bucket.paused_for()

    def pause(self, seconds: float) -> None:
        """Let no call through for so long: Polar has said so."""
        self._bucket.pause(seconds)

    async def pause_all(self, seconds: float) -> None:
        """As `pause`, in the other replicas too."""
        self.pause(seconds)
        if self._shared is not None:
            await self._shared.pause(_KEY, seconds, size=self._size, step=1 / self._per_second)

    async def _take(self, need: int) -> float:
        """Take room for a call here and with the other replicas; the seconds to wait when there is none."""
        if (wait := self._bucket.wait(need)) > 0:
            return wait
        self._bucket.take()
        if self._shared is not None:
            step = 1 / self._per_second
            if wait := await self._shared.take(_KEY, size=self._size, step=step, need=need):
                self._bucket.give_back()
        return wait

    def _forget(self) -> None:
        while self._taken and self._taken[0] <= self._monotonic() - 60:
            self._taken.popleft()
