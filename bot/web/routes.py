"""HTTP: Polar's webhooks, Slack in HTTP mode, health and metrics."""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier

from bot.counts import Counts
from bot.logs import Seldom
from bot.metrics import BACKLOG, EVENTS, PROPOSALS, REGISTRY, WEBHOOKS
from bot.services import Notify, Queue
from bot.web.server import Bodies
from polar.events import NotAnEvent, read_type
from polar.webhooks import MalformedDelivery, UntrustedDelivery, Verifier, WebhookError
from store import Store
from store.engine.errors import StoreError
from store.models import EventState, NewEvent, ProposalState

log = logging.getLogger(__name__)
_strangers = logging.getLogger(f"{__name__}.refused")
_strangers.addFilter(Seldom())  # anybody can post to the routes

_JSON = "application/json"
# Polar repeats after 4 s at the earliest; its client ignores the header, other senders do not.
_RETRY_AFTER = {"Retry-After": "5"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# The problem in words, or None.
Probe = Callable[[], Awaitable[str | None]]


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
_SLACK_TOLERANCE = 300  # seconds, as Slack's own library has it
# Keys that Bolt takes for an object or null wherever they are present.
_OBJECTS = ("user", "team", "container", "channel", "event", "view", "message")


def slack_events(app: AsyncApp, signing_secret: str, bodies: Bodies) -> Handler:
    """One path for events, taps, commands and `url_verification`.

    401 for a signature that is wrong or older than five minutes, 400 for what is not one of Slack's payloads:
    Bolt reads the body before it checks the signature, and answers what it cannot read with a 500.
    """
    verifier = SignatureVerifier(signing_secret)

    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            if not _is_recent(verifier, request.headers):
                return web.Response(status=401, text=_UNSIGNED)
            body = await bodies.read(request)
            if not _is_signed(verifier, request.headers, body):
                return web.Response(status=401, text=_UNSIGNED)
            if not _is_payload(request.content_type, body.decode()):
                return web.Response(status=400, text="This is not one of Slack's payloads.")
            bolt_request = await to_bolt_request(request)
        except (web.RequestPayloadError, ValueError, LookupError, RecursionError):
            return web.Response(status=400, text="The body cannot be read.")
        except TimeoutError:
            return _cut_off(web.Response(status=408, text="The body did not arrive in time."))
        return await to_aiohttp_response(await app.async_dispatch(bolt_request))

    return receive


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
