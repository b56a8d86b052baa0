"""The demo put together: both stand-ins and the page on one port, the real app beside them."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.demo.child import RUN_APP, App, AppDied, running
from bot.demo.polar import PolarStandIn
from bot.demo.slack import Page, SlackStandIn
from bot.demo.story import Story, play_opening

log = logging.getLogger(__name__)

NO_BROWSER = "DEMO_NO_BROWSER"


class Desk:
    """Everything of one demo: `slack`, `polar`, `story`, the page's `url`, and the `app` at `app_url`.

    `app` can be killed and started again: it keeps its address and its database.
    """

    def __init__(self, slack: SlackStandIn, polar: PolarStandIn) -> None:
        self.slack, self.polar = slack, polar
        self.story = Story(polar)
        self.url = ""
        self.app: App

    @property
    def app_url(self) -> str:
        """Where the app serves."""
        return self.app.url

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        port: int = 0,
        opening: bool = True,
        say: Callable[[str], None] = log.info,
        command: Sequence[str] = RUN_APP,
        slack: SlackStandIn | None = None,
        polar: PolarStandIn | None = None,
    ) -> AsyncIterator["Desk"]:
        """Serve on loopback (`port` 0: any), start the app, wait for its health, play the opening.

        `say` gets the app's log line by line. `command` starts the app. Raises AppDied if it does not
        come up, OSError if the port is taken.
        """
        desk = cls(slack or SlackStandIn(), polar or PolarStandIn())
        with tempfile.TemporaryDirectory(prefix="polar-approvals-demo-") as folder:
            async with desk._served(port):
                path = Path(folder)
                desk.app = App(desk.settings(path), path, say=say, command=command)
                desk.polar.connect(f"{desk.app.url}/polar/webhooks")  # before the app looks for it
                async with running(desk.app):
                    await desk.app.healthy()
                    if opening:
                        await play_opening(desk.story)
                    yield desk

    @asynccontextmanager
    async def _served(self, port: int) -> AsyncIterator[None]:
        runner = web.AppRunner(self.web_app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self.slack.origin = self.url
            yield
        finally:
            await runner.cleanup()

    def web_app(self) -> web.Application:
        """One application, one origin: Slack, Polar, and the page."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        self.slack.add_routes(app)
        self.polar.add_routes(app)
        Page(self.slack, [self.story]).add_routes(app)
        app.router.add_post("/page/polar/send", self._send)
        return app

    def settings(self, folder: Path) -> dict[str, str]:
        """The app's environment: this desk's Slack and Polar, a database in `folder`."""
        groups = self.slack.workspace.cast.usergroups
        approvers = [each.id for each in self.slack.workspace.cast.users if each.role == "approver"]
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "SLACK_CHANNEL": self.slack.channel,
            "APPROVERS": ",".join([each.id for each in groups] or approvers),
            "POLAR_ACCESS_TOKEN": self.polar.token,
            "POLAR_WEBHOOK_SECRET": self.polar.webhook_secret,
            "POLAR_API_URL": f"{self.url}{self.polar.prefix}",
            "DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'demo.db'}",
        }

    async def _send(self, request: web.Request) -> web.Response:
        """POST /page/polar/send {"name"}: play one case. Only the page itself may ask for it."""
        own = {self.url, self.url.replace("127.0.0.1", "localhost")}
        if request.headers.get("Origin", self.url) not in own:
            raise web.HTTPForbidden(text="Only the demo's own page may do this.")
        try:
            body: Any = await request.json()
            name = str(body["name"])
        except (ValueError, KeyError, TypeError):
            return web.json_response(
                {"ok": False, "error": 'Send {"name": "…"}. Nothing was sent.'}, status=400
            )
        return web.json_response(await self.story.send(name))


async def serve(*, port: int, open_browser: bool, command: Sequence[str] = RUN_APP) -> int:
    """Run the demo until Ctrl-C, SIGTERM or the end of the app. Returns the exit code."""
    with _cancelled_by_signals():
        try:
            return await _serve(port, command, open_browser=open_browser)
        except asyncio.CancelledError:
            _say("The demo has stopped.")
            return 0
        except AppDied as died:
            _say(str(died))
        except OSError as error:
            _say(f"The demo could not start: {error}. Choose another port with --port.")
    return 1


async def _serve(port: int, command: Sequence[str], *, open_browser: bool) -> int:
    async with Desk.start(port=port, opening=False, say=_say_of_app, command=command) as desk:
        _say(f"The demo is at {desk.url}/ (Ctrl-C stops it)")
        if open_browser and _has_display():
            await asyncio.to_thread(webbrowser.open, desk.url)
        await play_opening(desk.story)
        code = await desk.app.wait()
        _say(f"The app stopped by itself with exit code {code}, so the demo ends. Its last lines are above.")
    return 1


@contextmanager
def _cancelled_by_signals() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM cancels this task, so that everything is closed in order."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel() -> None:
        restore()  # a second Ctrl-C ends at once
        if task:
            task.cancel()

    def restore() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        restore()


def _has_display() -> bool:
    if os.environ.get(NO_BROWSER):
        return False
    return sys.platform in {"darwin", "win32"} or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _say_of_app(line: str) -> None:
    _say(f"app | {line}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
