"""Socket Mode: WebSockets that carry envelopes to the app and acknowledgements back.

https://docs.slack.dev/apis/events-api/using-socket-mode. Each payload goes to one of up to ten sockets.
"""

import asyncio
import json
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from aiohttp import WSMsgType, web

from bot.demo.faults import Faults
from bot.demo.slack.delivery import FIRST, Ack, Kind, Retry
from bot.demo.slack.faults import Fault
from bot.demo.slack.state import Json, Workspace

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
        await self._hello(socket)
        connection = _Connection(socket, request.transport)
        self._open.append(connection)
        try:
            self._slack.changed()
            await self._listen(socket)
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

    async def _hello(self, socket: web.WebSocketResponse) -> None:
        debug = {"host": "stand-in", "build_number": 1, "approximate_connection_time": 18060}
        hello: Json = {"type": "hello", "num_connections": len(self._open) + 1, "debug_info": debug}
        await socket.send_json(hello | {"connection_info": {"app_id": self._slack.app.id}})

    async def _listen(self, socket: web.WebSocketResponse) -> None:
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                self._answered(frame.data)

    def _answered(self, text: str) -> None:
        """An acknowledgement; one that is late or belongs to nobody changes nothing."""
        try:
            answer = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(answer.get("envelope_id", "")) if isinstance(answer, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(Ack(answer.get("payload")))
