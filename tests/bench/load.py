"""The load generator, a process of its own: a flood over some connections, or a steady pace.

Reads one job as JSON from standard input and prints one result as JSON. Requests are signed beforehand.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import uvloop

from tests.bench.child import child
from tests.bench.deliveries import Deliveries

_HOST = "127.0.0.1"
_PACED_CONNECTIONS = 32


@dataclass(frozen=True)
class Job:
    """What to send where. `rate` None floods for `seconds` or until `most` are sent; else events a second.

    The connections go to the ports in turn.
    """

    ports: Sequence[int]
    secret: str
    event_type: str
    connections: int
    most: int
    seconds: float = 60.0
    rate: float | None = None
    first: int = 0


@dataclass
class Result:
    """`begun_at` and `sent_at` in seconds since 1970, the latter in the order of the numbers and for a pace
    only; latencies in seconds.
    """

    begun_at: float = 0.0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    sent_at: list[float] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """How many were answered 202."""
        return self.statuses[202]

    @property
    def rate(self) -> float:
        """Accepted per second."""
        return self.accepted / self.seconds


async def send(job: Job) -> Result:
    """Run the job in a process of its own."""
    async with child("tests.bench.load") as process:
        out, _ = await process.communicate(json.dumps(asdict(job)).encode())
    if process.returncode:
        raise RuntimeError("The load generator failed; its error is above.")
    found: dict[str, Any] = json.loads(out)
    statuses = Counter({int(status): count for status, count in found.pop("statuses").items()})
    return Result(**found, statuses=statuses)


class _Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection: a request goes out, the status of its answer comes back."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def exchange(self, request: bytes) -> asyncio.Future[int]:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"
        )
        if len(body) >= length:
            self._received = body[length:]
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())


async def _run(job: Job) -> Result:
    deliveries = Deliveries(f"{_HOST}:{job.ports[0]}", job.secret, job.event_type, job.first)
    requests = list(deliveries.requests(job.most))
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(_Connection, _HOST, job.ports[number % len(job.ports)]))[1]
        for number in range(job.connections if job.rate is None else _PACED_CONNECTIONS)
    ]
    result = Result(begun_at=time.time())
    begun = time.perf_counter()
    if job.rate is None:
        waiting = iter(requests)
        await asyncio.gather(*(_flood(each, waiting, begun + job.seconds, result) for each in connections))
    else:
        await _pace(connections, requests, job.rate, result)
    result.seconds = time.perf_counter() - begun
    return result


async def _flood(connection: _Connection, waiting: Iterator[bytes], until: float, result: Result) -> None:
    """One request after the other, the next as soon as the last is answered."""
    for request in waiting:
        sent = time.perf_counter()
        result.statuses[await connection.exchange(request)] += 1
        now = time.perf_counter()
        result.latencies.append(now - sent)
        if now > until:
            return


async def _pace(connections: list[_Connection], requests: list[bytes], rate: float, result: Result) -> None:
    """Each request at its own time, whatever became of the others; late answers count from that time."""
    free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()
    for connection in connections:
        free.put_nowait(connection)

    async def one(request: bytes, due: float) -> None:
        connection = await free.get()
        result.statuses[await connection.exchange(request)] += 1
        result.latencies.append(time.time() - due)
        free.put_nowait(connection)

    begun = time.time()
    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.time()))
            result.sent_at.append(due)
            group.create_task(one(request, due))


if __name__ == "__main__":
    json.dump(vars(uvloop.run(_run(Job(**json.load(sys.stdin))))), sys.stdout)
