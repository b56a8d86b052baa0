"""The Polar stand-in keeps state, obeys Polar's rules, answers as recorded, and signs what it sends."""

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from bot.demo.polar import Fault, stock
from bot.demo.polar.orders import tell_order
from tests.fixtures.polar import Polar, Receiver, running

PAYLOADS = Path(__file__).parent.parent / "payloads"
RECORDED = [json.loads(line) for line in (PAYLOADS / "responses.jsonl").read_text().splitlines()]
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def polar() -> AsyncIterator[Polar]:
    """A stand-in that tells a receiver nothing: its endpoint's URL is not the one it may call."""
    async with running() as polar:
        polar.standin.connect("http://127.0.0.1:9/polar/webhooks")
        polar.standin.webhooks.receiver = None
        yield polar


# --- the front door ---


def recorded_answer(name: str) -> dict[str, Any]:
    return next(each for each in RECORDED if each["name"] == name)


@pytest.mark.parametrize(
    ("name", "method", "path", "headers"),
    [
        ("401-none", "GET", "/v1/products/", {"Authorization": ""}),
        ("401-bad-token", "GET", "/v1/products/", {"Authorization": "Bearer polar_oat_other"}),
        ("404-GET", "GET", "/v1/nope", {}),
        ("version-2025-01", "GET", "/v1/products/", {"Polar-Version": "2025-01"}),
        ("version-garbage", "GET", "/v1/products/", {"Polar-Version": "latest"}),
        ("405", "PUT", "/v1/products/", {}),
        ("422-bad-uuid", "DELETE", "/v1/subscriptions/not-a-uuid", {}),
        ("404-PATCH", "PATCH", f"/v1/license-keys/{NOBODY}", {}),
        ("404-DELETE", "DELETE", f"/v1/subscriptions/{NOBODY}", {}),
        ("pag-0", "GET", "/v1/customers/?page=0", {}),
    ],
)
async def test_refuses_in_the_recorded_words(
    polar: Polar, name: str, method: str, path: str, headers: dict[str, str]
) -> None:
    expected = recorded_answer(name)

    answer = await polar.call(method, path, {} if method == "PATCH" else None, headers=headers)

    assert (answer.status_code, answer.json()) == (expected["status"], expected["body"])


async def test_organization_token_itself_does_not_open_the_portal(polar: Polar) -> None:
    answer = await polar.call("GET", "/v1/customer-portal/customers/me")

    assert (answer.status_code, answer.json()["error"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("refund-unknown-order", "/v1/refunds/", None),
        ("wh-endpoint-create", "/v1/webhooks/endpoints", None),
        ("lk-patch-bad", "/v1/license-keys/bf4640af-a2d6-447e-9546-b44d55abedcf", {"status": "bogus"}),
    ],
)
async def test_refuses_values_in_the_recorded_words(
    polar: Polar, name: str, path: str, body: dict[str, Any] | None
) -> None:
    expected = recorded_answer(name)
    sent = body or expected["request"]["body"]

    answer = await polar.call(expected["request"]["method"], path, sent)

    assert (answer.status_code, answer.json()) == (expected["status"], expected["body"])


async def test_a_missing_slash_is_redirected_as_recorded(polar: Polar) -> None:
    answer = await polar.call("GET", "/v1/products?limit=1")

    assert answer.status_code == 307
    assert answer.headers["location"] == f"{polar.client.base_url}v1/products/?limit=1"
    assert answer.content == b""


async def test_a_slash_too_many_is_redirected_too(polar: Polar) -> None:
    answer = await polar.call("GET", "/v1/webhooks/endpoints/")

    assert answer.status_code == 307


async def test_echoes_the_version_that_was_asked_for(polar: Polar) -> None:
    answer = await polar.call("GET", "/v1/products/", headers={"Polar-Version": "2026-04"})

    assert answer.headers["polar-version"] == "2026-04"


async def test_a_request_without_a_version_is_refused_like_an_unknown_one(polar: Polar) -> None:
    del polar.client.headers["Polar-Version"]

    answer = await polar.call("GET", "/v1/products/")

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_a_missing_scope_is_named_in_the_header() -> None:
    async with running(scopes=["orders:read"]) as polar:
        answer = await polar.call("POST", "/v1/discounts/", {})

        assert answer.json() == recorded_answer("403-scope")["body"]
        assert 'scope="discounts:write"' in answer.headers["www-authenticate"]
        assert (await polar.call("GET", "/v1/orders/")).status_code == 200


async def test_over_the_rate_limit_the_answer_is_empty_and_says_how_long(polar: Polar) -> None:
    polar.standin.fail_next("429", seconds=60)
    answers = [await polar.call("GET", "/v1/products/") for _ in range(2)]

    assert [each.status_code for each in answers] == [429, 200]
    assert (answers[0].content, answers[0].headers["retry-after"]) == (b"", "60")


async def test_what_is_not_simulated_says_so(polar: Polar) -> None:
    answer = await polar.call("POST", "/v1/meters/", {})

    assert answer.status_code == 501
    assert answer.json()["error"] == "NotSimulated"


async def test_the_log_of_requests_never_holds_the_token(polar: Polar) -> None:
    await polar.call("GET", "/v1/products/")

    assert polar.standin.token not in repr(polar.standin.requests)


# --- reading ---


async def test_lists_have_pages_and_the_newest_first(polar: Polar) -> None:
    orders = [polar.order() for _ in range(3)]

    page = await polar.get(f"/v1/orders/?customer_id={polar.customer['id']}&limit=2")

    assert page["pagination"] == {"total_count": 3, "max_page": 2}
    assert [each["id"] for each in page["items"]] == [orders[2]["id"], orders[1]["id"]]


async def test_a_customers_granted_benefits_can_be_found(polar: Polar) -> None:
    order = polar.order()
    grant, key = stock.add_grant(polar.shop, order, polar.benefit)
    other, _ = stock.add_grant(polar.shop, order, polar.benefit)
    polar.shop.change(other, is_granted=False)

    page = await polar.get(f"/v1/benefit-grants/?customer_id={polar.customer['id']}&is_granted=true")

    (found,) = page["items"]
    assert (found["id"], found["properties"]["license_key_id"]) == (grant["id"], key["id"])
    assert found["benefit"]["type"] == "license_keys"


async def test_lists_filter_by_metadata_and_status(polar: Polar) -> None:
    marked = polar.order(metadata={"run": "7"})
    polar.order()
    polar.order(metadata={"run": "7"}, status="draft")

    page = await polar.get("/v1/orders/?metadata[run]=7&status=paid")

    assert [each["id"] for each in page["items"]] == [marked["id"]]


async def test_a_customer_is_found_by_email_whatever_its_case(polar: Polar) -> None:
    page = await polar.get("/v1/customers/?email=JANE@example.com")

    assert [each["id"] for each in page["items"]] == [polar.customer["id"]]


async def test_every_recorded_object_can_be_read(polar: Polar) -> None:
    order = await polar.get("/v1/orders/a7244a29-1bf6-4177-b69f-635275cbb584")
    key = await polar.get("/v1/license-keys/bf4640af-a2d6-447e-9546-b44d55abedcf")
    subscription = await polar.get("/v1/subscriptions/93c23e9a-0a24-4530-9b1c-47f91bcbbe7c")

    assert (order["status"], order["refundable_amount"]) == ("partially_refunded", 2000)
    assert key["display_key"] == "****-67B947"
    assert subscription["status"] == "canceled"


# --- faults ---


@pytest.mark.parametrize(
    ("kind", "done"),
    [
        ("500-before", False),
        ("500-after", True),
        ("drop-before", False),
        ("drop-after", True),
        ("429", False),
    ],
)
async def test_a_fault_happens_before_or_after_the_write(polar: Polar, kind: str, done: bool) -> None:
    _, key = stock.add_grant(polar.shop, polar.order(), polar.benefit)
    path = f"/v1/license-keys/{key['id']}"
    polar.standin.fail_next(kind, only="license_keys:update", seconds=7)

    await polar.get(path)
    if kind.startswith("drop"):
        with pytest.raises(httpx.RemoteProtocolError):
            await polar.call("PATCH", path, {"status": "disabled"})
    else:
        answer = await polar.call("PATCH", path, {"status": "disabled"})
        assert answer.status_code == int(kind[:3])
        assert answer.headers.get("retry-after") == ("7" if kind == "429" else None)

    assert (key["status"] == "disabled") is done
    assert (await polar.call("PATCH", path, {"status": "disabled"})).status_code == 200


async def test_a_slow_answer_comes_after_the_write(polar: Polar) -> None:
    order = polar.order()
    polar.standin.fail_next(Fault.SLOW, only="writes", seconds=60)

    asking = asyncio.ensure_future(polar.call("POST", f"/v1/orders/{order['id']}/invoice"))
    received = await polar.standin.wait_for_request(lambda each: each.method == "POST")
    asking.cancel()

    assert (received.operation, received.status) == ("orders:generate_invoice", 202)
    assert order["is_invoice_generated"] is True


# --- webhooks ---


@pytest.mark.parametrize("standard", [False, True])
async def test_webhooks_verify_with_either_kind_of_secret(standard: bool) -> None:
    async with Receiver().listening() as app, running(standard=standard) as polar:
        polar.standin.connect(app.url)
        tell_order(polar.shop, "order.paid", polar.order())
        (event,) = polar.standin.send_pending("a sale")
        await event.tried.wait()
        secret = polar.standin.webhook_secret

    headers, body = app.attempts[0]
    if not standard:
        secret = base64.b64encode(secret.encode()).decode()
    assert Webhook(secret).verify(body, headers)["type"] == "order.paid"
    assert (headers["User-Agent"], headers["Content-Type"]) == ("polar.sh webhooks", "application/json")
    assert uuid.UUID(headers["webhook-id"]).version == 4


async def test_a_retry_has_the_same_id_and_body_and_a_fresh_timestamp() -> None:
    ticks = iter(range(10_000))
    clock: Callable[[], datetime] = lambda: datetime.fromtimestamp(1_793_491_200 + next(ticks), UTC)  # noqa: E731  # a clock in one line
    async with Receiver(refuse=2).listening() as app, running(clock=clock) as polar:
        polar.standin.connect(app.url)
        tell_order(polar.shop, "order.paid", polar.order())
        polar.standin.send_pending("a sale")
        await app.attempted(3)

    assert len({body for _, body in app.attempts}) == 1
    assert len({headers["webhook-id"] for headers, _ in app.attempts}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in app.attempts}) == 3
    assert len({headers["webhook-signature"] for headers, _ in app.attempts}) == 3


async def test_an_echo_is_told_after_the_answer_and_marked() -> None:
    async with Receiver().listening() as app, running() as polar:
        polar.standin.connect(app.url)
        order = polar.order()
        await polar.call("POST", f"/v1/orders/{order['id']}/invoice")
        await polar.told(1)
        (sent,) = polar.standin.snapshot()["sent"]

    assert app.types() == ["order.updated"]
    assert (sent["echo"], sent["status"], sent["type"]) == (True, 202, "order.updated")


async def test_a_redelivery_is_the_same_event_once_more() -> None:
    async with Receiver().listening() as app, running() as polar:
        polar.standin.connect(app.url)
        tell_order(polar.shop, "order.paid", polar.order())
        (event,) = polar.standin.send_pending("a sale")
        await event.tried.wait()
        answer = await polar.call("POST", f"/v1/webhooks/events/{event.id}/redeliver")
        await app.attempted(2)
        deliveries = await polar.get("/v1/webhooks/deliveries?succeeded=true")

    assert (answer.status_code, answer.json()) == (202, None)
    assert app.attempts[0][1] == app.attempts[1][1]
    assert app.attempts[0][0]["webhook-id"] == app.attempts[1][0]["webhook-id"] == event.id
    assert {each["webhook_event"]["id"] for each in deliveries["items"]} == {event.id}


async def test_nothing_is_sent_to_a_disabled_endpoint_or_to_another_address() -> None:
    async with Receiver().listening() as app, running() as polar:
        endpoint = polar.standin.connect(app.url)
        body = {"url": "https://hooks.example.com/x", "format": "raw", "events": ["order.paid"]}
        assert (await polar.call("POST", "/v1/webhooks/endpoints", body)).status_code == 201
        await polar.call("PATCH", f"/v1/webhooks/endpoints/{endpoint['id']}", {"enabled": False})
        tell_order(polar.shop, "order.paid", polar.order())
        (event,) = polar.standin.send_pending("a sale")
        await event.tried.wait()

    assert app.attempts == []
    assert event.status == "not sent: the demo calls its own app only"


async def test_a_receiver_that_is_not_there_is_named_so() -> None:
    async with running() as polar:
        polar.standin.connect("http://127.0.0.1:9/polar/webhooks")
        tell_order(polar.shop, "order.paid", polar.order())
        (event,) = polar.standin.send_pending("a sale")
        await event.tried.wait()

        assert event.status == "connection refused"
