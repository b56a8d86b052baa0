"""Webhooks: endpoints as the API shows and changes them, and signed deliveries as Polar makes them.

The id and the body are the same on each attempt, the timestamp is fresh.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import logging
import string
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bot.demo.polar.call import Call, check_body, problem
from bot.demo.polar.errors import Answer, invalid
from bot.demo.polar.shop import Row, Shop, Told, iso

log = logging.getLogger(__name__)

ENDPOINTS = "webhooks/endpoints"
EVENT_TYPES = (
    "checkout.created", "checkout.updated", "checkout.expired", "customer.created", "customer.updated",
    "customer.deleted", "customer.state_changed", "customer_seat.assigned", "customer_seat.claimed",
    "customer_seat.revoked", "member.created", "member.updated", "member.deleted", "order.created",
    "order.updated", "order.paid", "order.refunded", "subscription.created", "subscription.updated",
    "subscription.active", "subscription.canceled", "subscription.uncanceled", "subscription.cycled",
    "subscription.revoked", "subscription.past_due", "subscription.paused", "subscription.resumed",
    "refund.created", "refund.updated", "product.created", "product.updated", "discount.created",
    "discount.updated", "discount.deleted", "benefit.created", "benefit.updated", "benefit_grant.created",
    "benefit_grant.cycled", "benefit_grant.updated", "benefit_grant.revoked", "organization.updated",
)  # fmt: skip
"""The 41 types of the 2026-10 contract."""

_WRITABLE = ("url", "name", "format", "events", "enabled")
DEMO_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0)
"""Seconds before attempts 2 to 10. Polar waits 4 s to 20 min: too long to watch."""

_KEPT_DELIVERIES = 1_000
_KEPT_EVENTS = 20_000
_RESPONSE_KEPT = 2_048  # characters of the receiver's answer that Polar stores


@dataclass(slots=True)
class WebhookEvent:
    """One event for one endpoint. `status`: HTTP status of the last attempt, or why none."""

    id: str
    told: Told
    endpoint: Row
    title: str
    echo: bool
    at: datetime
    tried: asyncio.Event
    status: int | str | None = None

    @property
    def succeeded(self) -> bool:
        """Any 2xx counts, nothing else."""
        return isinstance(self.status, int) and 200 <= self.status < 300


def sign(secret: str, webhook_id: str, timestamp: int, payload: bytes, *, standard: bool) -> str:
    """The `webhook-signature` header. Written apart from polar.webhooks on purpose:
    the verifier is tested against a second hand.
    """
    key = base64.b64decode(secret.removeprefix("whsec_")) if standard else secret.encode()
    signed = f"{webhook_id}.{timestamp}.".encode() + payload
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class WebhookSender:
    """Delivers events to the one URL it may call. Of one write the events go in order, others overtake."""

    def __init__(self, shop: Shop, *, retry_delays: tuple[float, ...], timeout: float) -> None:
        self._shop = shop
        self._retry_delays = retry_delays
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.receiver: str | None = None
        self.events: dict[str, WebhookEvent] = {}
        self.newest: deque[WebhookEvent] = deque(maxlen=60)
        self.on_change: Callable[[], None] = lambda: None

    def send(self, told: Iterable[Told], *, title: str, echo: bool, delay: float = 0) -> list[WebhookEvent]:
        """Start the delivery to every enabled endpoint that listens, `delay` seconds from now."""
        events = [
            self._add(each, endpoint, title, echo)
            for each in told
            for endpoint in self._shop.rows(ENDPOINTS)
            if endpoint["enabled"] and each.type in endpoint["events"]
        ]
        if events:
            self._start(self._deliver(events, delay))
        return events

    def redeliver(self, event: WebhookEvent) -> None:
        """Send once more, under the same id."""
        self._start(self._deliver([event], 0))

    async def close(self) -> None:
        """Stop every delivery under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session:
            await self._session.close()

    def _add(self, told: Told, endpoint: Row, title: str, echo: bool) -> WebhookEvent:
        event = WebhookEvent(
            self._shop.new_id(), told, endpoint, title, echo, self._shop.clock(), asyncio.Event()
        )
        if len(self.events) >= _KEPT_EVENTS:
            del self.events[next(iter(self.events))]
        self.events[event.id] = event
        self.newest.append(event)
        return event

    def _start(self, delivery: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(delivery)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("A delivery broke off", exc_info=task.exception())

    async def _deliver(self, events: list[WebhookEvent], delay: float) -> None:
        if delay:
            await asyncio.sleep(delay)
        for event in events:
            await self._attempt(event)
            if not event.succeeded:
                self._start(self._retry(event))

    async def _retry(self, event: WebhookEvent) -> None:
        for delay in self._retry_delays:
            await asyncio.sleep(delay)
            await self._attempt(event)
            if event.succeeded:
                return

    async def _attempt(self, event: WebhookEvent) -> None:
        """One POST; what came of it is kept in the event and as a row of the deliveries list."""
        answer = ""
        if event.endpoint["url"] == self.receiver:
            event.status, answer = await self._post(event)
        else:
            event.status = "not sent: the demo calls its own app only"
        event.tried.set()
        self._keep(event, answer)
        self.on_change()

    async def _post(self, event: WebhookEvent) -> tuple[int | str, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        endpoint, timestamp = event.endpoint, int(self._shop.clock().timestamp())
        standard = endpoint["uses_standard_webhook_signature"]
        headers = {
            "user-agent": "polar.sh webhooks",
            "content-type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(
                endpoint["secret"], event.id, timestamp, event.told.payload, standard=standard
            ),
        }
        request = self._session.post(
            endpoint["url"], data=event.told.payload, headers=headers, allow_redirects=False
        )
        try:
            async with request as response:
                return response.status, (await response.text(errors="replace"))[:_RESPONSE_KEPT]
        except aiohttp.ClientConnectorError:
            return "connection refused", ""
        except TimeoutError:
            return f"no answer in {self._timeout.total:g} seconds", ""
        except aiohttp.ClientError as error:
            return f"broken off: {type(error).__name__}", ""

    def _keep(self, event: WebhookEvent, answer: str) -> None:
        code = event.status if isinstance(event.status, int) else None
        shown = {
            "created_at": iso(event.at), "modified_at": self._shop.now(), "id": event.id,
            "last_http_code": code, "succeeded": event.succeeded, "skipped": False,
            "payload": event.told.payload.decode(), "type": event.told.type, "is_archived": False,
            "api_version": "2026-10", "endpoint_id": event.endpoint["id"],
        }  # fmt: skip
        rows = self._shop.tables["webhooks/deliveries"]
        if len(rows) >= _KEPT_DELIVERIES:
            del rows[next(iter(rows))]
        self._shop.add(
            "webhooks/deliveries",
            succeeded=event.succeeded,
            http_code=code,
            response=answer,
            webhook_event=shown,
        )


def old_secret(shop: Shop) -> str:
    """As Polar made them before 2026-09-08: whsec_ and 43 letters and digits; the whole text is the key."""
    return "whsec_" + "".join(shop.random.choices(string.ascii_letters + string.digits, k=43))


def new_secret(shop: Shop) -> str:
    """As Polar makes them since: whsec_ and base64 of the 32 bytes that are the key (Standard Webhooks)."""
    return "whsec_" + base64.b64encode(shop.random.randbytes(32)).decode()


def add_endpoint(
    shop: Shop, url: str, events: list[str], secret: str, *, standard: bool, name: str | None = None
) -> Row:
    """An enabled endpoint; the caller has checked the URL. `standard` says how its secret becomes a key."""
    return shop.add(
        ENDPOINTS, url=url, name=name, format="raw", secret=secret, organization_id=shop.organization_id,
        events=events, enabled=True, uses_standard_webhook_signature=standard,
    )  # fmt: skip


def create_endpoint(call: Call) -> Answer:
    """webhooks:create_webhook_endpoint: https and no private address, as Polar demands."""
    body, shop = call.body, call.shop
    _check_fields(body, needs="url format events")
    endpoint = add_endpoint(
        shop, body["url"], body["events"], new_secret(shop), standard=True, name=body.get("name")
    )
    endpoint["format"] = body["format"]
    shop.note(f"webhook endpoint {endpoint['url']} made")
    return Answer(201, endpoint)


def update_endpoint(call: Call) -> Answer:
    """webhooks:update_webhook_endpoint."""
    endpoint = call.shop.get(ENDPOINTS, call.id)
    fields = {name: value for name, value in call.body.items() if name in _WRITABLE}
    _check_fields(fields)
    if call.shop.change(endpoint, **fields):
        call.shop.note(f"webhook endpoint {endpoint['url']}: {', '.join(fields)} changed")
    return Answer(200, endpoint)


def delete_endpoint(call: Call) -> Answer:
    """webhooks:delete_webhook_endpoint."""
    endpoint = call.shop.get(ENDPOINTS, call.id)
    call.shop.remove(ENDPOINTS, endpoint["id"])
    call.shop.note(f"webhook endpoint {endpoint['url']} deleted")
    return Answer(204)


def reset_secret(call: Call) -> Answer:
    """webhooks:reset_webhook_endpoint_secret: the old stops at once, the new is of the new kind."""
    endpoint = call.shop.get(ENDPOINTS, call.id)
    call.shop.change(endpoint, secret=new_secret(call.shop), uses_standard_webhook_signature=True)
    call.shop.note(f"webhook endpoint {endpoint['url']}: new secret")
    return Answer(200, endpoint)


def _check_fields(body: Row, needs: str = "") -> None:
    check_body(body, needs)
    if "url" not in body:
        return
    url = body["url"]
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme != "https":
        message = "URL scheme should be 'https'"
        raise invalid(problem("url_scheme", ("body", "url"), message, url, expected_schemes="'https'"))
    if _is_private(parts.hostname or ""):
        message = "Value error, Webhook URLs cannot point to localhost or private IP addresses."
        raise invalid(problem("value_error", ("body", "url"), message, url, error={}))


def _is_private(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
