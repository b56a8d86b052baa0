"""Writes at the Polar stand-in follow Polar's rules, refuse in its words, and tell what they cause."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.polar import stock
from bot.demo.polar.call import Call, load_operations
from bot.demo.polar.orders import create_refund
from bot.demo.polar.shop import Shop
from tests.fixtures.polar import Polar, running

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


def recorded_answer(name: str) -> dict[str, Any]:
    return next(each for each in RECORDED if each["name"] == name)


async def test_an_invoice_is_generated_once_and_told(polar: Polar) -> None:
    order = polar.order()

    first = await polar.call("POST", f"/v1/orders/{order['id']}/invoice")
    again = await polar.call("POST", f"/v1/orders/{order['id']}/invoice")

    assert (first.status_code, again.status_code, first.json()) == (202, 202, None)
    assert (await polar.get(f"/v1/orders/{order['id']}"))["is_invoice_generated"] is True
    assert [event.told.type for event in polar.standin.webhooks.newest] == ["order.updated"]


async def test_no_invoice_without_a_billing_address(polar: Polar) -> None:
    order = polar.order(billing_address=None)

    answer = await polar.call("POST", f"/v1/orders/{order['id']}/invoice")

    assert (answer.status_code, answer.json()["error"]) == (422, "MissingInvoiceBillingDetails")


@pytest.mark.parametrize("status", ["draft", "void"])
async def test_no_invoice_for_an_order_that_is_not_valid(polar: Polar, status: str) -> None:
    order = polar.order(status=status)

    answer = await polar.call("POST", f"/v1/orders/{order['id']}/invoice")

    assert (answer.status_code, answer.json()["error"]) == (409, "OrderNotEligibleForInvoice")


async def test_disabling_a_key_of_an_active_grant_is_told_to_nobody(polar: Polar) -> None:
    _, key = stock.add_grant(polar.shop, polar.order(), polar.benefit)

    for status in ("disabled", "granted"):
        answer = await polar.call("PATCH", f"/v1/license-keys/{key['id']}", {"status": status})
        assert answer.json()["status"] == status

    assert list(polar.standin.webhooks.newest) == []
    assert polar.standin.requests[0].changed == f"license key {key['display_key']}: granted → disabled"


async def test_revoking_a_key_revokes_its_grant(polar: Polar) -> None:
    grant, key = stock.add_grant(polar.shop, polar.order(), polar.benefit)

    await polar.call("PATCH", f"/v1/license-keys/{key['id']}", {"status": "revoked"})

    assert (grant["is_granted"], grant["is_revoked"]) == (False, True)
    assert await polar.told(2) == ["benefit_grant.revoked", "customer.state_changed"]


@pytest.mark.parametrize("status", ["granted", "disabled"])
async def test_either_status_revives_a_revoked_grant_and_resets_the_limits(polar: Polar, status: str) -> None:
    grant, key = stock.add_grant(polar.shop, polar.order(), polar.benefit)
    path = f"/v1/license-keys/{key['id']}"
    await polar.call("PATCH", path, {"limit_activations": 9, "status": "revoked"})

    answer = await polar.call("PATCH", path, {"status": status})

    assert (answer.json()["status"], answer.json()["limit_activations"]) == (status, 3)
    assert grant["is_granted"] is True
    assert await polar.told(2) == ["benefit_grant.created", "customer.state_changed"]


async def test_two_partial_refunds_both_pay_and_the_rest_closes_the_order(polar: Polar) -> None:
    order = polar.order(tax=290)
    body = {"order_id": order["id"], "reason": "customer_request", "amount": 900, "metadata": {"req": "1"}}

    twice = [await polar.call("POST", "/v1/refunds/", body) for _ in range(2)]
    rest = await polar.call("POST", "/v1/refunds/", {**body, "amount": 1100})
    more = await polar.call("POST", "/v1/refunds/", {**body, "amount": 1})

    assert [each.status_code for each in (*twice, rest, more)] == [201, 201, 201, 403]
    assert [each.json()["tax_amount"] for each in (*twice, rest)] == [90, 90, 110]
    assert more.json()["error"] == "RefundedAlready"
    read = await polar.get(f"/v1/orders/{order['id']}")
    assert (read["status"], read["refundable_amount"], read["refunded_tax_amount"]) == ("refunded", 0, 290)
    assert (await polar.told(3)) == ["refund.created", "order.updated", "order.refunded"]


@given(net=st.integers(1, 10**7), tax=st.integers(0, 10**6), shares=st.lists(st.floats(0, 1), max_size=6))
def test_refunds_in_any_parts_give_back_exactly_the_order_and_its_tax(
    net: int, tax: int, shares: list[float]
) -> None:
    shop = Shop(clock=lambda: datetime(2026, 11, 1, tzinfo=UTC), seed=1)
    shop.add("organizations")
    product = stock.add_product(shop, "Any", net)
    order = stock.add_order(shop, stock.add_customer(shop, "Jane", "jane@example.com"), product, tax=tax)

    refunds = []
    for share in (*shares, 1.0):
        left = net - order["refunded_amount"]
        amount = round(left * share)
        if amount:
            body = {"order_id": order["id"], "reason": "other", "amount": amount}
            refunds.append(create_refund(Call(shop, load_operations()[0], {}, (), body)).body)

    assert (sum(each["amount"] for each in refunds), order["refunded_amount"]) == (net, net)
    assert (sum(each["tax_amount"] for each in refunds), order["refunded_tax_amount"]) == (tax, tax)
    assert order["status"] == "refunded"


async def test_a_refund_above_what_is_left_is_refused_as_recorded(polar: Polar) -> None:
    order = polar.order()
    body = {"order_id": order["id"], "reason": "customer_request", "amount": 999_999}

    answer = await polar.call("POST", "/v1/refunds/", body)

    assert (answer.status_code, answer.json()) == (422, recorded_answer("refund-too-high")["body"])


async def test_a_refund_with_revoke_benefits_takes_the_keys(polar: Polar) -> None:
    order = polar.order()
    _, key = stock.add_grant(polar.shop, order, polar.benefit)
    body = {"order_id": order["id"], "reason": "other", "amount": 2900, "revoke_benefits": True}

    await polar.call("POST", "/v1/refunds/", body)

    assert key["status"] == "revoked"
    assert "benefit_grant.revoked" in await polar.told(5)


async def test_cancel_uncancel_and_revoke_follow_polars_rules(polar: Polar) -> None:
    subscription = stock.add_subscription(polar.shop, polar.customer, polar.monthly)
    _, key = stock.add_grant(polar.shop, subscription, polar.benefit)
    path = f"/v1/subscriptions/{subscription['id']}"
    cancel, uncancel = {"cancel_at_period_end": True}, {"cancel_at_period_end": False}

    answers = [await polar.call("PATCH", path, body) for body in (cancel, cancel, uncancel, uncancel)]
    answers += [await polar.call("DELETE", path) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 403, 200, 400, 200, 403]
    assert answers[1].json() == recorded_answer("sub-patch-cancel-again")["body"]
    assert answers[3].json() == recorded_answer("sub-patch-uncancel-again")["body"]
    assert (answers[4].json()["status"], key["status"]) == ("canceled", "revoked")
    told = ["subscription.updated", "subscription.canceled", "subscription.revoked"]
    state = "customer.state_changed"
    assert await polar.told(6) == [*told, state, "benefit_grant.revoked", state]


async def test_one_variant_a_call(polar: Polar) -> None:
    subscription = stock.add_subscription(polar.shop, polar.customer, polar.monthly)
    body = {"cancel_at_period_end": True, "metadata": {}}

    answer = await polar.call("PATCH", f"/v1/subscriptions/{subscription['id']}", body)

    assert (answer.status_code, subscription["cancel_at_period_end"]) == (422, False)


async def test_seats_are_assigned_until_none_is_free_and_revoked_for_good(polar: Polar) -> None:
    team = stock.add_subscription(polar.shop, polar.customer, polar.monthly, seats=1)
    body = {"subscription_id": team["id"], "email": "a@example.com", "immediate_claim": True}

    seat = (await polar.call("POST", "/v1/customer-seats", body)).json()
    full = await polar.call("POST", "/v1/customer-seats", {**body, "email": "b@example.com"})
    gone = [await polar.call("DELETE", f"/v1/customer-seats/{seat['id']}") for _ in range(2)]
    seats = await polar.get(f"/v1/customer-seats?subscription_id={team['id']}")

    assert (seat["status"], full.json()["error"]) == ("claimed", "SeatNotAvailable")
    assert [each.status_code for each in gone] == [200, 200]
    assert (gone[0].json()["customer_id"], gone[0].json()["email"]) == (None, None)
    assert (seats["available_seats"], seats["total_seats"]) == (1, 1)


async def test_a_discount_code_is_unique_and_deleted_for_good(polar: Polar) -> None:
    body = {"name": "Ten", "type": "percentage", "basis_points": 1000, "duration": "once", "code": "TEN"}

    made = (await polar.call("POST", "/v1/discounts/", body)).json()
    again = await polar.call("POST", "/v1/discounts/", {**body, "code": "ten"})
    gone = [await polar.call("DELETE", f"/v1/discounts/{made['id']}") for _ in range(2)]

    assert again.status_code == 422
    assert [each.status_code for each in gone] == [204, 404]


async def test_a_checkout_link_is_made_changed_and_deleted(polar: Polar) -> None:
    body = {"payment_processor": "stripe", "products": [polar.product["id"]]}

    link = (await polar.call("POST", "/v1/checkout-links/", body)).json()
    path = f"/v1/checkout-links/{link['id']}"
    changed = await polar.call("PATCH", path, {"label": "spring"})
    gone = [await polar.call("DELETE", path) for _ in range(2)]

    assert (changed.json()["label"], changed.json()["product_id"]) == ("spring", polar.product["id"])
    assert [each.status_code for each in gone] == [204, 404]


async def test_an_archived_product_leaves_its_checkout_links(polar: Polar) -> None:
    body = {"payment_processor": "stripe", "products": [polar.product["id"]]}
    link = (await polar.call("POST", "/v1/checkout-links/", body)).json()

    await polar.call("PATCH", f"/v1/products/{polar.product['id']}", {"is_archived": True})

    assert (await polar.get(f"/v1/checkout-links/{link['id']}"))["products"] == []


async def test_a_customers_external_id_is_set_once(polar: Polar) -> None:
    path = f"/v1/customers/{polar.customer['id']}"

    first = await polar.call("PATCH", path, {"external_id": "e-1"})
    second = await polar.call("PATCH", path, {"external_id": "e-2"})

    assert (first.status_code, second.status_code) == (200, 422)
    assert (await polar.get("/v1/customers/external/e-1"))["id"] == polar.customer["id"]


async def test_portal_links_and_checkouts_are_made_for_known_customers_only(polar: Polar) -> None:
    session = await polar.call("POST", "/v1/customer-sessions/", {"customer_id": polar.customer["id"]})
    unknown = await polar.call("POST", "/v1/customer-sessions/", {"customer_id": NOBODY})
    body = {"products": [polar.product["id"]], "customer_id": polar.customer["id"]}
    checkout = await polar.call("POST", "/v1/checkouts/", body)

    assert (session.status_code, unknown.status_code, checkout.status_code) == (201, 422, 201)
    assert checkout.json()["total_amount"] == 2_900


async def test_a_portal_link_of_a_team_needs_the_member_it_is_for(polar: Polar) -> None:
    polar.customer["type"] = "team"
    owner = next(polar.shop.rows("members", customer_id=polar.customer["id"]))
    body = {"customer_id": polar.customer["id"]}

    nobody = await polar.call("POST", "/v1/customer-sessions/", body)
    member = await polar.call("POST", "/v1/customer-sessions/", {**body, "member_id": owner["id"]})

    assert (nobody.status_code, nobody.json()["detail"][0]["loc"]) == (422, ["body", "member_id"])
    assert member.status_code == 201
