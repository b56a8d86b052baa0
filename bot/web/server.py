"""The HTTP server: the connections and unread bodies of strangers are bounded in number and time."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from bot.logs import Seldom
from polar.addresses import is_loopback

MOST_BYTES = 1 << 20  # of a body
MOST_CONNECTIONS = 512  # half of the 1,024 files that a process may usually have open
MOST_BY_ADDRESS = 64  # but for a proxy or tunnel on this machine, through which everybody comes
MOST_BODIES = 64  # of senders that are not known yet, read at a time
WITHIN = 10.0  # seconds for a request's headers, and again for its body
_STOP_WITHIN = 1.0  # seconds that a stopping server waits for requests under way; what they began goes on


class Connections:
    """The open connections. When there are too many, the one that has been idle for longest is closed."""

    def __init__(self, most: int = MOST_CONNECTIONS, most_by_address: int = MOST_BY_ADDRESS) -> None:
        self._most, self._most_by_address = most, most_by_address
        self._open: dict[asyncio.BaseTransport | None, str] = {}
        self._by_address = Counter[str]()
        self._idle: dict[asyncio.Transport, None] = {}  # without a request under way, oldest first

    def opened(self, transport: asyncio.Transport) -> bool:
        """Count a new connection. False: its address has too many, and it is closed."""
        address = _address(transport)
        if address and self._by_address[address] >= self._most_by_address:
            transport.abort()
            return False
        if len(self._open) >= self._most and self._idle:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            oldest.abort()
        self._open[transport] = address
        self._by_address[address] += 1
        self._idle[transport] = None
        return True

    def closed(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._idle.pop(transport, None)
        address = self._open.pop(transport, None)
        if address is not None:
            self._by_address[address] -= 1

    @web.middleware
    async def busy(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Keep a connection while it has a request under way."""
        transport = request.transport
        if transport is not None:
            self._idle.pop(transport, None)
        try:
            return await handler(request)
        finally:
            if transport is not None and transport in self._open:
                self._idle[transport] = None


def _address(transport: asyncio.Transport) -> str:
    """The address of the sender; empty on this machine."""
    peer = transport.get_extra_info("peername")
    address = str(peer[0]) if peer else ""
    return "" if is_loopback(address.partition("%")[0]) else address


class _Counted(asyncio.Protocol):
    """A connection's protocol, counted among the open connections."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner, self._connections = inner, connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        accepted = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self._connections.opened(accepted):
            self._transport = accepted
            self._inner.connection_made(accepted)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.closed(self._transport)
            self._inner.connection_lost(exc)


class Bodies:
    """Bodies that are being read. When there are too many, the one that has taken longest is given up."""

    def __init__(self, most: int = MOST_BODIES, within: float = WITHIN) -> None:
        self._most, self._within = most, within
        self._reading: dict[asyncio.Timeout, None] = {}  # oldest first

    async def read(self, request: web.Request) -> bytes:
        """The whole body. Raises TimeoutError when it takes too long, and as `request.read` does."""
        if len(self._reading) >= self._most:
            oldest = next(iter(self._reading))
            del self._reading[oldest]
            oldest.reschedule(asyncio.get_running_loop().time())
        async with asyncio.timeout(self._within) as limit:
            self._reading[limit] = None
            try:
                return await request.read()
            finally:
                self._reading.pop(limit, None)


@asynccontextmanager
async def listening(
    app: web.Application, connections: Connections, host: str, port: int
) -> AsyncIterator[int]:
    """Serve the application until the block ends; the port. Raises OSError when the port is taken."""
    runner = web.AppRunner(
        app, access_log=None, handle_signals=False, logger=_strangers_log(),
        keepalive_timeout=WITHIN, lingering_time=1.0, shutdown_timeout=_STOP_WITHIN,
    )  # fmt: skip
    await runner.setup()
    made: Callable[[], asyncio.Protocol] | None = runner.server
    assert made is not None  # noqa: S101 - `setup` has made it
    server = None
    try:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Counted(made(), connections), host, port, backlog=512)
        yield server.sockets[0].getsockname()[1]
    finally:
        if server is not None:
            server.close()
        await runner.cleanup()


def _strangers_log() -> logging.Logger:
    """The server's log. What it says of requests that are no HTTP is anybody's doing: it is said seldom."""
    log = logging.getLogger(f"{__name__}.requests")
    if not log.filters:
        log.addFilter(Seldom(_is_no_http))
    return log


def _is_no_http(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return isinstance(error, HttpProcessingError | ConnectionError | web.RequestPayloadError)
