"""A small server that speaks the page's contract with canned snapshots, to drive the page alone."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import WSMsgType, web
from playwright.async_api import Page

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
SIZES = [pytest.param(PHONE, id="phone"), pytest.param(DESKTOP, id="desktop")]
OpenPage = Callable[..., Awaitable[Page]]
PAGE = Path(__file__).parent.parent / "bot" / "demo" / "page"

USERS = [
    {"id": "U0ANNA", "name": "anna", "real_name": "Anna Berg", "role": "approver"},
    {"id": "U0BEN", "name": "ben", "real_name": "Ben Okafor", "role": "approver"},
    {"id": "U0CLEO", "name": "cleo", "real_name": "Cleo Marsh", "role": "member"},
    {"id": "U0GUS", "name": "gus", "real_name": "Gus Tan", "role": "guest"},
    {"id": "U0OLA", "name": "ola", "real_name": "Ola Nowak", "role": "outside"},
    {"id": "U0DEE", "name": "dee", "real_name": "Dee Gone", "role": "deactivated"},
]
BOT = {"user_id": "U0BOT", "name": "polar"}


def slack_snapshot(viewer: str) -> dict[str, Any]:
    """An empty channel as that person sees it."""
    return {
        "kind": "slack",
        "team": {"id": "T0DEMO", "name": "Snowfall Goods"},
        "viewer": viewer,
        "bot": BOT,
        "users": USERS,
        "usergroups": [{"id": "S0OPS", "handle": "ops", "name": "Operators"}],
        "channel": {"id": "C0APPROVALS", "name": "approvals", "topic": "What should happen after each event"},
        "messages": [],
        "home": None,
        "modals": [],
        "commands": [
            {"command": "/polar", "usage": "queue | mine | show ID | history | rules | pause | status | help"}
        ],
        "traffic": [],
    }


def polar_snapshot() -> dict[str, Any]:
    """Polar before anything happened."""
    return {"kind": "polar", "received": [], "sent": [], "events": []}


class PageServer:
    """Serves the page, keeps what it did in `acts` and `events_sent`, and shows it `slack` and `polar`.

    Change `slack` or `polar` and `await push()`; put a coroutine function into `answer` to decide what an
    act is told, and when.
    """

    def __init__(self) -> None:
        self.slack: dict[str, Any] = slack_snapshot(USERS[0]["id"])
        self.polar: dict[str, Any] = polar_snapshot()
        self.acts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.events_sent: asyncio.Queue[str] = asyncio.Queue()
        self.answer: Callable[[dict[str, Any]], Any] = _acknowledged
        self.sockets: dict[web.WebSocketResponse, str] = {}
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens; on the port of last time when there was one."""
        app = web.Application()
        app.router.add_get("/", self._index)
        app.router.add_static("/static/", PAGE)
        app.router.add_get("/page/stream", self._stream)
        app.router.add_post("/page/act", self._act)
        app.router.add_post("/page/polar/send", self._send)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Hangs up on everybody."""
        for connection in list(self.sockets):
            await connection.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def push(self) -> None:
        """Sends both snapshots to every page, as the person it acts as."""
        for connection, user in self.sockets.items():
            await self._show(connection, user)

    async def acted(self) -> dict[str, Any]:
        """The next act, waited for up to five seconds."""
        return await asyncio.wait_for(self.acts.get(), 5)

    async def _show(self, connection: web.WebSocketResponse, user: str) -> None:
        await connection.send_json(self.slack | {"viewer": user})
        await connection.send_json(self.polar)

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html")

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        connection = web.WebSocketResponse()
        await connection.prepare(request)
        user = request.query.get("user", USERS[0]["id"])
        self.sockets[connection] = user
        try:
            await self._show(connection, user)
            async for frame in connection:
                assert frame.type is WSMsgType.TEXT, frame
        finally:
            del self.sockets[connection]
        return connection

    async def _act(self, request: web.Request) -> web.Response:
        act = json.loads(await request.text())
        self.acts.put_nowait(act)
        return web.json_response(await self.answer(act))

    async def _send(self, request: web.Request) -> web.Response:
        self.events_sent.put_nowait(json.loads(await request.text())["name"])
        return web.json_response({"ok": True, "status": 202, "webhook_id": "msg_1"})


async def _acknowledged(_: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "ms": 12.3}
