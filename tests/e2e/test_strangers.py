"""Senders that nobody knows hold connections, send halves and nonsense: webhooks and taps are answered as ever."""

import asyncio
import logging
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp.web import Request, Response, get

from bot import web
from tests.e2e.app_harness import World
from tests.e2e.app_harness import world as harness

SILENT, HALVES, BAD = 1_200, 300, 200
HALF = (
    b"POST /polar/webhooks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nwebhook-id: evt_%d\r\n"
    b"webhook-timestamp: %d\r\nwebhook-signature: v1,AAAA\r\nContent-Length: 1000\r\n\r\n{"
)
NONSENSE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
    b"POST /polar/webhooks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /polar/webhooks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
    b"POST /polar/webhooks HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A Slack and a Polar."""
    async with harness(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """Both ends of each connection are files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@asynccontextmanager
async def holding(url: str, count: int, first: bytes = b"") -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that send this and nothing more."""
    place = urlsplit(url)
    opened = [await asyncio.open_connection(place.hostname, place.port) for _ in range(count)]
    for number, (_, writer) in enumerate(opened):
        writer.write(first % (number, time.time()) if b"%d" in first else first)
    yield [reader for reader, _ in opened]
    for _, writer in opened:
        writer.transport.abort()


async def send(url: str, data: bytes) -> bytes:
    """The first line of the answer; empty when there is none."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.readline(), 5)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.timed
async def test_work_goes_on_beside_silent_connections_and_half_sent_bodies(world: World) -> None:
    async with (
        world.app() as app,
        holding(app.url, SILENT),
        holding(app.url, SILENT // 4, b"POST /polar/webhooks HTTP/1.1\r\nHo"),
        holding(app.url, HALVES, HALF),
    ):
        begun = time.monotonic()
        card = await world.ask("order.paid")
        asked = time.monotonic()
        await world.tap(card)

        assert asked - begun < 3
        assert time.monotonic() - asked < 1
        await world.says(card, "Done")


@pytest.mark.parametrize("server", ["url", "metrics_url"])
async def test_silent_connections_are_closed_when_there_are_too_many(world: World, server: str) -> None:
    async with world.app() as app, holding(getattr(app, server), web.MOST_CONNECTIONS + 10) as first:
        closed = [reader for reader in first[:10] if await _is_closed(reader)]
        assert len(closed) == 10
        assert not first[-1].at_eof()


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


async def test_no_connection_is_taken_while_as_many_as_there_may_be_have_a_request_under_way() -> None:
    under_way, go, full = 0, asyncio.Event(), asyncio.Event()

    async def slow(_request: Request) -> Response:
        nonlocal under_way
        under_way += 1
        if under_way == web.MOST_CONNECTIONS:
            full.set()
        await go.wait()
        return Response()

    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with web.listening([get("/", slow)], "127.0.0.1", 0) as url:
        async with holding(url, web.MOST_CONNECTIONS, request) as busy:
            await asyncio.wait_for(full.wait(), 60)
            async with holding(url, 1, request) as late:
                assert await _is_closed(late[0])
            go.set()
            answers = [await asyncio.wait_for(reader.readline(), 60) for reader in busy]
        assert set(answers) == {b"HTTP/1.1 200 OK\r\n"}
        assert await send(url, request) == b"HTTP/1.1 200 OK\r\n"


async def test_half_sent_body_is_given_up_when_there_are_too_many(world: World) -> None:
    async with world.app() as app, holding(app.url, web.MOST_BODIES + 5, HALF) as halves:
        answers = [await asyncio.wait_for(reader.readline(), 5) for reader in halves[:5]]
        assert answers == [b"HTTP/1.1 408 Request Timeout\r\n"] * 5


async def test_strangers_fill_neither_the_log_nor_the_errors(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.app() as app:
        caplog.set_level(logging.INFO)
        for number in range(BAD):
            await send(app.url, NONSENSE[number % len(NONSENSE)])
        said = [record for record in caplog.records if record.name.startswith(("bot.web", "aiohttp"))]

    assert {record.name for record in said} <= {f"{web.__name__}.refused", f"{web.__name__}.requests"}
    assert len(said) <= 4
    assert all(getattr(record, "of_strangers", False) for record in said)
