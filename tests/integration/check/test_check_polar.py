"""The checks of Polar against its stand-in: the token, the scopes, the webhook endpoint."""

from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.checks import Level
from bot.demo.polar import PolarStandIn
from bot.demo.polar.call import load_operations
from polar.client import PolarClient


async def test_a_polar_token_that_is_not_accepted_says_where_to_get_one(check: Any) -> None:
    (finding,) = (await check(POLAR_ACCESS_TOKEN="polar_oat_other")).worse()

    assert finding.found.startswith("POLAR_ACCESS_TOKEN is not accepted by http://127.0.0.1:")
    assert "Create an organization access token" in finding.remedy


@pytest.mark.parametrize(("server", "other"), [("production", "sandbox"), ("sandbox", "production")])
async def test_a_token_of_the_other_server_is_recognised(check: Any, server: str, other: str) -> None:
    hosts = {"production": "api.polar.sh", "sandbox": "sandbox-api.polar.sh"}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == hosts[server]:
            return httpx.Response(401, json={"error": "invalid_token", "error_description": "no"})
        return httpx.Response(200, json={"items": [], "pagination": {"total_count": 0, "max_page": 0}})

    def connect(token: str, base_url: str, *, per_minute: int) -> PolarClient:
        return PolarClient(token, base_url, per_minute=per_minute, transport=httpx.MockTransport(answer))

    findings = await check(POLAR_SERVER=server, POLAR_API_URL="", connect=connect)
    finding = findings.only("POLAR_ACCESS_TOKEN")

    assert finding.found == f"POLAR_ACCESS_TOKEN belongs to {other}, but POLAR_SERVER is {server}."
    assert finding.remedy.startswith(f"Set POLAR_SERVER={other}")


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (403, "insufficient_scope", "POLAR_ACCESS_TOKEN belongs to sandbox, but POLAR_SERVER is production."),
        (
            401,
            "invalid_token",
            "POLAR_ACCESS_TOKEN is not accepted by https://api.polar.sh: wrong, expired or",
        ),
    ],
)
async def test_the_other_server_knows_a_token_by_its_scopes_too(
    check: Any, status: int, error: str, said: str
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "api.polar.sh":
            return httpx.Response(401, json={"error": "invalid_token"})
        return httpx.Response(status, json={"error": error})

    def connect(token: str, base_url: str, *, per_minute: int) -> PolarClient:
        return PolarClient(token, base_url, per_minute=per_minute, transport=httpx.MockTransport(answer))

    findings = await check(POLAR_API_URL="", connect=connect)

    assert findings.only("POLAR_ACCESS_TOKEN").found.startswith(said)


async def test_a_client_that_will_not_use_the_address_says_why(check: Any) -> None:
    def connect(token: str, base_url: str, *, per_minute: int) -> PolarClient:
        return PolarClient(token, "ftp://x", per_minute=per_minute)

    findings = await check(connect=connect)

    assert findings.only("Polar was not asked: ").level is Level.PROBLEM
    assert findings.only("The database opens")


async def test_a_scope_that_could_not_be_tried_is_a_warning(check: Any) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/v1/orders/"):
            return httpx.Response(404, json={"detail": "Not Found"})
        if request.url.path.endswith("/v1/subscriptions/"):
            return httpx.Response(422, json={"error": "RequestValidationError", "detail": []})
        return httpx.Response(200, json={"items": [], "pagination": {"total_count": 0, "max_page": 0}})

    def connect(token: str, base_url: str, *, per_minute: int) -> PolarClient:
        return PolarClient(token, base_url, per_minute=per_minute, transport=httpx.MockTransport(answer))

    findings = (await check(connect=connect)).worse()

    assert [finding.found.split(":", 2)[:2] for finding in findings if finding.level is Level.WARNING] == [
        ["orders", "read could not be checked"]
    ]


async def test_polar_that_cannot_be_reached_does_not_stop_the_other_checks(check: Any) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request)

    async def no_sleep(_: float) -> None: ...

    moments = iter(range(10_000))

    def connect(token: str, base_url: str, *, per_minute: int) -> PolarClient:
        transport = httpx.MockTransport(refuse)
        return PolarClient(
            token, base_url, per_minute=per_minute, transport=transport,
            sleep=no_sleep, monotonic=lambda: float(next(moments)),
        )  # fmt: skip

    findings = await check(connect=connect)

    assert "HTTPS_PROXY" in findings.only("Polar could not be asked").remedy
    assert findings.only("The database opens")


async def test_an_address_that_is_not_polars_is_said_so(check: Any) -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.json_response([])

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    async with TestServer(app) as server:
        findings = await check(POLAR_API_URL=str(server.make_url("/")))

    assert findings.only("http://127.0.0.1:").found.endswith("does not answer like Polar.")


async def test_missing_read_scopes_are_named(check: Any, polar: PolarStandIn) -> None:
    polar.scopes = frozenset({"webhooks:read", "benefits:write"})
    (finding,) = (await check()).worse()

    assert finding.level is Level.PROBLEM
    assert finding.found.startswith("The rules need scopes that the token lacks: ")
    assert "license_keys:read or" in finding.found
    assert "orders:read" in finding.found
    assert "benefits" not in finding.found


async def test_without_webhooks_read_the_endpoint_is_left_to_a_person(
    check: Any, polar: PolarStandIn
) -> None:
    reads = {
        scope for operation in load_operations() for scope in operation.scopes if scope.endswith(":read")
    }
    polar.scopes = frozenset(reads - {"webhooks:read"})
    finding = (await check()).only("The webhook endpoint could not be checked")

    assert finding.level is Level.WARNING
    assert "lacks webhooks:read" in finding.found
    assert "order.created, order.paid, order.refunded" in finding.remedy


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({"enabled": False}, Level.PROBLEM, "is disabled"),
        ({"format": "slack"}, Level.PROBLEM, "sends the format slack"),
        ({"events": ["order.paid"]}, Level.PROBLEM, "wait for: benefit_grant.revoked, checkout.expired, "),
        ({"secret": "whsec_other"}, Level.PROBLEM, "POLAR_WEBHOOK_SECRET is not the secret of the webhook"),
        ({"api_version": "2026-04"}, Level.WARNING, "sends the version 2026-04; this program reads 2026-10"),
        ({"url": "https://bot.example.com/hooks"}, Level.PROBLEM, "no webhook endpoint whose URL ends with"),
    ],
)
async def test_each_fault_of_the_webhook_endpoint_is_found(
    check: Any, polar: Any, changes: dict[str, Any], level: Level, said: str
) -> None:
    polar.endpoint.update(changes)
    (finding,) = (await check()).worse()

    assert finding.level is level
    assert said in finding.found


async def test_two_endpoints_for_one_program_are_warned_about(check: Any, polar: PolarStandIn) -> None:
    polar.connect("https://old.example.com/polar/webhooks?key=hidden")
    (finding,) = (await check()).worse()

    assert finding.found.startswith("2 webhook endpoints end with /polar/webhooks")
