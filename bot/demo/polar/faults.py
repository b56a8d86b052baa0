"""Faults on demand: what goes wrong with the next requests, and the rate limit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Fault(StrEnum):
    """A kind of fault; "after" means that the write was done and only the answer is lost."""

    ERROR_BEFORE = "500-before"
    ERROR_AFTER = "500-after"
    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    SLOW = "slow"
    RATE_LIMITED = "429"


@dataclass(slots=True)
class Planned:
    """A fault for the next requests. `only`: an operation id, or "writes"; `seconds`: delay, retry-after."""

    fault: Fault
    times: int
    only: str | None
    seconds: float


class Faults:
    """The planned faults, first in first out."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []

    def plan(self, planned: Planned) -> None:
        """Have it happen to the next requests it fits."""
        self._planned.append(planned)

    def take(self, operation_id: str, method: str) -> Planned | None:
        """The fault of this request, one time less to come."""
        for planned in self._planned:
            if planned.only in {None, operation_id} or (planned.only == "writes" and method != "GET"):
                planned.times -= 1
                if planned.times < 1:
                    self._planned.remove(planned)
                return planned
        return None


class RateLimit:
    """So many requests in a window of one minute; None is no limit."""

    def __init__(self, per_minute: int | None, clock: Callable[[], datetime]) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._opened = clock()
        self._used = 0

    def seconds_to_wait(self) -> int:
        """Count one request: 0 if it may pass, else the seconds until the window ends."""
        if self.per_minute is None:
            return 0
        now = self._clock()
        if now - self._opened >= timedelta(minutes=1):
            self._opened, self._used = now, 0
        self._used += 1
        if self._used <= self.per_minute:
            return 0
        return max(1, 60 - int((now - self._opened).total_seconds()))
