"""The way to the app: events that are repeated until acknowledged, and Socket Mode (or signed HTTP in tests).

https://docs.slack.dev/apis/events-api/using-socket-mode. Each payload goes to one of up to ten sockets.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import count
from time import perf_counter
from typing import Any, Literal, Protocol
from uuid import uuid4

from aiohttp import WSMsgType, web

from bot.demo.shared import Faults
from bot.demo.slack.payloads import event_callback
from bot.demo.slack.state import Json, Workspace
from bot.demo.slack.web_api import Fault

# At once, after about a minute, after about five (https://docs.slack.dev/apis/events-api)
RETRY_SECONDS = (0.0, 60.0, 300.0)
Sleep = Callable[[float], Awaitable[None]]
Kind = Literal["events_api", "interactive", "slash_commands"]


@dataclass(frozen=True, slots=True)
class Ack:
    """The app's answer: in time or not (`error` says why not), its payload, and after how many ms it came."""

    payload: Any = None
    error: str | None = None
    ms: float = 0.0


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


async def deliver(
    slack: Workspace, transport: Transport, kind: Kind, payload: Json, *, what: str, retry: Retry = FIRST
) -> Ack:
    """Deliver by this transport, and keep the exchange under the name `what`."""
    begun = perf_counter()
    ack = replace(await transport.deliver(kind, payload, retry), ms=(perf_counter() - begun) * 1000)
    slack.log("slack→app", what, payload, ack.error, ack.ms)
    return ack


class Events:
    """Delivers what `Workspace.on_event` says. Owns its tasks; `close` cancels them."""

    def __init__(
        self,
        slack: Workspace,
        transport: Callable[[], Transport],
        faults: Faults[Fault],
        sleep: Sleep,
        subscriptions: frozenset[str] | None,
    ) -> None:
        """`sleep` waits between the repetitions; `subscriptions` None is every event."""
        self._slack, self._transport, self._faults, self._sleep = slack, transport, faults, sleep
        self._subscriptions = subscriptions
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[Json] = []
        slack.on_event = self.emit

    def emit(self, event: Json) -> None:
        """Sends an event inside a fresh outer event, if the app subscribed to its kind."""
        if self._subscriptions is not None and _subscription(event) not in self._subscriptions:
            return
        outer = event_callback(self._slack, event)
        fault = self._faults.take("events")
        if fault is not None and fault.kind == "reorder":
            self._held.append(outer)
            return
        self.send(outer)
        if fault is not None and fault.kind == "duplicate":
            self.send(outer, Retry(1, "timeout"))
        for held in self._held:
            self.send(held)
        self._held.clear()

    def send(self, outer: Json, first: Retry = FIRST) -> None:
        """Delivers one outer event until it is acknowledged or given up."""
        task = asyncio.get_running_loop().create_task(self._deliver(outer, first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Waits for all deliveries under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Gives up what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _deliver(self, outer: Json, retry: Retry) -> None:
        ack = await self._attempt(outer, retry)
        for number, seconds in enumerate(RETRY_SECONDS, start=retry.attempt + 1):
            if ack.error is None:
                return
            await self._sleep(seconds)
            ack = await self._attempt(outer, Retry(number, ack.error))

    async def _attempt(self, outer: Json, retry: Retry) -> Ack:
        what = f"event {outer['event']['type']}"
        return await deliver(self._slack, self._transport(), "events_api", outer, what=what, retry=retry)


def _subscription(event: Json) -> str:
    """The manifest's name for this kind of event."""
    if event["type"] != "message":
        return str(event["type"])
    return "message.im" if event.get("channel_type") == "im" else "message.channels"


MOST_SOCKETS = 10


@dataclass(slots=True, eq=False)
class _Connection:
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    leaving: bool = False  # it was asked to come back on a new socket


class SocketMode:
    """The open sockets, and the envelopes that wait for an answer."""

    def __init__(self, slack: Workspace, faults: Faults[Fault], ack_timeout: float) -> None:
        """`ack_timeout` in seconds."""
        self._slack, self._faults, self._ack_timeout = slack, faults, ack_timeout
        self._open: list[_Connection] = []
        self._turn = count()
        self._waiting: dict[str, asyncio.Future[Ack]] = {}

    @property
    def connections(self) -> int:
        """The number of open sockets."""
        return len(self._open)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """`/slack/socket?ticket=…`: one connection, until it ends."""
        fault = self._faults.take("socket")
        _, error = self._slack.tickets.spend(request.query.get("ticket"))
        if fault is not None or error is not None:
            raise web.HTTPForbidden(
                text="This socket ticket was refused. Ask apps.connections.open for a new one."
            )
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        if len(self._open) >= MOST_SOCKETS:
            await socket.send_json({"type": "disconnect", "reason": "too_many_websockets"})
            await socket.close()
            return socket
        debug = {"host": "stand-in", "build_number": 1, "approximate_connection_time": 18060}
        hello: Json = {"type": "hello", "num_connections": len(self._open) + 1, "debug_info": debug}
        await socket.send_json(hello | {"connection_info": {"app_id": self._slack.app.id}})
        connection = _Connection(socket, request.transport)
        self._open.append(connection)
        try:
            self._slack.changed()
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._answered(frame.data)
        finally:
            if connection in self._open:
                self._open.remove(connection)
            self._slack.changed()
        return socket

    async def deliver(self, kind: Kind, payload: Json, retry: Retry = FIRST) -> Ack:
        """Sends one envelope and waits for its acknowledgement."""
        if not self._open:
            return Ack(error="not_connected")
        staying = [connection for connection in self._open if not connection.leaving] or self._open
        socket = staying[next(self._turn) % len(staying)].socket
        envelope_id = str(uuid4())
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = answer
        envelope: Json = {"envelope_id": envelope_id, "type": kind, "payload": payload}
        envelope["accepts_response_payload"] = kind != "events_api"
        if kind == "events_api":
            envelope |= {"retry_attempt": retry.attempt, "retry_reason": retry.reason}
        try:
            await socket.send_str(json.dumps(envelope))
            return await asyncio.wait_for(answer, self._ack_timeout)
        except TimeoutError:
            return Ack(error="timeout")
        except ConnectionError:
            return Ack(error="connection_lost")
        finally:
            del self._waiting[envelope_id]

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Asks the app to come back on a new socket, as Slack does every few hours, or as a `warning`."""
        for connection in list(self._open):
            connection.leaving = reason != "warning"
            await connection.socket.send_json(
                {"type": "disconnect", "reason": reason, "debug_info": {"host": "stand-in"}}
            )

    def drop(self) -> None:
        """Cuts every connection without a word."""
        for connection in self._open:
            if connection.transport is not None:
                connection.transport.abort()
        self._open.clear()
        self._slack.changed()

    async def close(self) -> None:
        """Closes every connection."""
        for connection in list(self._open):
            await connection.socket.close()

    def _answered(self, text: str) -> None:
        """An acknowledgement; one that is late or belongs to nobody changes nothing."""
        try:
            answer = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(answer.get("envelope_id", "")) if isinstance(answer, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(Ack(answer.get("payload")))
