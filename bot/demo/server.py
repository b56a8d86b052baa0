"""The demo put together: both stand-ins and the page on one port, the real app beside them."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
import time
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.demo.app_process import DEMO_APP, App, AppDied
from bot.demo.clock import NAME, DemoClock
from bot.demo.month import Month, Stage
from bot.demo.polar import PolarStandIn
from bot.demo.shared import serving
from bot.demo.slack import Page, SlackStandIn
from bot.demo.story import Story, play_opening

log = logging.getLogger(__name__)

NO_BROWSER = "DEMO_NO_BROWSER"
RULES = Path(__file__).with_name("rules.toml")


class Demo:
    """One demo: `slack`, `polar`, `story`, `month`, the page's `url`, the `app`.

    `app` can be killed and started again: it keeps its address and its database.
    """

    def __init__(self, slack: SlackStandIn, polar: PolarStandIn, clock: DemoClock) -> None:
        self.slack, self.polar, self.clock = slack, polar, clock
        self.story = Story(polar)
        self.month = Month(Stage(slack, polar, self.story, clock))
        self.url = ""
        self.app: App

    @classmethod
    @asynccontextmanager
    async def start(
        cls,
        *,
        port: int = 0,
        opening: bool = True,
        say: Callable[[str], None] = log.info,
        say_where: Callable[[str], None] = log.info,
        command: Sequence[str] = DEMO_APP,
        slack: SlackStandIn | None = None,
        polar: PolarStandIn | None = None,
    ) -> AsyncIterator["Demo"]:
        """Serve on loopback (`port` 0: any), start the app, wait for its health, play the opening.

        `say` gets the app's log line by line, `say_where` the page's address as soon as there is one.
        `command` starts the app. Stand-ins given here keep their own clocks: then no month can be played.
        Raises AppDied if the app does not come up, OSError if the port is taken.
        """
        with tempfile.TemporaryDirectory(prefix="polar-approvals-demo-") as folder:
            path = Path(folder)
            clock = DemoClock(path / NAME)
            slack = slack or SlackStandIn(clock=clock.seconds, ages=time.monotonic)
            demo = cls(slack, polar or PolarStandIn(clock=clock.now), clock)
            async with serving(demo.web_app(), port) as demo.slack.origin:
                demo.url = demo.slack.origin
                say_where(demo.url)
                demo.app = App(demo.settings(path), path, say=say, command=command)
                demo.polar.connect(f"{demo.app.url}/polar/webhooks")  # before the app looks for it
                await demo.app.start()
                try:
                    await demo.app.healthy()
                    if opening:
                        await play_opening(demo.story)
                    yield demo
                finally:
                    await demo.month.close()
                    await demo.app.stop()

    def web_app(self) -> web.Application:
        """One application, one origin: Slack, Polar, and the page."""
        app = web.Application(client_max_size=4 * 1024 * 1024)
        self.slack.add_routes(app)
        self.polar.add_routes(app)
        Page(self.slack, [self.story, self.month]).add_routes(app)
        app.router.add_post("/page/polar/send", self._send)
        app.router.add_post("/page/month/{order}", self._order)
        return app

    def settings(self, folder: Path) -> dict[str, str]:
        """The app's environment: this demo's Slack and Polar, a database in `folder`."""
        return {
            "SLACK_BOT_TOKEN": self.slack.bot_token,
            "SLACK_APP_TOKEN": self.slack.app_token,
            "SLACK_API_URL": self.slack.api_url,
            "SLACK_CHANNEL": self.slack.channel,
            "APPROVERS": ",".join(self.slack.workspace.usergroups),
            "POLAR_ACCESS_TOKEN": self.polar.token,
            "POLAR_WEBHOOK_SECRET": self.polar.webhook_secret,
            "POLAR_API_URL": f"{self.url}{self.polar.prefix}",
            "DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'demo.db'}",
            "RULES_FILE": str(RULES),
        }

    async def _send(self, request: web.Request) -> web.Response:
        """POST /page/polar/send {"name"}: play one case. Only the page itself may ask for it."""
        self._refuse_other_sites(request)
        try:
            body: Any = await request.json()
            name = str(body["name"])
        except (ValueError, KeyError, TypeError):
            return web.json_response(
                {"ok": False, "error": 'Send {"name": "…"}. Nothing was sent.'}, status=400
            )
        return web.json_response(await self.story.send(name))

    async def _order(self, request: web.Request) -> web.Response:
        """POST /page/month/ORDER: play, pause, resume or stop it. Only the page itself may ask for that."""
        self._refuse_other_sites(request)
        return web.json_response(self.month.order(request.match_info["order"]))

    def _refuse_other_sites(self, request: web.Request) -> None:
        own = {self.url, self.url.replace("127.0.0.1", "localhost")}
        if request.headers.get("Origin", self.url) not in own:
            raise web.HTTPForbidden(text="Only the demo's own page may do this.")


async def serve(*, port: int, open_browser: bool, command: Sequence[str] = DEMO_APP) -> int:
    """Run the demo until Ctrl-C, SIGTERM or the end of the app. Returns the exit code."""
    # A SIGTERM ends it as Ctrl-C does: the first cancels this task, so that everything is closed in order.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
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
    async with Demo.start(
        port=port,
        opening=False,
        say=lambda line: _say(f"app | {line}"),
        say_where=lambda url: _say(f"The demo is at {url}/ and starts the app now: its log follows."),
        command=command,
    ) as demo:
        if open_browser and _has_display():
            await asyncio.to_thread(webbrowser.open, demo.url)
        await play_opening(demo.story)
        _say(f"The demo is at {demo.url}/ (Ctrl-C stops it)")
        code = await demo.app.process.wait()
        _say(f"The app stopped by itself with exit code {code}, so the demo ends. Its last lines are above.")
    return 1


def _has_display() -> bool:
    if os.environ.get(NO_BROWSER):
        return False
    return sys.platform in {"darwin", "win32"} or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
