"""The demo page's server side: its files, the live stream of snapshots, and the acts it posts."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

FILES = Path(__file__).parent.parent / "page"
PAUSE = 0.1  # seconds between two pictures: a burst of changes becomes one
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Source(Protocol):
    """One stand-in as the page sees it."""

    def snapshot(self, viewer: str) -> dict[str, Any]: ...

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]: ...


class Stage(Source, Protocol):
    """The stand-in on whose stage people act."""

    @property
    def people(self) -> Sequence[str]: ...

    def reload(self, viewer: str) -> None: ...

    async def act(self, body: dict[str, Any]) -> dict[str, Any]: ...


class Page:
    """Serves `/`, `/static/…`, `/archives/…`, `/page/stream` and `/page/act`."""

    def __init__(self, stage: Stage, others: Sequence[Source] = ()) -> None:
        """`others` add their snapshots to the stream."""
        self._stage = stage
        self._sources: tuple[Source, ...] = (stage, *others)
        self._streams: set[web.WebSocketResponse] = set()

    def add_routes(self, app: web.Application) -> None:
        """Adds the page to an application."""
        app.router.add_get("/", self._index)
        app.router.add_get("/static/{name}", self._file)
        app.router.add_get("/archives/{channel}/{place}", self._permalink)
        app.router.add_get("/page/stream", self._stream)
        app.router.add_post("/page/act", self._act)
        app.on_shutdown.append(self._hang_up)

    async def _index(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(FILES / "index.html", headers=HEADERS)

    async def _file(self, request: web.Request) -> web.FileResponse:
        name = request.match_info["name"]
        if (
            not re.fullmatch(r"[a-z][a-z0-9_-]*\.(js|css|svg|png|woff2)", name)
            or not (FILES / name).is_file()
        ):
            raise web.HTTPNotFound
        return web.FileResponse(FILES / name, headers=HEADERS)

    async def _permalink(self, request: web.Request) -> web.Response:
        """A permalink opens the message's thread on the page."""
        digits = request.match_info["place"].removeprefix("p")
        if not re.fullmatch(r"[0-9]{7,20}", digits):
            raise web.HTTPNotFound
        thread = request.query.get("thread_ts", f"{digits[:-6]}.{digits[-6:]}")
        if not re.fullmatch(r"[0-9]+\.[0-9]{6}", thread):
            raise web.HTTPNotFound
        raise web.HTTPFound(f"/?thread={thread}")

    async def _act(self, request: web.Request) -> web.Response:
        _refuse_other_sites(request)
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return web.json_response(
                {"ok": False, "error": "The page sent something that is no JSON object."}
            )
        return web.json_response(await self._stage.act(body))

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        _refuse_other_sites(request)
        asked = request.query.get("user", "")
        viewer = asked if asked in self._stage.people else self._stage.people[0]
        self._stage.reload(viewer)
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        self._streams.add(socket)
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(socket, viewer))
                async for _ in socket:
                    pass  # the page only listens; reading is how the end is noticed
                writer.cancel()
        finally:
            self._streams.discard(socket)
        return socket

    async def _write(self, socket: web.WebSocketResponse, viewer: str) -> None:
        stale, changed = set(range(len(self._sources))), asyncio.Event()
        changed.set()

        def tell(number: int) -> None:
            stale.add(number)
            changed.set()

        with contextlib.ExitStack() as subscriptions, contextlib.suppress(ConnectionError):
            for number, source in enumerate(self._sources):
                subscriptions.callback(source.subscribe(partial(tell, number)))
            while True:
                await changed.wait()
                changed.clear()
                due = [self._sources[number] for number in sorted(stale)]
                stale.clear()
                for source in due:
                    await socket.send_str(json.dumps(source.snapshot(viewer)))
                await asyncio.sleep(PAUSE)

    async def _hang_up(self, _: web.Application) -> None:
        for socket in list(self._streams):
            await socket.close()


def _refuse_other_sites(request: web.Request) -> None:
    """Another site in the same browser may not act here or read along."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="Only the demo page itself may do this.")
