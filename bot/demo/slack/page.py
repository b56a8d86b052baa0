"""The demo page's server side: its files, the live stream of snapshots, and the acts it posts."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from bot.demo.slack.interactions import Clicked, Interactions
from bot.demo.slack.payloads import VALUE_KEYS, CannotAct
from bot.demo.slack.state import BROKEN, Exchange, Json, Message, Refused, Workspace

if TYPE_CHECKING:
    from bot.demo.slack.stand_in import SlackStandIn

FILES = Path(__file__).parent.parent / "page"
EXCHANGES = 60  # in the inspector
PAUSE = 0.1  # seconds between two pictures: a burst of changes becomes one
NEWEST = 200
AS_STORED = ("ts", "thread_ts", "user", "text", "blocks", "edited")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


ACTS = {
    "click": ("user", "channel", "ts", "action_id"),
    "close": ("user", "view_id"),
    "command": ("user", "command"),
    "message": ("user", "text"),
    "open_home": ("user",),
    "submit": ("user", "view_id"),
    "suggest": ("user", "view_id", "action_id", "value"),
    "view_click": ("user", "view_id", "action_id"),
}
"""The acts, and what each needs."""

NAMES = ("user", "channel", "ts", "thread_ts", "view_id", "block_id", "action_id", "command")
CHOICES = frozenset(VALUE_KEYS.values()) | {"values"}
# Errors of a transport, which a person sees as one sentence.
UNANSWERED = frozenset(
    {"timeout", "http_timeout", "http_error", "connection_failed", "connection_lost", "not_connected"}
)


class Source(Protocol):
    """One stand-in as the page sees it."""

    def snapshot(self, viewer: str) -> dict[str, Any]: ...

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]: ...


class Page:
    """Serves `/`, `/static/…`, `/archives/…`, `/page/stream` and `/page/act`."""

    def __init__(self, stage: "SlackStandIn", others: Sequence[Source] = ()) -> None:
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
        self._stage.workspace.forget_ephemerals(viewer)  # as a reload of the client does
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


async def page_act(people: Interactions, body: Json) -> Json:
    """Carries out one act. A fault in what the page sent is an answer, not an exception."""
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in ACTS:
        return {"ok": False, "error": f"The stand-in knows no act {kind!r}."}
    if wrong := [name for name in NAMES if not isinstance(body.get(name, ""), str | None)]:
        return {"ok": False, "error": f"The act {kind} takes text as {wrong[0]}."}
    try:
        return await _carried_out(people, kind, {name: body[name] for name in ACTS[kind]}, body)
    except KeyError as missing:
        return {"ok": False, "error": f"The act {kind} needs {missing}."}
    except (CannotAct, Refused) as problem:
        return {"ok": False, "error": str(problem)}


async def _carried_out(people: Interactions, kind: str, needed: Json, body: Json) -> Json:
    match kind:
        case "message":
            text = str(body["text"])
            if not text.strip():
                return {"ok": False, "error": "There is nothing to send."}
            return {"ok": True, "ts": people.say(body["user"], people.encode(text), body.get("thread_ts"))}
        case "open_home":
            people.open_home(body["user"])
            return {"ok": True}
        case "command":
            text = people.encode(str(body.get("text") or ""), labels=True)
            return _answer(await people.command(body["user"], body["command"], text))
        case "close":
            return _answer(await people.close(**needed))
        case "submit":
            values = body.get("values")
            return _answer(await people.submit(**needed, values=values if isinstance(values, dict) else {}))
    needed["block_id"] = body.get("block_id")
    if kind == "suggest":
        offered = await people.suggest(**needed | {"value": str(body["value"])})
        groups = {"option_groups": offered.option_groups} if offered.option_groups else {}
        return _answer(offered) | {"options": offered.options} | groups
    tap = people.click if kind == "click" else people.view_click
    return _answer(await tap(**needed, **_chosen(body)))


def _answer(clicked: Clicked) -> Json:
    answer: Json = {"ok": clicked.error is None, "ms": round(clicked.ms, 1)}
    if clicked.error is not None:
        answer["error"] = BROKEN if clicked.error in UNANSWERED else clicked.error
    return answer


def _chosen(body: Json) -> dict[str, Any]:
    chosen = {key: body[key] for key in CHOICES if body.get(key) is not None}
    return chosen if isinstance(chosen.get("values", {}), dict) else {}


def slack_snapshot(slack: Workspace, viewer: str, commands: Mapping[str, str]) -> Json:
    """The whole picture for `viewer`; `commands` maps each slash command to its usage."""
    app, channel, team = slack.app, slack.channel, slack.team
    home = slack.homes.get(viewer)
    return {
        "kind": "slack",
        "team": {"id": team.id, "name": team.name},
        "viewer": viewer,
        "bot": {"user_id": app.bot_user_id, "name": app.bot_name},
        "users": [
            {"id": user.id, "name": user.name, "real_name": user.real_name, "role": user.role}
            for user in slack.users.values()
        ],
        "usergroups": [
            {"id": group.id, "handle": group.handle, "name": group.name}
            for group in slack.usergroups.values()
        ],
        "channel": {"id": channel.id, "name": channel.name, "topic": channel.topic},
        "messages": [_message(slack, viewer, message) for message in _newest(slack, viewer)],
        "home": None if home is None else {**home.content, "id": home.id},
        "modals": [  # `errors[""]` is said of the whole view
            {"id": view.id, "view": view.content, "errors": view.errors or {}}
            for view in slack.modals.get(viewer, ())
        ],
        "commands": [{"command": command, "usage": usage} for command, usage in commands.items()],
        "traffic": [_line(each) for each in list(slack.exchanges)[-EXCHANGES:]],
    }


def _newest(slack: Workspace, viewer: str) -> list[Message]:
    """The newest messages and this viewer's ephemerals of the channel, oldest of them first."""
    here = slack.channel.id
    posted = list(islice((m for m in reversed(slack.messages.values()) if m.channel == here), NEWEST))
    own = [m for (user, _), m in slack.ephemerals.items() if user == viewer and m.channel == here]
    return sorted([*posted, *own], key=lambda message: message.ts)[-NEWEST:]


def _message(slack: Workspace, viewer: str, message: Message) -> Json:
    return {
        **{name: getattr(message, name) for name in AS_STORED},
        "bot": message.from_bot,
        "files": list(message.files),
        "ephemeral": message.ephemeral_to is not None,
        "reply_count": slack.roots_of_replies.get((message.channel, message.ts), 0),
        "reactions": slack.reactions.get((message.channel, message.ts), []),
        "warning": slack.warnings.get((viewer, message.ts)),
    }


def _line(exchange: Exchange) -> Json:
    """A line of the inspector: no arguments, they may be large."""
    return {
        "at": datetime.fromtimestamp(exchange.at, UTC).isoformat(), "direction": exchange.direction,
        "what": exchange.what, "ok": exchange.error is None, "error": exchange.error,
        "ms": round(exchange.ms, 1),
    }  # fmt: skip
