"""The things Slack hands out for a while: trigger ids, response URLs, socket tickets."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

TRIGGER_SECONDS = 3
RESPONSE_URL_SECONDS = 30 * 60
RESPONSE_URL_USES = 5


@dataclass(slots=True)
class _Trigger:
    user: str
    born: float
    used: bool = False


class Triggers:
    """Trigger ids: three seconds, one use (https://docs.slack.dev/interactivity/handling-user-interaction)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._issued: dict[str, _Trigger] = {}

    def issue(self, user: str) -> str:
        """A fresh trigger id for what `user` just did."""
        trigger_id = f"{secrets.randbelow(10**13)}.{secrets.randbelow(10**12)}.{secrets.token_hex(16)}"
        self._issued[trigger_id] = _Trigger(user, self._clock())
        while len(self._issued) > 10_000:  # a benchmark must not fill the memory
            del self._issued[next(iter(self._issued))]
        return trigger_id

    def spend(self, trigger_id: object) -> tuple[str, str | None]:
        """(user, None), or ("", Slack's error) when it is unknown, used or too old."""
        trigger = self._issued.get(trigger_id) if isinstance(trigger_id, str) else None
        if trigger is None:
            return "", "invalid_trigger_id"
        if trigger.used:
            return "", "exchanged_trigger_id"
        if self._clock() - trigger.born > TRIGGER_SECONDS:
            return "", "expired_trigger_id"
        trigger.used = True
        return trigger.user, None


@dataclass(slots=True)
class ResponseUrl:
    """The target of a response URL: a user in a channel, and the message acted on, if any."""

    user: str
    channel: str
    ts: str | None
    born: float
    uses: int = 0


class ResponseUrls:
    """Response URLs: five uses in thirty minutes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._issued: dict[str, ResponseUrl] = {}

    def issue(self, user: str, channel: str, ts: str | None) -> str:
        """A token for the URL's path."""
        token = secrets.token_urlsafe(18)
        self._issued[token] = ResponseUrl(user, channel, ts, self._clock())
        while len(self._issued) > 10_000:
            del self._issued[next(iter(self._issued))]
        return token

    def spend(self, token: str) -> tuple[ResponseUrl | None, str | None]:
        """(target, None), or (None, Slack's error) when it is unknown, old or used up."""
        target = self._issued.get(token)
        if target is None:
            return None, "invalid_url"
        if self._clock() - target.born > RESPONSE_URL_SECONDS:
            return None, "expired_url"
        if target.uses >= RESPONSE_URL_USES:
            return None, "used_url"
        target.uses += 1
        return target, None


class Tickets:
    """Socket tickets: one connection each."""

    def __init__(self) -> None:
        self._unused: set[str] = set()

    def issue(self) -> str:
        """A ticket for one WebSocket connection."""
        ticket = secrets.token_urlsafe(18)
        self._unused.add(ticket)
        return ticket

    def spend(self, ticket: str) -> bool:
        """Use a ticket up; true if it was good."""
        if ticket not in self._unused:
            return False
        self._unused.remove(ticket)
        return True
