"""Every event says what happened in one line, whatever is missing and whoever typed it."""

import json
from pathlib import Path
from typing import Any

import pytest

from polar.events import _TOLD, RESOURCES, Event, facts, parse, summarise

DELIVERIES = Path(__file__).parent.parent / "payloads" / "deliveries.jsonl"
BODIES = {
    delivery["type"]: delivery["body"] for delivery in map(json.loads, DELIVERIES.read_text().splitlines())
}

RECORDED = {
    "benefit.created": "Benefit License was created (license keys)",
    "benefit_grant.created": "Alice received license key ****-67B947 (License)",
    "benefit_grant.revoked": "Alice C's license key ****-67B947 was revoked (License)",
    "customer.created": "New customer: Alice (alice@example.com)",
    "customer.deleted": "Customer deleted: Alice C (alice@example.com)",
    "customer.state_changed": "Alice now has 1 active subscription and no benefits",
    "customer.updated": "Customer updated: Bob (bob@example.com)",
    "customer_seat.assigned": "seat1@example.com was given a seat; the invitation ends 22 Nov 2026",
    "customer_seat.claimed": "seat3@example.com claimed a seat",
    "customer_seat.revoked": "The seat of seat1@example.com was revoked",
    "discount.created": "Discount Ten was created (10% off, code TEN10)",
    "discount.deleted": "Discount Ten bis was deleted (10% off, code TEN10)",
    "discount.updated": "Discount Ten bis was updated (10% off, code TEN10)",
    "member.created": "Team member Alice (alice@example.com) was added (owner)",
    "member.deleted": "Team member Alice (alice@example.com) was removed (owner)",
    "order.created": "Bob ordered Pro for $29.00 (one-time purchase)",
    "order.paid": "Bob paid $29.00 for Pro (one-time purchase)",
    "order.refunded": "Bob was refunded $9.00 of $29.00 for Pro",
    "order.updated": "Bob's order of Pro for $29.00 was updated (partially refunded)",
    "product.created": "Product Free monthly was created (free)",
    "product.updated": "Product Free plan was updated (free)",
    "refund.created": "$9.00 was refunded (customer request)",
    "subscription.active": "Alice's subscription to Free plan is active (free)",
    "subscription.canceled": "Alice C canceled Free plan: unused; ends 21 Dec 2026",
    "subscription.created": "Alice subscribed to Free plan (free)",
    "subscription.revoked": "Alice C's subscription to Free plan ended on 21 Nov 2026",
    "subscription.uncanceled": "Alice C withdrew the cancellation of Free plan",
    "subscription.updated": "Alice's subscription to Free plan was updated (active)",
}

JANE = {"id": "c1", "name": "Jane Doe", "email": "jane@example.com"}
PRO = {"id": "p1", "name": "Pro"}
ORDER = {
    **json.loads(BODIES["order.paid"])["data"],
    "customer": JANE,
    "product": PRO,
    "billing_reason": "subscription_cycle",
}
SUBSCRIPTION = {
    **json.loads(BODIES["subscription.created"])["data"],
    "customer": JANE,
    "product": PRO,
    "amount": 2900,
    "ends_at": None,
}
REFUND = json.loads(BODIES["refund.created"])["data"]
GRANT = {
    **json.loads(BODIES["benefit_grant.created"])["data"],
    "customer": JANE,
    "member": None,
}
CHECKOUT = {
    "id": "k1",
    "status": "open",
    "amount": 2900,
    "net_amount": 2900,
    "total_amount": 2900,
    "currency": "eur",
    "customer_email": "jane@example.com",
    "product": PRO,
}
DECEMBER = "2026-12-21T03:09:33Z"


def event(event_type: str, data: dict[str, Any], **changes: Any) -> Event:
    payload = {"type": event_type, "timestamp": "2026-11-21T12:00:00Z", "data": {**data, **changes}}
    read = parse(json.dumps(payload).encode())
    assert read.problem is None
    return read


def grant_of(benefit_type: str, event_type: str = "benefit_grant.created", **properties: Any) -> Event:
    benefit = {"id": "b1", "type": benefit_type, "description": "Perk"}
    return event(event_type, GRANT, benefit=benefit, properties=properties)


def shown(read: Event) -> dict[str, str]:
    return {fact.label: fact.value for fact in facts(read)}


def test_every_type_has_its_sentence() -> None:
    assert set(_TOLD["sentences"]) == set(RESOURCES)
    assert set(BODIES) == set(RECORDED)


@pytest.mark.parametrize("event_type", RECORDED)
def test_recorded_deliveries_read_as_people_would_say_it(event_type: str) -> None:
    assert summarise(parse(BODIES[event_type].encode())) == RECORDED[event_type]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (event("order.paid", ORDER), "Jane Doe paid $29.00 for Pro (renewal)"),
        (event("order.paid", ORDER, currency="jpy"), "Jane Doe paid ¥2,900 for Pro (renewal)"),
        (event("order.paid", ORDER, total_amount=0), "Jane Doe got Pro for free (renewal)"),
        (
            event("order.paid", ORDER, product=None, description="Wallet top-up"),
            "Jane Doe paid $29.00 for Wallet top-up (renewal)",
        ),
        (event("order.paid", ORDER, customer=None), "A customer paid $29.00 for Pro (renewal)"),
        (event("order.paid", ORDER, billing_reason="a_new_one"), "Jane Doe paid $29.00 for Pro (a new one)"),
        (
            event("order.created", ORDER, paid=False, status="pending"),
            "Jane Doe ordered Pro for $29.00 (renewal, pending)",
        ),
        (
            event("order.refunded", ORDER, status="refunded", refunded_amount=2400, refunded_tax_amount=500),
            "Jane Doe was refunded all of $29.00 for Pro",
        ),
        (
            event("subscription.created", SUBSCRIPTION, status="trialing", trial_end=DECEMBER),
            "Jane Doe started a trial of Pro until 21 Dec 2026, then $29.00 a month",
        ),
        (
            event("subscription.created", SUBSCRIPTION, recurring_interval_count=3),
            "Jane Doe subscribed to Pro ($29.00 every 3 months)",
        ),
        (
            event(
                "subscription.canceled",
                SUBSCRIPTION,
                customer_cancellation_reason="too_expensive",
                ends_at=DECEMBER,
            ),
            "Jane Doe canceled Pro: too expensive; ends 21 Dec 2026",
        ),
        (
            event("subscription.canceled", SUBSCRIPTION, status="canceled", ended_at=DECEMBER),
            "Jane Doe's subscription to Pro ended on 21 Dec 2026",
        ),
        (
            event(
                "subscription.updated",
                SUBSCRIPTION,
                cancel_at_period_end=True,
                ends_at=DECEMBER,
                pending_update={"id": "u1"},
            ),
            "Jane Doe's subscription to Pro was updated (active, ends 21 Dec 2026, a change is waiting)",
        ),
        (
            event("subscription.updated", SUBSCRIPTION, pause_at_period_end=True),
            "Jane Doe's subscription to Pro was updated (active, will pause)",
        ),
        (
            event("subscription.cycled", SUBSCRIPTION, current_period_end=DECEMBER),
            "Jane Doe's subscription to Pro began a new period until 21 Dec 2026 ($29.00 a month)",
        ),
        (
            event("subscription.past_due", SUBSCRIPTION, status="past_due"),
            "Jane Doe's subscription to Pro is past due: a payment failed ($29.00 a month)",
        ),
        (
            event("subscription.paused", SUBSCRIPTION, resumes_at=DECEMBER),
            "Jane Doe's subscription to Pro is paused until 21 Dec 2026",
        ),
        (
            event("subscription.resumed", SUBSCRIPTION),
            "Jane Doe's subscription to Pro resumed ($29.00 a month)",
        ),
        (
            event("subscription.migrated", SUBSCRIPTION),
            "Jane Doe's subscription to Pro was migrated to Polar ($29.00 a month)",
        ),
        (
            event("refund.created", REFUND, tax_amount=100, currency="eur", revoke_benefits=True),
            "€10.00 was refunded (customer request, benefits revoked)",
        ),
        (
            event("refund.created", REFUND, status="pending"),
            "A refund of $9.00 is pending (customer request)",
        ),
        (event("refund.updated", REFUND, status="failed"), "A refund of $9.00 has failed (customer request)"),
        (event("checkout.created", CHECKOUT), "jane@example.com opened a checkout for Pro (€29.00)"),
        (
            event("checkout.updated", CHECKOUT, customer_name="Jane Doe", status="failed"),
            "Jane Doe's checkout for Pro (€29.00) was updated (failed)",
        ),
        (
            event("checkout.expired", CHECKOUT, customer_email=None, product=None),
            "Someone left a checkout for a product (€29.00) unfinished",
        ),
        (
            event("customer_seat.revoked", {"id": "s1", "status": "revoked"}),
            "A seat was revoked",
        ),
        (
            event("member.updated", {"id": "m1", "customer_id": "c1", "role": "billing_manager"}),
            "Team member without a name was updated (billing manager)",
        ),
        (
            event(
                "benefit_grant.created",
                GRANT,
                is_granted=False,
                error={"message": "The customer has no Discord account", "type": "x", "timestamp": "y"},
            ),
            "Jane Doe did not get license key ****-67B947 (License): The customer has no Discord account",
        ),
        (
            event("benefit_grant.cycled", GRANT, member={"id": "m1", "customer_id": "c1", "email": "b@x.io"}),
            "b@x.io's license key ****-67B947 was renewed (License)",
        ),
        (
            grant_of("github_repository", repository_owner="acme", repository_name="app"),
            "Jane Doe received GitHub access to acme/app (Perk)",
        ),
        (grant_of("discord", guild_id="1"), "Jane Doe received Discord role (Perk)"),
        (grant_of("downloadables", files=["f"]), "Jane Doe received download (Perk)"),
        (grant_of("meter_credit", "benefit_grant.updated"), "Jane Doe's meter credit was updated (Perk)"),
        (grant_of("teleportation", "benefit_grant.revoked"), "Jane Doe's benefit was revoked (Perk)"),
        (event("benefit_grant.updated", GRANT, benefit=None), "Jane Doe's benefit was updated (a benefit)"),
        (
            event("benefit.updated", {"id": "b1", "type": "custom", "is_deleted": True}),
            "Benefit custom was deleted (custom)",
        ),
        (
            event("organization.updated", {"id": "o1", "name": "Acme"}),
            "The settings of Acme were updated",
        ),
    ],
)
def test_what_happened_in_plain_words(read: Event, expected: str) -> None:
    assert summarise(read) == expected


def test_a_discount_of_unknown_terms_makes_no_claim() -> None:
    assert summarise(event("discount.created", {"id": "d1", "name": "Five"})) == "Discount Five was created"


def test_an_unknown_type_is_said_to_be_unknown() -> None:
    read = parse(b'{"type": "x.y", "data": {}}')

    assert summarise(read) == "Polar sent `x.y`, which this version does not know"
    assert shown(read) == {"Event": "x.y", "Problem": "This version does not know the type."}


def test_data_that_does_not_fit_is_said_not_to_be_understood() -> None:
    read = parse(b'{"type": "order.paid", "data": {}}')

    assert summarise(read) == "Polar sent `order.paid` with data that this version does not understand"
    assert shown(read)["Problem"] == "The data does not fit this version: data.id: Field required."


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (
            event("order.paid", ORDER),
            {
                "Customer": "Jane Doe (jane@example.com)",
                "Amount": "$29.00",
                "Product": "Pro",
                "Invoice": "INV-6LVI9I",
            },
        ),
        (
            event("order.refunded", ORDER, status="partially_refunded", refunded_amount=900),
            {
                "Customer": "Jane Doe (jane@example.com)",
                "Amount": "$29.00",
                "Product": "Pro",
                "Refunded": "$9.00 of $29.00",
            },
        ),
        (
            event(
                "subscription.canceled",
                SUBSCRIPTION,
                customer_cancellation_reason="other",
                customer_cancellation_comment="Found\nsomething better",
            ),
            {
                "Customer": "Jane Doe (jane@example.com)",
                "Amount": "$29.00 a month",
                "Product": "Pro",
                "Reason": "other reason: Found something better",
            },
        ),
        (
            event("subscription.past_due", SUBSCRIPTION, status="past_due", past_due_at=DECEMBER),
            {
                "Customer": "Jane Doe (jane@example.com)",
                "Amount": "$29.00 a month",
                "Product": "Pro",
                "Past due since": "21 Dec 2026",
            },
        ),
        (
            event("refund.created", REFUND, dispute={"id": "d1", "status": "needs_response"}),
            {
                "Amount": "$9.00",
                "Reason": "customer request",
                "Status": "succeeded",
                "Dispute": "needs response",
            },
        ),
        (
            event("benefit_grant.revoked", GRANT),
            {
                "Customer": "Jane Doe (jane@example.com)",
                "Benefit": "License",
                "Access": "license key ****-67B947",
            },
        ),
        (
            event("checkout.expired", CHECKOUT, status="expired"),
            {"Customer": "jane@example.com", "Amount": "€29.00", "Product": "Pro", "Status": "expired"},
        ),
        (
            event(
                "benefit.updated", {"id": "b1", "type": "custom", "description": "Perk", "is_deleted": True}
            ),
            {"Benefit": "Perk", "Kind": "custom", "Status": "deleted"},
        ),
        (
            event("organization.updated", {"id": "o1", "name": "Acme", "status": "active"}),
            {"Organization": "Acme", "Status": "active"},
        ),
        (
            event(
                "customer.state_changed", JANE, active_meters=[{"id": "1", "meter_id": "m1", "balance": 3}]
            ),
            {
                "Customer": "Jane Doe (jane@example.com)",
                "Subscriptions": "0 active",
                "Benefits": "0",
                "Meters": "1",
            },
        ),
    ],
)
def test_facts_come_in_the_order_a_person_wants_them(read: Event, expected: dict[str, str]) -> None:
    assert list(shown(read).items()) == list(expected.items())


@pytest.mark.parametrize(
    "name",
    [
        "a\nb\r\nc",
        "\u202egnp.exe",
        "\u2066hidden\u2069",
        "nul\x00esc\x1b[31m",
        "line\u2028separator",
        "\U000e0041tag",
        "x" * 500_000,
        "{who}{0}%s%(a)s",
        "<!channel> <@U1> *bold* `code`",
        " \t ",
        "",
        "\ufeff",
    ],
)
def test_what_a_customer_types_stays_one_short_visible_line(name: str) -> None:
    customer = {**JANE, "name": name, "email": name}
    for read in (
        event("order.paid", ORDER, customer=customer, product={"id": "p", "name": name}, invoice_number=name),
        event("subscription.canceled", SUBSCRIPTION, customer=customer, customer_cancellation_comment=name),
        event("checkout.created", CHECKOUT, customer_name=name, customer_email=name),
        event("customer.created", customer),
        event("order.paid", ORDER, currency=name),
    ):
        line = summarise(read)
        assert 0 < len(line) <= 200
        assert line.isprintable()
        for fact in facts(read):
            assert 0 < len(fact.value) <= 100
            assert fact.value.isprintable()


def test_a_long_name_does_not_push_the_mail_address_off_the_card() -> None:
    read = event("customer.created", {**JANE, "name": "Jane (ceo@bank.example) " * 20})

    assert shown(read)["Customer"].endswith("… (jane@example.com)")
