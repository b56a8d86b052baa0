"""The app on stage: the demo with both stand-ins, the app's own view of its backlog, its memory."""

import asyncio
import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bot.demo.app_process import RUN_APP
from bot.demo.server import Demo
from tests.bench.load import Job

_GAUGE = re.compile(r'^polar_approvals_(\w+)\{state="(\w+)"\} (\S+)$', re.MULTILINE)


class Stage:
    """One app with a fresh database, its stand-ins in this process, and what it said that was a warning."""

    def __init__(self, demo: Demo, session: aiohttp.ClientSession, said: list[str]) -> None:
        self.demo, self._session, self.said = demo, session, said

    def job(self, event_type: str, *, most: int, connections: int = 1, **more: float) -> Job:
        """A job for the load generator against this app."""
        port = urlsplit(self.demo.app.url).port
        assert port is not None
        return Job(port, self.demo.polar.webhook_secret, event_type, connections, most, **more)

    async def counts(self, noun: str) -> dict[str, int]:
        """How many `events` or `proposals` stand in each state, as /metrics says."""
        async with self._session.get(f"{self.demo.app.url}/metrics") as answer:
            text = await answer.text()
        return {state: int(float(count)) for name, state, count in _GAUGE.findall(text) if name == noun}

    async def settled(self, within: float = 60.0) -> None:
        """Wait until no stored event waits for the rules. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while (await self.counts("events")).get("new", 0):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)

    async def started(self) -> float:
        """Start the app and wait for its health: seconds from the start of the process."""
        begun = time.perf_counter()
        await self.demo.app.start()
        while not await self._healthy():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.005)
        return time.perf_counter() - begun

    async def _healthy(self) -> bool:
        try:
            async with self._session.get(f"{self.demo.app.url}/healthz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    def memory(self) -> float:
        """Resident memory of the app in MB."""
        status = Path(f"/proc/{self.demo.app.process.pid}/status").read_text(encoding="ascii")
        found = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(found.split()[1]) / 1_024

    def stored(self) -> set[str]:
        """The webhook-ids in the database, read past the app."""
        path = self.demo.app._environment["DATABASE_URL"].partition("///")[2]
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return {row[0] for row in database.execute("SELECT id FROM events")}


@asynccontextmanager
async def on_stage(
    say: Callable[[str], None] = lambda line: None, *, unhurried: bool = False
) -> AsyncIterator[Stage]:
    """A healthy app with nothing in its database; `unhurried`: it does not keep to Slack's pace."""
    command = (sys.executable, "-m", "tests.bench.unhurried") if unhurried else RUN_APP
    said: list[str] = []

    def note(line: str) -> None:
        if " WARNING " in line or " ERROR " in line or "Traceback" in line:
            said.append(line)
        say(line)

    async with (
        Demo.start(opening=False, say=note, command=command) as demo,
        aiohttp.ClientSession() as session,
    ):
        yield Stage(demo, session, said)


async def until(predicate: Callable[[], object], within: float) -> bool:
    """Wait for something to become true; whether it did."""
    give_up = time.perf_counter() + within
    while not predicate():
        if time.perf_counter() > give_up:
            return False
        await asyncio.sleep(0.01)
    return True
