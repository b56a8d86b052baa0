"""The program on stage: one or more of it as processes between both stand-ins, and what is asked of it."""

import asyncio
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bot.demo.app_process import App, AppDied, free_port
from bot.demo.clock import NAME, DemoClock
from bot.demo.polar import PolarStandIn
from bot.demo.server import Demo
from bot.demo.shared import serving
from bot.demo.slack import SlackStandIn
from tests.bench.child import memory_of
from tests.bench.load import Job

UNHURRIED = (sys.executable, "-m", "tests.bench.unhurried")
_METRIC = re.compile(r"^(\w+) (\S+)$", re.MULTILINE)
_START_TIMEOUT = 60.0


class Stage:
    """A database of its own, the programs on it, the stand-ins in this process."""

    def __init__(
        self,
        demo: Demo,
        apps: Sequence[App],
        folder: Path,
        session: aiohttp.ClientSession,
        errors: Sequence[str],
    ) -> None:
        """`errors` are the lines of their logs that are errors."""
        self.demo, self.apps, self.folder, self._session, self.errors = demo, apps, folder, session, errors
        self._held = 0.0

    @property
    def app(self) -> App:
        """The first program."""
        return self.apps[0]

    @property
    def environment(self) -> Mapping[str, str]:
        """That of the first program, for commands beside it."""
        return self.app._environment

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "demo.db"

    def job(self, event_type: str, *, most: int, connections: int = 1, **more: float) -> Job:
        """A job for the load generator against the programs."""
        ports = [urlsplit(app.url).port or 0 for app in self.apps]
        return Job(ports, self.demo.polar.webhook_secret, event_type, connections, most, **more)

    async def start(self) -> float:
        """Start every program that does not run and wait for its health: the seconds that it took."""
        begun = time.perf_counter()
        for app in self.apps:
            await app.start()
        for app in self.apps:
            while not await self._healthy(app):
                if app.process.returncode is not None or time.perf_counter() - begun > _START_TIMEOUT:
                    raise AppDied(app.process.returncode, app.last)
                await asyncio.sleep(0.005)
        return time.perf_counter() - begun

    async def kill(self) -> None:
        """End every program that was started, at once."""
        await asyncio.gather(*(app.kill() for app in self.apps if hasattr(app, "process")))

    async def become(self, command: Sequence[str]) -> None:
        """Go on with another way to run the programs."""
        await self.kill()
        for app in self.apps:
            app._command = command
        await self.start()

    async def _healthy(self, app: App) -> bool:
        try:
            async with self._session.get(f"{app.url}/healthz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def metrics(self) -> dict[str, float]:
        """What `/metrics` says without labels."""
        address = f"http://127.0.0.1:{self.environment['METRICS_PORT']}/metrics"
        async with self._session.get(address) as answer:
            found = {name: float(value) for name, value in _METRIC.findall(await answer.text())}
        self._held = max(self._held, found.get("bench_longest_transaction_seconds", 0.0))
        return found

    async def statements(self) -> float:
        """How many statements the unhurried program has executed so far; the look itself costs a few."""
        return (await self.metrics())["bench_statements_total"]

    async def held(self) -> float:
        """Seconds that the unhurried program's longest writing transaction took since this was asked last."""
        await self.metrics()
        held, self._held = self._held, 0.0
        return held

    def memory(self) -> float:
        """Resident memory of the program in MB."""
        return memory_of(self.app.process.pid)

    async def concluded(self, within: float) -> bool:
        """Wait until no stored event waits for the rules; whether that came."""
        first = "SELECT 1 FROM events WHERE state = 'new' LIMIT 1"
        return await until(lambda: self.ask(first) is None, within)

    def ask(self, query: str) -> Any:
        """The first value of a query, or None; read past the program."""
        with closing(self._looking()) as database:
            row = database.execute(query).fetchone()
        return None if row is None else row[0]

    def stored(self) -> set[str]:
        """The webhook-ids in the database, read past the program."""
        with closing(self._looking()) as database:
            return {row[0] for row in database.execute("SELECT id FROM events")}

    def _looking(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)

    async def carded(self, count: int, within: float) -> bool:
        """Wait until so many messages are in Slack; whether that came."""
        messages = self.demo.slack.workspace.messages
        return await until(lambda: len(messages) >= count, within)


@asynccontextmanager
async def on_stage(
    *, command: Sequence[str] = UNHURRIED, replicas: int = 1, database_url: str | None = None
) -> AsyncIterator[Stage]:
    """Healthy programs on one database, with nothing in it unless it is given."""
    with tempfile.TemporaryDirectory(prefix="polar-approvals-bench-") as name:
        folder = Path(name)
        demo = Demo(SlackStandIn(), PolarStandIn(), DemoClock(folder / NAME))
        async with serving(demo.web_app()) as demo.url, aiohttp.ClientSession() as session:
            demo.slack.origin = demo.url
            settings = demo.settings(folder) | ({"DATABASE_URL": database_url} if database_url else {})
            errors: list[str] = []

            def note(line: str) -> None:
                if " ERROR " in line or "Traceback" in line:
                    errors.append(line)

            apps = [
                App(settings | {"METRICS_PORT": str(free_port())}, folder, say=note, command=command)
                for _ in range(replicas)
            ]
            demo.app = apps[0]
            demo.polar.connect(f"{demo.app.url}/polar/webhooks")
            stage = Stage(demo, apps, folder, session, errors)
            try:
                await stage.start()
                yield stage
            finally:
                await stage.kill()


async def until(predicate: Callable[[], object], within: float) -> bool:
    """Wait for something to become true; whether it did."""
    give_up = time.perf_counter() + within
    while not predicate():
        if time.perf_counter() > give_up:
            return False
        await asyncio.sleep(0.01)
    return True
