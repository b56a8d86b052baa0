"""The way to the app, behind one `deliver`: sockets, or signed HTTP in tests."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from bot.demo.slack.state import Json

Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(frozen=True, slots=True)
class Ack:
    """The app's answer: in time or not (`error` says why not), and the payload it came with."""

    payload: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The number of a repetition, and why the event is repeated."""

    attempt: int = 0
    reason: str = ""


FIRST = Retry()


class Transport(Protocol):
    """Takes a payload to the app and waits for its acknowledgement."""

    async def deliver(self, kind: Kind, payload: Json, retry: Retry = FIRST) -> Ack: ...

    async def close(self) -> None: ...
