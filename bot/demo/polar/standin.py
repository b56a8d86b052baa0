"""The Polar stand-in: the front door of a small Polar on loopback, its state, its webhooks, its faults.

An operation without an entry in `HANDLERS` answers 501.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

from aiohttp import web

from bot.demo.polar import customers, errors, grants, orders, reads, sales, stock, subscriptions, webhooks
from bot.demo.polar.call import ID, Call, Match, Operation, Routes, check, load_operations, problem
from bot.demo.polar.errors import NO_BODY, Answer, Refusal
from bot.demo.polar.shop import Row, Shop, iso
from bot.demo.polar.webhooks import DEMO_DELAYS, WebhookEvent, WebhookSender
from bot.demo.shared import ANY, Changes, Faults, serving

VERSIONS = frozenset({"2026-10", "2026-04"})
_ERROR = Answer(500, {"error": "InternalServerError", "detail": "Internal Server Error"})
_KEPT = 50_000  # requests
_UTC_NOW = partial(datetime.now, UTC)
_READ = (
    "organizations", "products", "benefits", "orders", "disputes", "payments", "subscriptions", "discounts",
    "checkouts", "checkout-links",
)  # fmt: skip
HANDLERS: dict[str, Callable[[Call], Answer]] = {
    **{f"{table}:get": reads.get(table) for table in _READ},
    **{f"{table}:list": reads.listing(table) for table in (*_READ, "benefit-grants", "refunds", "customers")},
    "products:update": sales.update_product,
    "benefits:grants": reads.grants_of_benefit,
    "orders:update": orders.update_order,
    "orders:invoice": orders.get_invoice,
    "orders:generate_invoice": orders.generate_invoice,
    "refunds:create": orders.create_refund,
    "disputes:accept": orders.accept_dispute,
    "subscriptions:update": subscriptions.update,
    "subscriptions:revoke": subscriptions.revoke,
    "license_keys:get": reads.get_key,
    "license_keys:list": reads.listing("license-keys"),
    "license_keys:update": grants.update_key,
    "customers:get": customers.get,
    "customers:get_external": customers.get,
    "customers:get_state": customers.get_state,
    "customers:get_state_external": customers.get_state,
    "customers:update": customers.update,
    "customers:update_external": customers.update,
    "customer-sessions:create": customers.create_session,
    "members:list_members": reads.listing("members"),
    "customer-seats:list_seats": grants.list_seats,
    "customer-seats:assign_seat": grants.assign_seat,
    "customer-seats:revoke_seat": grants.revoke_seat_call,
    "customer-seats:resend_invitation": grants.resend_invitation,
    "discounts:create": sales.create_discount,
    "discounts:delete": sales.delete_discount,
    "checkouts:create": sales.create_checkout,
    "checkout-links:create": sales.create_link,
    "checkout-links:update": sales.update_link,
    "checkout-links:delete": sales.delete_link,
    "webhooks:list_webhook_endpoints": reads.listing(webhooks.ENDPOINTS),
    "webhooks:get_webhook_endpoint": reads.get(webhooks.ENDPOINTS),
    "webhooks:create_webhook_endpoint": webhooks.create_endpoint,
    "webhooks:update_webhook_endpoint": webhooks.update_endpoint,
    "webhooks:delete_webhook_endpoint": webhooks.delete_endpoint,
    "webhooks:reset_webhook_endpoint_secret": webhooks.reset_secret,
    "webhooks:list_webhook_deliveries": reads.listing("webhooks/deliveries"),
}


class Fault(StrEnum):
    """A kind of fault; "after" means that the write was done and only the answer is lost."""

    ERROR_BEFORE = "500-before"
    ERROR_AFTER = "500-after"
    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    SLOW = "slow"
    RATE_LIMITED = "429"


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault of the next requests. `seconds` is its delay, or the retry-after of a 429."""

    fault: Fault
    seconds: float


@dataclass(slots=True)
class Received:
    """One request and what it was answered. `status` 0 means that the connection was dropped."""

    at: datetime
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    operation: str
    body: Any = None
    status: int = 0
    answer: str = ""
    changed: str | None = None


class PolarStandIn(Changes):
    """A small in-memory Polar for one organization.

    `token` is the only one that is let in, with `scopes` (None: all). `clock` gives aware UTC times; `seed`
    fixes ids, keys and secrets. `standard` says whether the webhook secret is of the kind Polar makes since
    September 2026. Stricter than Polar in one point: a request without `Polar-Version` is refused, since
    ours always carry it.
    """

    def __init__(
        self,
        *,
        prefix: str = "/polar",
        token: str = "polar_oat_demo",  # noqa: S107  # lets nobody in anywhere else
        scopes: Iterable[str] | None = None,
        standard: bool = False,
        seed: int = 2026,
        clock: Callable[[], datetime] = _UTC_NOW,
        retry_delays: tuple[float, ...] = DEMO_DELAYS,
        webhook_timeout: float = 10.0,
        echo_delay: float = 0.005,
    ) -> None:
        super().__init__()
        self.shop = Shop(clock=clock, seed=seed)
        stock.load_recorded(self.shop)
        self.shop.take()
        self.token = token
        self.scopes = None if scopes is None else frozenset(scopes)
        self.webhook_secret = webhooks.new_secret(self.shop) if standard else webhooks.old_secret(self.shop)
        self.webhooks = WebhookSender(self.shop, retry_delays=retry_delays, timeout=webhook_timeout)
        self.requests: deque[Received] = deque(maxlen=_KEPT)
        self.prefix = prefix
        self._standard = standard
        self._echo_delay = echo_delay
        self._faults = Faults[Planned]()
        self._routes = Routes(load_operations())
        self.webhooks.on_change = self.changed

    # --- for the server and for tests ---

    def add_routes(self, app: web.Application) -> None:
        """Mount the API at `{prefix}/v1/…`; deliveries stop with the application."""
        app.router.add_route("*", f"{self.prefix}/v1/{{rest:.*}}", self._serve)
        app.on_cleanup.append(self._close_with)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serves alone on a free port of loopback; the base URL (without /v1)."""
        app = web.Application()
        self.add_routes(app)
        async with serving(app) as address:
            yield address + self.prefix

    def connect(self, url: str, events: Iterable[str] = webhooks.EVENT_TYPES) -> Row:
        """Register the app's webhook URL: the only one this Polar will ever call. Returns the endpoint."""
        self.webhooks.receiver = url
        return webhooks.add_endpoint(
            self.shop, url, list(events), self.webhook_secret, standard=self._standard, name="Approvals"
        )

    async def wait_for_request(self, fits: Callable[[Received], bool], timeout: float = 5) -> Received:  # noqa: ASYNC109 - the callers' word
        """The first request, past or to come, that fits. Raises TimeoutError after `timeout` seconds."""
        return await self.wait_until(lambda: next(filter(fits, self.requests), None), timeout)

    def send_pending(self, title: str) -> list[WebhookEvent]:
        """Tell the world what the caller changed in `shop`; not an echo of a request."""
        told, _ = self.shop.take()
        return self.webhooks.send(told, title=title, echo=False)

    def fail_next(
        self, kind: Fault | str, times: int = 1, *, only: str | None = None, seconds: float = 1.0
    ) -> None:
        """Have the next `times` requests fail; `only` an operation id, or "writes" for all but GET.

        `seconds` is how late a slow answer comes, and the retry-after of a 429 (rounded up).
        """
        self._faults.add(only or ANY, Planned(Fault(kind), seconds), times)

    def snapshot(self) -> dict[str, Any]:
        """Polar's side of the page: the newest 60 requests received and webhooks sent, oldest first."""
        received = [
            {
                "at": iso(each.at), "method": each.method, "path": each.path, "query": dict(each.query),
                "body": each.body, "status": each.status, "answer": each.answer, "changed": each.changed,
                "write": each.method != "GET",
            }
            for each in self._newest_requests(60)
        ]  # fmt: skip
        sent = [
            {
                "at": iso(each.at), "type": each.told.type, "webhook_id": each.id, "title": each.title,
                "status": each.status, "echo": each.echo,
            }
            for each in self.webhooks.newest
        ]  # fmt: skip
        return {"kind": "polar", "received": received, "sent": sent}

    def _newest_requests(self, count: int) -> list[Received]:
        """The newest `count`, oldest of them first; the same read over and over counts once, the last one."""
        found: list[Received] = []
        before: tuple[Any, ...] = ()
        for each in reversed(self.requests):
            asked = (each.method, each.path, each.query)
            if asked != before or each.method != "GET":
                found.append(each)
            before = asked
            if len(found) == count:
                break
        return found[::-1]

    # --- the front door ---

    async def _serve(self, request: web.Request) -> web.Response:
        """Answer one request; its echo is told a few milliseconds later."""
        raw = await request.read()
        path = request.path.removeprefix(self.prefix)
        found = self._routes.find(request.method, path)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        operation = found.operation.id if found and found.operation else ""
        query = tuple(request.query.items())
        received = Received(self.shop.clock(), request.method, path, query, headers, operation)
        planned = self._faults.take(received.operation, "" if request.method == "GET" else "writes")
        answer = _fails_before(planned)
        if answer is None:
            answer = self._answer(request, found, raw, received)
            if planned and planned.fault is Fault.ERROR_AFTER:
                answer = _ERROR
        dropped = planned is not None and planned.fault in {Fault.DROP_BEFORE, Fault.DROP_AFTER}
        received.status = 0 if dropped else answer.status
        received.answer = "connection dropped" if dropped else answer.in_short()
        self.requests.append(received)
        self.changed()
        if planned and planned.fault is Fault.SLOW:
            await asyncio.sleep(planned.seconds)
        if dropped and request.transport:
            request.transport.abort()
        return _response(answer, request.headers.get("Polar-Version", ""))

    def _answer(self, request: web.Request, found: Match | None, raw: bytes, received: Received) -> Answer:
        try:
            operation, parameters = self._admit(request, received.path, found)
            received.body = _parse(raw)
            call = Call(self.shop, operation, parameters, received.query, received.body or {})
            answer = self._perform(call)
        except Refusal as refusal:
            self.shop.take()
            return refusal.answer
        told, received.changed = self.shop.take()
        title = received.changed or f"{received.method} {received.path}"
        self.webhooks.send(told, title=title, echo=True, delay=self._echo_delay)
        return answer

    def _admit(
        self, request: web.Request, path: str, found: Match | None
    ) -> tuple[Operation, dict[str, str]]:
        """Version, route, token, scope: in Polar's order."""
        if request.headers.get("Polar-Version") not in VERSIONS:
            raise Refusal(errors.NO_ROUTE)
        if found is None:
            other = self._routes.other_slash(request.method, path)
            if other is None:
                raise Refusal(errors.NO_ROUTE)
            location = str(request.url.with_path(self.prefix + other, keep_query=True))
            raise Refusal(Answer(307, NO_BODY, {"location": location}))
        if found.operation is None:
            raise Refusal(Answer(405, {"detail": "Method Not Allowed"}, {"allow": found.allowed[0]}))
        self._check_token(request, found.operation)
        for name, value in found.parameters.items():
            if name == "id" or (name.endswith("_id") and "external" not in name):
                check(ID, value, "path", name)
        return found.operation, found.parameters

    def _check_token(self, request: web.Request, operation: Operation) -> None:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Refusal(errors.UNAUTHORIZED)
        if token != self.token:
            raise Refusal(errors.BAD_TOKEN)
        if operation.id.startswith("customer_portal:"):  # a customer's session opens it, and nothing else
            raise Refusal(errors.UNAUTHORIZED)
        if self.scopes is not None and self.scopes.isdisjoint(operation.scopes):
            raise Refusal(errors.insufficient_scope(operation.scopes))

    def _perform(self, call: Call) -> Answer:
        if call.operation.id == "webhooks:redeliver_webhook_event":
            if (event := self.webhooks.events.get(call.id)) is None:
                raise errors.not_found()
            self.webhooks.redeliver(event)
            return Answer(202, None)
        handler = HANDLERS.get(call.operation.id)
        if handler is None:
            raise errors.not_simulated(f"the operation {call.operation.id}")
        return handler(call)

    async def _close_with(self, _: web.Application) -> None:
        await self.webhooks.close()


def _fails_before(planned: Planned | None) -> Answer | None:
    """The answer of a fault that keeps the request from being done."""
    if planned and planned.fault is Fault.RATE_LIMITED:
        return errors.rate_limited(-int(-planned.seconds // 1))
    return _ERROR if planned and planned.fault in {Fault.ERROR_BEFORE, Fault.DROP_BEFORE} else None


def _parse(raw: bytes) -> Row | None:
    """The body as a JSON object; None if there is none."""
    if not raw:
        return None
    try:
        body = json.loads(raw)
    except ValueError:
        raise errors.invalid(problem("json_invalid", ("body",), "JSON decode error", {})) from None
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise errors.invalid(problem("model_attributes_type", ("body",), message, body))
    return body


def _response(answer: Answer, version: str) -> web.Response:
    headers = dict(answer.headers)
    if version in VERSIONS:
        headers["polar-version"] = version
    if answer.body is NO_BODY:
        return web.Response(status=answer.status, headers=headers)
    body = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    return web.Response(status=answer.status, headers=headers, body=body, content_type="application/json")
