"""What the machine does at the moment without our program: each row of the report stands beside it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.demo.polar import PolarStandIn
from tests.bench.child import child, memory_of
from tests.bench.deliveries import UNLISTENED
from tests.bench.load import Job, Result, send
from tests.bench.plain import commits
from tests.bench.report import percentile

_PACE = 50  # a second
_TOGETHER = 64  # webhooks in a transaction, as in a flood


class Yardstick:
    """A handler that only verifies, with how it started and what it weighs; a plain sqlite3 thread."""

    def __init__(self, port: int, secret: str, started: float, memory: float) -> None:
        """`started` in seconds from the start of its process; `memory` in MB."""
        self._port, self._secret, self.started, self.memory = port, secret, started, memory

    async def flood(self, connections: int, *, most: int, seconds: float = 60.0) -> Result:
        """The handler under a flood."""
        return await send(Job([self._port], self._secret, UNLISTENED, connections, most, seconds))

    async def answer(self) -> float:
        """The median of the seconds in which the handler answers fifty webhooks a second."""
        job = Job([self._port], self._secret, UNLISTENED, 1, _PACE, rate=_PACE)
        return percentile((await send(job)).latencies, 0.5)

    async def step(self) -> float:
        """The seconds of the least that a durable step takes: an answer and a commit."""
        return await self.answer() + percentile(await commits(_PACE, 1), 0.5)

    async def rows(self) -> float:
        """Webhooks stored a second by the plain thread, 64 in a transaction."""
        return _TOGETHER / percentile(await commits(20, _TOGETHER), 0.5)


@asynccontextmanager
async def yardstick() -> AsyncIterator[Yardstick]:
    """The handler running."""
    secret, begun = PolarStandIn().webhook_secret, time.perf_counter()
    async with child("tests.bench.bare") as bare:
        assert bare.stdin is not None
        assert bare.stdout is not None
        bare.stdin.write(secret.encode() + b"\n")
        port = int(await bare.stdout.readline())
        yield Yardstick(port, secret, time.perf_counter() - begun, memory_of(bare.pid))
