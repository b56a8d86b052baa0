"""The calls and deliveries so far, newest last, for the page's inspector and for tests."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Direction = Literal["app→slack", "slack→app"]
KEPT = 5_000
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call or delivery. `arguments` are as sent, without the token; `ms` is its duration."""

    at: float
    direction: Direction
    what: str
    arguments: dict[str, Any]
    error: str | None
    ms: float

    def as_json(self) -> dict[str, Any]:
        """A line of the inspector: no arguments, they may be large."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(),
            "direction": self.direction,
            "what": self.what,
            "ok": self.error is None,
            "error": self.error,
            "ms": round(self.ms, 1),
        }


class Traffic:
    """The last exchanges and a count of all of them by name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.exchanges: deque[Exchange] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()

    def add(
        self, direction: Direction, what: str, arguments: dict[str, Any], error: str | None, ms: float
    ) -> None:
        """Keeps one exchange."""
        self.counts[what] += 1
        self.exchanges.append(Exchange(self._clock(), direction, what, arguments, error, ms))

    def newest(self) -> list[dict[str, Any]]:
        """The newest lines for the page, oldest of them first."""
        start = max(0, len(self.exchanges) - SHOWN)
        return [self.exchanges[index].as_json() for index in range(start, len(self.exchanges))]
