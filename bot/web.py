"""The HTTP server: its routes, and what strangers may hold of it in number and time."""

import asyncio
import json
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qs

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from bot.counts import Counts
from bot.logs import Seldom
from bot.metrics import BACKLOG, EVENTS, PROPOSALS, REGISTRY, WEBHOOKS
from bot.services import Notify, Queue
from polar.events import NotAnEvent, read_type
from polar.webhooks import MalformedDelivery, UntrustedDelivery, Verifier, WebhookError
from store import Store
from store.engine.errors import StoreError
from store.models import EventState, NewEvent, ProposalState

log = logging.getLogger(__name__)
_strangers = logging.getLogger(f"{__name__}.refused")
_strangers.addFilter(Seldom())  # anybody can post to the routes

MOST_BYTES = 1 << 20  # of a body
MOST_CONNECTIONS = 512  # half of the 1,024 files that a process may usually have open
MOST_BY_ADDRESS = 64  # but for a proxy or tunnel on this machine, through which everybody comes
MOST_BODIES = 64  # of senders that are not known yet, read at a time
WITHIN = 10.0  # seconds for a request's headers, and again for its body
_STOP_WITHIN = 1.0  # seconds that a stopping server waits for requests under way; what they began goes on

_JSON = "application/json"
# Polar repeats after 4 s at the earliest; its client ignores the header, other senders do not.
_RETRY_AFTER = {"Retry-After": "5"}

# The problem in words, or None.
Probe = Callable[[], Awaitable[str | None]]


# --- What a server may hold --------------------------------------------------------------------------------


class Connections:
    """The open connections. When there are too many, the one that has been idle for longest is closed, or the
    new one while all have a request under way.
    """

    def __init__(self, most: int = MOST_CONNECTIONS, most_by_address: int = MOST_BY_ADDRESS) -> None:
        self._most, self._most_by_address = most, most_by_address
        self._open: dict[asyncio.BaseTransport | None, str] = {}
        self._by_address = Counter[str]()
        self._idle: dict[asyncio.Transport, None] = {}  # without a request under way, oldest first

    def opened(self, transport: asyncio.Transport) -> bool:
        """Count a new connection. False: there are too many, of its address or in all, and it is closed."""
        address, oldest = _address(transport), next(iter(self._idle), None)
        full = len(self._open) >= self._most
        if (address and self._by_address[address] >= self._most_by_address) or (full and oldest is None):
            transport.abort()
            return False
        if full and oldest is not None:
            self.closed(oldest)
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
    return "" if not peer or ip_address(peer[0]).is_loopback else str(peer[0])


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
async def listening(routes: Sequence[web.RouteDef], host: str, port: int) -> AsyncIterator[str]:
    """Serve the routes until the block ends; the address. Raises OSError when the port is taken."""
    connections = Connections()
    app = web.Application(client_max_size=MOST_BYTES, middlewares=[connections.busy])
    app.add_routes(routes)
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
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
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


# --- The routes --------------------------------------------------------------------------------------------


def webhook(
    verifier: Verifier, store: Store, clock: Callable[[], datetime], notify: Notify, bodies: Bodies
) -> Handler:
    """`POST /polar/webhooks`: verified on the raw bytes, answered once the event is on disk.

    202 stored (also for a repeat); 400 malformed; 403 signature wrong or old; 408 too slow; 413 over 1 MiB;
    415 not JSON; 503 not stored, send again. Polar keeps what we answer, so nothing internal is said. Headers
    are looked at before a body is read.
    """

    async def receive(request: web.Request) -> web.Response:
        if "Content-Type" in request.headers and request.content_type != _JSON:
            return _answer(415, f"The content type must be {_JSON}. Nothing was stored.")
        try:
            verifier.check_headers(request.headers, clock())
            body = await bodies.read(request)
        except (UntrustedDelivery, MalformedDelivery) as error:
            return refuse(error)
        except web.HTTPRequestEntityTooLarge:
            return _answer(413, "The body is larger than 1 MiB. Nothing was stored.")
        except web.RequestPayloadError:
            return _answer(400, "The body cannot be read as its headers say. Nothing was stored.")
        except TimeoutError:
            return _cut_off(_answer(408, "The body did not arrive in time. Nothing was stored."))
        now = clock()
        try:
            delivery = verifier.verify(request.headers, body, now)
            type_ = read_type(body)
        except (UntrustedDelivery, MalformedDelivery, NotAnEvent) as error:
            return refuse(error)
        # The header may hold other signatures whose bytes are no text: no database stores them.
        signature = delivery.signature.encode("ascii", "backslashreplace").decode()
        event = NewEvent(delivery.id, type_, body, signature, delivery.timestamp, now)
        try:
            await store.record(event, then=partial(notify, Queue.PROPOSE))
        except StoreError as error:
            log.error("webhook %s is not stored: %s", delivery.id, error.__cause__ or error)
            return _answer(503, "The event could not be stored. Send it again.", _RETRY_AFTER)
        return _answer(202, "Stored.")

    def refuse(error: WebhookError | NotAnEvent) -> web.Response:
        said = error.plain if isinstance(error, WebhookError) else str(error)
        _strangers.warning("a webhook was refused: %s", said)
        return _answer(403 if isinstance(error, UntrustedDelivery) else 400, said)

    return receive


def _cut_off(response: web.Response) -> web.Response:
    """The last answer on a connection."""
    response.force_close()
    return response


def _answer(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    WEBHOOKS.labels(status=str(status)).inc()
    return web.json_response({"detail": text}, status=status, headers=headers)


def health(probes: dict[str, Probe]) -> Handler:
    """`GET /healthz`: 200 when every probe is content, else 503 naming what is not."""

    async def answer(_request: web.Request) -> web.Response:
        found = {name: await probe() for name, probe in probes.items()}
        ill = {name: problem for name, problem in found.items() if problem is not None}
        parts = {name: problem or "ok" for name, problem in found.items()}
        return web.json_response(
            {"status": "unavailable" if ill else "ok", **parts}, status=503 if ill else 200
        )

    return answer


def metrics(store: Store, counts: Counts) -> Handler:
    """`GET /metrics`: Prometheus text; 503 when the database does not answer. `Counts` says how old a number
    of done events and proposals may be.
    """

    async def answer(_request: web.Request) -> web.Response:
        try:
            found = await counts.now()
        except StoreError as error:
            return web.Response(status=503, text=f"The database does not answer: {error}")
        shown = ((PROPOSALS, ProposalState, found.proposals), (EVENTS, EventState, found.events))
        for gauge, states, numbers in shown:
            for state in states:  # all of them: a gauge keeps its value when a state has emptied
                gauge.labels(state=state).set(numbers.get(state, 0))
        BACKLOG.set(store.backlog)
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    return answer


_UNSIGNED = "The signature is missing, wrong or old."
_TAKEN = "This request was taken already."
_SLACK_TOLERANCE = 300  # seconds, as Slack's own library has it
# Keys that Bolt takes for an object or null wherever they are present.
_OBJECTS = ("user", "team", "container", "channel", "event", "view", "message")


def slack_events(app: AsyncApp, signing_secret: str, bodies: Bodies) -> Handler:
    """One path for events, taps, commands and `url_verification`.

    401 for a signature that is wrong, older than five minutes or taken already, 400 for what is not one of
    Slack's payloads: Bolt reads the body before it checks the signature, and answers what it cannot read with
    a 500.
    """
    verifier = SignatureVerifier(signing_secret)
    signatures = Signatures(verifier.clock.now)

    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            if not _is_recent(verifier, request.headers):
                return web.Response(status=401, text=_UNSIGNED)
            body = await bodies.read(request)
            if not _is_signed(verifier, request.headers, body):
                return web.Response(status=401, text=_UNSIGNED)
            if not _is_payload(request.content_type, body.decode()):
                return web.Response(status=400, text="This is not one of Slack's payloads.")
            if not signatures.take(request.headers):
                return web.Response(status=401, text=_TAKEN)
            bolt_request = await to_bolt_request(request)
        except (web.RequestPayloadError, ValueError, LookupError, RecursionError):
            return web.Response(status=400, text="The body cannot be read.")
        except TimeoutError:
            return _cut_off(web.Response(status=408, text="The body did not arrive in time."))
        answer = await app.async_dispatch(bolt_request)
        if answer.status >= 500:  # it is not done: Slack sends an event again, perhaps in the same second
            signatures.forget(request.headers)
        return await to_aiohttp_response(answer)

    return receive


class Signatures:
    """The signatures of requests that were taken: each counts once while its timestamp is valid. Only this
    process knows them, as each decision is taken once by its own row. Of more than `most` the oldest go.
    """

    def __init__(self, now: Callable[[], float], most: int = 50_000) -> None:
        self._now, self._most = now, most
        self._until: dict[str, float] = {}  # by signature, oldest first

    def take(self, headers: Mapping[str, str]) -> bool:
        """Take a request by its headers, which are verified. False: it was taken before."""
        now, signature = self._now(), headers["X-Slack-Signature"]
        for oldest in list(islice(self._until, 2)):  # more go than come, so that nothing is kept for long
            if self._until[oldest] < now or len(self._until) >= self._most:
                del self._until[oldest]
        if signature in self._until:
            return False
        self._until[signature] = int(headers["X-Slack-Request-Timestamp"]) + _SLACK_TOLERANCE
        return True

    def forget(self, headers: Mapping[str, str]) -> None:
        """Let a request be taken again."""
        self._until.pop(headers["X-Slack-Signature"], None)


def _is_recent(verifier: SignatureVerifier, headers: Mapping[str, str]) -> bool:
    """Tell by its headers alone whether Slack may have sent this within five minutes."""
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    if re.fullmatch(r"[0-9]{1,20}", timestamp) is None or not headers.get("X-Slack-Signature"):
        return False
    return abs(verifier.clock.now() - int(timestamp)) <= _SLACK_TOLERANCE


def _is_signed(verifier: SignatureVerifier, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether Slack sent this within five minutes. Raises ValueError for a body that is no text."""
    timestamp = headers.get("X-Slack-Request-Timestamp", "")
    signature = headers.get("X-Slack-Signature", "")
    if re.fullmatch(r"[0-9]{1,20}", timestamp) is None or not signature.isascii():
        return False
    return verifier.is_valid(body, timestamp, signature)


def _is_payload(content_type: str, body: str) -> bool:
    """Tell whether Bolt can read it: a command's form, or an object where Slack sends one. Raises
    ValueError.
    """
    if content_type == "application/x-www-form-urlencoded":
        values = parse_qs(body, keep_blank_values=True).get("payload")
        return values is None or _is_sensible(json.loads(values[0]))
    return _is_sensible(json.loads(body))


def _is_sensible(payload: Any) -> bool:
    if not isinstance(payload, dict):
        return False
    actions = payload.get("actions", [{}])
    return (
        isinstance(actions, list)
        and bool(actions)
        and all(isinstance(action, dict) for action in actions)
        and all(isinstance(payload.get(name), dict | None) for name in _OBJECTS)
    )
