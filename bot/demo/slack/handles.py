"""The things Slack hands out for a while: trigger ids, response URLs, socket tickets."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

_KEPT = 10_000  # a benchmark must not fill the memory


class ResponseUrl(NamedTuple):
    """The target of a response URL: a user in a channel, and the message acted on, if any."""

    user: str
    channel: str
    ts: str | None


@dataclass(slots=True)
class _Issued:
    """The subject of a handle, the time of its issue, and the uses that are left."""

    held: tuple[Any, ...]
    at: float
    left: int


class Handles:
    """Handles of one kind, each good for so many uses in so many seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        errors: tuple[str, str, str],
        *,
        seconds: float = inf,
        uses: int = 1,
        new: Callable[[], str] = lambda: secrets.token_urlsafe(18),
    ) -> None:
        """`errors` are Slack's for one that is unknown, used up or too old."""
        self._clock, self._errors, self._seconds, self._uses, self._new = clock, errors, seconds, uses, new
        self._issued: dict[str, _Issued] = {}

    def issue(self, *held: Any) -> str:
        """A fresh handle for what is given."""
        handle = self._new()
        self._issued[handle] = _Issued(held, self._clock(), self._uses)
        while len(self._issued) > _KEPT:
            del self._issued[next(iter(self._issued))]
        return handle

    def spend(self, handle: object) -> tuple[tuple[Any, ...], str | None]:
        """Use a handle once: (what it was issued for, None), or ((), Slack's error)."""
        unknown, used, old = self._errors
        if not isinstance(handle, str) or handle not in self._issued:
            return (), unknown
        issued = self._issued[handle]
        if not issued.left:
            return (), used
        if self._clock() - issued.at > self._seconds:
            return (), old
        issued.left -= 1
        return issued.held, None


def triggers(clock: Callable[[], float]) -> Handles:
    """Trigger ids: three seconds, one use (https://docs.slack.dev/interactivity/handling-user-interaction)."""
    return Handles(
        clock,
        ("invalid_trigger_id", "exchanged_trigger_id", "expired_trigger_id"),
        seconds=3,
        new=lambda: f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}",
    )


def response_urls(clock: Callable[[], float]) -> Handles:
    """Response URLs: five uses in thirty minutes."""
    return Handles(clock, ("invalid_url", "used_url", "expired_url"), seconds=30 * 60, uses=5)
