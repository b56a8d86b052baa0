"""The Slack stand-in: one workspace, its people, its Web API, its ways to the app, what tests ask of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

from aiohttp import web

from bot.demo.shared import Faults, serving
from bot.demo.slack.chat import PNG, handle_response_url
from bot.demo.slack.delivery import Events, Sleep, SocketMode
from bot.demo.slack.interactions import Interactions
from bot.demo.slack.page import Page, page_act, slack_snapshot
from bot.demo.slack.state import Exchange, Json, Message, View, Workspace
from bot.demo.slack.web_api import BOT_EVENTS, BOT_SCOPES, Fault, Limits, Tokens, WebApi

COMMANDS = MappingProxyType({"/polar": "[help]"})
UPLOAD_LIMIT = 4 * 1024 * 1024


class SlackStandIn(Interactions):
    """A strict Slack for one app, and its people. Several can run at once; nothing is global."""

    def __init__(
        self,
        *,
        bot_token: str = "xoxb-stand-in",  # noqa: S107 - opens nothing but this stand-in
        app_token: str = "xapp-stand-in",  # noqa: S107 - see above
        signing_secret: str = "stand-in-signing-secret",  # noqa: S107 - see above
        scopes: frozenset[str] | None = BOT_SCOPES,
        commands: Mapping[str, str] = COMMANDS,
        ack_timeout: float = 3.0,
        limits: bool = False,
        subscriptions: frozenset[str] | None = BOT_EVENTS,
        clock: Callable[[], float] = time.time,
        ages: Callable[[], float] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`scopes` None allows everything; `ack_timeout` in seconds; `limits` turns Slack's rate limits on.

        `subscriptions` are the manifest's `bot_events` (None: every event); `clock` gives UTC seconds; `ages`
        those by which trigger ids grow old (None: `clock`, which may jump); `sleep` waits before a repeated
        event.
        """
        self.bot_token, self.app_token, self.signing_secret = bot_token, app_token, signing_secret
        workspace, self._faults = Workspace(clock=clock, ages=ages), Faults[Fault]()
        self.sockets = SocketMode(workspace, self._faults, ack_timeout)
        super().__init__(workspace, self.sockets, commands)
        self._usages, self.ack_timeout = commands, ack_timeout
        self._tokens = Tokens(bot_token, app_token, scopes)
        self._web_api = WebApi(workspace, self._tokens, self._faults, Limits(clock) if limits else None)
        self._events = Events(workspace, lambda: self.transport, self._faults, sleep, subscriptions)
        self.emit, self.drain_events = self._events.emit, self._events.drain
        self.wait_until, self.subscribe = self.workspace.wait_until, self.workspace.subscribe

    # --- Serving ------------------------------------------------------------------------------------

    @classmethod
    @asynccontextmanager
    async def serve(cls, **options: Any) -> AsyncIterator["SlackStandIn"]:
        """Runs a stand-in on loopback; `options` go to the constructor."""
        slack = cls(**options)
        app = web.Application(client_max_size=UPLOAD_LIMIT)
        slack.add_routes(app)
        Page(slack).add_routes(app)
        async with serving(app) as slack.origin:
            yield slack

    def add_routes(self, app: web.Application) -> None:
        """Adds `/slack/…` to an application, and ends with it."""
        app.router.add_route("*", "/slack/api/{method}", self._web_api.handle)
        app.router.add_get("/slack/socket", self.sockets.handle)
        app.router.add_post("/slack/response/{token}", partial(handle_response_url, self.workspace))
        app.router.add_post("/slack/upload/{file}", self._upload)
        app.router.add_get("/slack/files/{file}", self._picture)
        app.on_shutdown.append(self._stop)

    @property
    def origin(self) -> str:
        """The address, `http://127.0.0.1:PORT`; whoever serves the application sets it."""
        return self.workspace.origin

    @origin.setter
    def origin(self, origin: str) -> None:
        self.workspace.origin = origin

    @property
    def api_url(self) -> str:
        """For `AsyncWebClient(base_url=…)`."""
        return f"{self.origin}/slack/api/"

    # --- Content ------------------------------------------------------------------------------------

    @property
    def channel(self) -> str:
        """The id of the one channel."""
        return self.workspace.channel.id

    @property
    def people(self) -> Sequence[str]:
        """The ids of the people, the first approver first."""
        return tuple(self.workspace.users)

    def messages(self) -> list[Message]:
        """All messages, oldest first; no ephemerals."""
        return list(self.workspace.messages.values())

    def message(self, ts: str) -> Message | None:
        """The message of the channel with this ts."""
        return self.workspace.find(self.channel, ts)

    def thread(self, ts: str) -> list[Message]:
        """The replies to a message."""
        return [message for message in self.messages() if message.thread_ts == ts]

    def ephemerals(self, user: str) -> list[Message]:
        """The messages that only this person sees."""
        return [message for (who, _), message in self.workspace.ephemerals.items() if who == user]

    def home(self, user: str) -> View | None:
        """The published home tab of a person."""
        return self.workspace.homes.get(user)

    def modals(self, user: str) -> list[View]:
        """The open modals of a person, the top one last."""
        return self.workspace.modals.get(user, [])

    def calls(self, what: str) -> list[Exchange]:
        """The kept exchanges of a method (`chat.update`) or delivery (`event app_mention`), oldest first."""
        return [exchange for exchange in self.workspace.exchanges if exchange.what == what]

    async def wait_for_message(self, predicate: Callable[[Message], object], timeout: float = 5) -> Message:  # noqa: ASYNC109 - the public contract names it
        """The first message, ephemeral ones too, for which the predicate is true. Raises TimeoutError."""
        of = self.workspace
        return await self.wait_until(
            lambda: next(filter(predicate, [*of.messages.values(), *of.ephemerals.values()]), None), timeout
        )

    # --- Changes ------------------------------------------------------------------------------------

    def fail_next(
        self, method: str, kind: str, times: int = 1, *, retry_after: int = 1, seconds: float = 0
    ) -> None:
        """Makes the next calls of `method` (`*`, `events`, `socket`) fail; `kind` as for Fault."""
        self._faults.add(method, Fault(kind, retry_after, seconds), times)

    # --- The page -----------------------------------------------------------------------------------

    def snapshot(self, viewer: str) -> Json:
        """The view of this person, for the page."""
        return slack_snapshot(self.workspace, viewer, self._usages)

    async def act(self, body: Json) -> Json:
        """Does what the page asks; `{"ok": …}` with `ms` or `error`, never an exception."""
        return await page_act(self, body)

    # --- Routes that need nothing more --------------------------------------------------------------

    async def _upload(self, request: web.Request) -> web.Response:
        file_id = request.match_info["file"]
        if file_id not in self.workspace.uploads:
            raise web.HTTPNotFound(
                text="This upload URL is not known. Ask files.getUploadURLExternal for one."
            )
        name, _ = self.workspace.uploads[file_id]
        self.workspace.uploads[file_id] = (name, await request.read())
        return web.Response(text="OK")

    async def _picture(self, request: web.Request) -> web.Response:
        _, content = self.workspace.uploads.get(request.match_info["file"], ("", b""))
        if not content.startswith(PNG):  # the only kind of file that the page shows
            raise web.HTTPNotFound(text="There is no such picture.")
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "max-age=3600"}
        return web.Response(body=content, content_type="image/png", headers=headers)

    async def _stop(self, _: web.Application) -> None:
        await self._events.close()
        await self.sockets.close()
        await self.transport.close()
