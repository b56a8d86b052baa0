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
_STARTS = 3
_TOGETHER = 64  # webhooks in a transaction, as in a flood


class Yardstick:
    """A handler that only verifies, and a plain sqlite3 thread."""

    def __init__(self, port: int, secret: str, memory: float) -> None:
        """`memory`: what the handler weighs, in MB."""
        self._port, self._secret, self.memory = port, secret, memory

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

    async def start(self) -> float:
        """The shortest of three starts of such a handler, in seconds."""
        took = []
        for _ in range(_STARTS):
            begun = time.perf_counter()
            async with _bare(self._secret):
                took.append(time.perf_counter() - begun)
        return min(took)


@asynccontextmanager
async def yardstick() -> AsyncIterator[Yardstick]:
    """The handler running."""
    secret = PolarStandIn().webhook_secret
    async with _bare(secret) as (port, process):
        yield Yardstick(port, secret, memory_of(process))


@asynccontextmanager
async def _bare(secret: str) -> AsyncIterator[tuple[int, int]]:
    """The port of a handler that listens, and its process id."""
    async with child("tests.bench.bare") as bare:
        assert bare.stdin is not None
        assert bare.stdout is not None
        bare.stdin.write(secret.encode() + b"\n")
        yield int(await bare.stdout.readline()), bare.pid
