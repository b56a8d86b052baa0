"""The demo's events can be sent again and again, fit Polar's schemas, and agree with what is read after."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bot.demo.polar import stock
from bot.demo.story import EVENTS, HOSTILE, Story
from tests.fixtures.polar import Polar, Receiver, running

PAYLOADS = Path(__file__).parent.parent / "payloads"


@pytest.fixture
async def told_story() -> AsyncIterator[tuple[Receiver, Polar, Story]]:
    """A story whose webhooks a receiver takes."""
    async with Receiver().listening() as app, running() as polar:
        polar.standin.connect(app.url)
        yield app, polar, Story(polar.standin)


def last(app: Receiver, event_type: str) -> dict[str, Any]:
    """The data of the newest event of a type."""
    events = [json.loads(body) for _, body in app.attempts]
    data: dict[str, Any] = next(each["data"] for each in reversed(events) if each["type"] == event_type)
    return data


async def test_everything_on_the_menu_can_be_sent_twice_and_fits_polars_schemas(
    told_story: tuple[Receiver, Polar, Story],
) -> None:
    app, _, story = told_story
    schemas = json.loads((PAYLOADS / "webhook-schemas.json").read_text())

    answers = [await story.send(case.name) for case in EVENTS * 2]

    assert {(each["ok"], each["status"]) for each in answers} == {(True, 202)}
    assert len({headers["webhook-id"] for headers, _ in app.attempts}) == len(app.attempts)
    for body in {body for _, body in app.attempts}:
        check_schema(schemas, json.loads(body))


def check_schema(schemas: dict[str, Any], event: dict[str, Any]) -> None:
    schema = {**schemas["webhooks"][event["type"]], "components": schemas["components"]}
    assert list(Draft202012Validator(schema).iter_errors(event)) == []


async def test_the_recorded_deliveries_are_sent_byte_for_byte(
    told_story: tuple[Receiver, Polar, Story],
) -> None:
    app, _, story = told_story

    for delivery in stock.deliveries():
        await story.send(f"recorded:{delivery.type}")

    assert [body for _, body in app.attempts] == [each.payload for each in stock.deliveries()]
    assert len(app.attempts) == 28


async def test_a_sale_can_get_its_invoice(told_story: tuple[Receiver, Polar, Story]) -> None:
    app, polar, story = told_story

    await story.send("order.paid")

    order = last(app, "order.paid")
    assert (order["net_amount"], order["billing_reason"], order["is_invoice_generated"]) == (
        2900,
        "purchase",
        False,
    )
    assert (await polar.call("POST", f"/v1/orders/{order['id']}/invoice")).status_code == 202


async def test_a_refunded_order_left_two_granted_keys(told_story: tuple[Receiver, Polar, Story]) -> None:
    app, polar, story = told_story

    await story.send("order.refunded")

    order = last(app, "order.refunded")
    grants = await polar.get(f"/v1/benefit-grants/?customer_id={order['customer_id']}&is_granted=true")
    keys = [
        each["properties"]["license_key_id"] for each in grants["items"] if each["order_id"] == order["id"]
    ]
    assert (order["status"], order["subscription_id"], len(keys)) == ("refunded", None, 2)
    for key in keys:
        assert (await polar.get(f"/v1/license-keys/{key}"))["status"] == "granted"


async def test_a_revoked_key_can_be_granted_again_while_its_subscription_is_active(
    told_story: tuple[Receiver, Polar, Story],
) -> None:
    app, polar, story = told_story

    await story.send("benefit_grant.revoked")

    grant = last(app, "benefit_grant.revoked")
    subscription = await polar.get(f"/v1/subscriptions/{grant['subscription_id']}")
    path = f"/v1/license-keys/{grant['properties']['license_key_id']}"
    assert (subscription["status"], (await polar.get(path))["status"]) == ("active", "revoked")
    assert (await polar.call("PATCH", path, {"status": "granted"})).json()["status"] == "granted"
    assert (await polar.told(2))[0] == "benefit_grant.created"


async def test_hostile_names_arrive_as_they_are(told_story: tuple[Receiver, Polar, Story]) -> None:
    app, _, story = told_story

    for name in HOSTILE:
        await story.send("order.paid.hostile")
        assert last(app, "order.paid")["customer"]["name"] == name


async def test_an_unknown_event_is_refused_in_words(told_story: tuple[Receiver, Polar, Story]) -> None:
    app, _, story = told_story

    answer = await story.send("order.eaten")

    assert (answer["ok"], app.attempts) == (False, [])
    assert "order.eaten" in answer["error"]


async def test_the_page_sees_what_was_received_and_sent(told_story: tuple[Receiver, Polar, Story]) -> None:
    app, polar, story = told_story
    changes: list[None] = []
    stop = story.subscribe(lambda: changes.append(None))

    await story.send("order.paid")
    order = last(app, "order.paid")
    await polar.call("POST", f"/v1/orders/{order['id']}/invoice")
    stop()
    seen = story.snapshot("U1")

    (received,) = seen["received"]
    assert (received["method"], received["write"], received["status"]) == ("POST", True, 202)
    assert received["changed"] == f"order {order['invoice_number']}: invoice generated"
    assert {each["group"] for each in seen["events"]} == {"story", "recorded"}
    assert changes
