"""Keeps our calls under Polar's rate limit: a token bucket in which writes go before reads."""

from collections import deque
from collections.abc import Awaitable, Callable
from math import inf

from polar.errors import RateBudgetExhausted

BURST = 10  # calls at once
KEPT_FOR_WRITES = 4  # of these, so that an approved call never queues behind a reconcile's reads
TICK = 0.001  # seconds; the shortest sleep, so that rounding never makes us wait for nothing


class RateBucket:
    """At most `per_minute` calls in any minute, `BURST` of them at once.

    `monotonic` gives seconds; `sleep` takes seconds.
    """

    def __init__(
        self, per_minute: int, *, monotonic: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._size = min(BURST, per_minute // 2)
        if self._size < 1:
            raise ValueError(f"A rate limit of {per_minute} calls a minute is too low: 2 is the least.")
        # A minute that begins with a full bucket must not pass the limit either.
        self._per_second = (per_minute - self._size) / 60
        self._kept = min(KEPT_FOR_WRITES, self._size - 1)
        self._monotonic, self._sleep = monotonic, sleep
        self._tokens, self._counted_at = float(self._size), monotonic()
        self._per_minute, self._taken = per_minute, deque[float]()

    async def take(self, *, at_most: float = inf, for_write: bool = False) -> None:
        """Wait for room for one call, `at_most` so many seconds. Raises RateBudgetExhausted."""
        need = 1 if for_write else 1 + self._kept
        give_up_at = self._monotonic() + at_most
        while (wait := self._wait(need)) > 0:
            if self._monotonic() + wait > give_up_at:
                raise RateBudgetExhausted(wait)
            await self._sleep(max(wait, TICK))
        self._tokens -= 1
        self._taken.append(self._monotonic())
        self._forget()

    def budget(self) -> tuple[int, int, float]:
        """Calls that may still be made in this minute, the limit, and the seconds Polar has us wait."""
        self._forget()
        waits = max(self._counted_at - self._monotonic(), 0.0)
        return max(self._per_minute - len(self._taken), 0), self._per_minute, waits

    def _forget(self) -> None:
        while self._taken and self._taken[0] <= self._monotonic() - 60:
            self._taken.popleft()

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: Polar has said so."""
        self._tokens, self._counted_at = 0.0, max(self._counted_at, self._monotonic() + seconds)

    def _wait(self, need: int) -> float:
        """Seconds until the bucket holds `need` tokens; counted up to now first."""
        now = self._monotonic()
        if now > self._counted_at:
            earned = (now - self._counted_at) * self._per_second
            self._tokens, self._counted_at = min(self._size, self._tokens + earned), now
        missing = need - self._tokens
        return self._counted_at - now + missing / self._per_second if missing > 0 else 0.0
