"""Some of the rules that ship, asked about real events."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.proposals.build import scope_of
from bot.rules import EvaluationError, always_asks, load_rules, unhandled_reasons
from polar.catalog import event_types
from polar.events import parse

PAYLOADS = Path(__file__).parents[1] / "payloads" / "deliveries.jsonl"
RECORDED = {
    row["type"]: json.loads(row["body"]) for row in map(json.loads, PAYLOADS.read_text().splitlines())
}
RULES = {rule.name: rule for rule in load_rules().rules}
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
KEY = {"order_id": "x", "benefit": {"type": "license_keys"}, "properties": {"license_key_id": "k1"}}


def scope(type_, **changes):
    payload = json.loads(json.dumps(RECORDED[type_]))
    payload["data"] |= changes
    return scope_of(parse(json.dumps(payload).encode()), NOW)


def test_a_paid_order_gets_its_invoice():
    rule, event = RULES["generate-invoice"], scope("order.paid")
    draft = rule.draft(event, None)

    assert rule.matches(event)
    assert "Generate the invoice for $29.00 from Bob?" == draft.title
    assert [("orders:generate_invoice", {"id": RECORDED["order.paid"]["data"]["id"]}, None)] == [
        (call.operation, call.path, call.body) for call in draft.calls
    ]
    assert 2 == len(draft.reasons)  # the recorded order has no billing address, and the card says so


@pytest.mark.parametrize("changes", [{"is_invoice_generated": True}, {"total_amount": 0}, {"paid": False}])
def test_an_order_that_needs_no_invoice_gets_none(changes):
    assert not RULES["generate-invoice"].matches(scope("order.paid", **changes))


@pytest.mark.parametrize(
    ("order", "holds"),
    [
        ({"is_invoice_generated": False, "status": "paid"}, True),
        ({"is_invoice_generated": True, "status": "paid"}, False),
        ({"is_invoice_generated": False, "status": "void"}, False),
    ],
)
def test_the_invoice_is_only_made_while_there_is_none(order, holds):
    assert holds == RULES["generate-invoice"].holds(scope("order.paid").plus(order=order))


def test_a_partial_refund_leaves_the_keys_alone():
    assert not RULES["disable-keys-of-refunded-order"].matches(scope("order.refunded"))


def test_a_full_refund_disables_the_keys_of_that_order_and_no_others():
    rule = RULES["disable-keys-of-refunded-order"]
    event = scope("order.refunded", status="refunded", refunded_amount=2900)
    order_id = RECORDED["order.refunded"]["data"]["id"]
    other = KEY | {"benefit": {"type": "discord"}}
    event = event.plus(grants={"items": [KEY | {"order_id": order_id}, KEY, other | {"order_id": order_id}]})
    event = event.plus(order={"status": "refunded"}, disabled={"items": []})
    items = rule.items(event)
    draft = rule.draft(event.plus(for_each=items), items)

    assert rule.matches(event)
    assert [({"id": "k1"}, {"status": "disabled"})] == [(call.path, call.body) for call in draft.calls]
    assert "Disable 1 license key of Bob, $29.00 refunded?" == draft.title


def test_without_keys_there_is_nothing_to_ask():
    rule = RULES["disable-keys-of-refunded-order"]
    event = scope("order.refunded", status="refunded").plus(grants={"items": []})
    event = event.plus(order={"status": "refunded"}, disabled=None)

    assert not rule.holds(event.plus(for_each=rule.items(event)))


@pytest.mark.parametrize(
    ("key", "subscription", "order", "holds"),
    [
        ("revoked", {"status": "active", "seats": None}, None, True),
        ("revoked", {"status": "trialing", "seats": None}, None, True),
        ("revoked", {"status": "canceled", "seats": None}, None, False),
        ("disabled", {"status": "active", "seats": None}, None, False),
        ("granted", {"status": "active", "seats": None}, None, False),
        ("revoked", None, {"status": "paid", "seats": None}, True),
        ("revoked", None, {"status": "refunded", "seats": None}, False),
        ("revoked", None, None, False),
        ("revoked", {"status": "active", "seats": 3}, None, False),  # the seat is the question there
    ],
)
def test_a_key_is_granted_again_only_while_it_is_paid_for(key, subscription, order, holds):
    rule = RULES["restore-license-key"]
    if subscription is not None:
        subscription = subscription | {"product": {}}
    event = scope("benefit_grant.revoked").plus(key={"status": key}, subscription=subscription, order=order)
    event = event.plus(
        product={"benefits": [{"id": RECORDED["benefit_grant.revoked"]["data"]["benefit_id"]}]},
        refunds={"items": []},
        disputes={"items": []},
    )

    assert rule.matches(event)
    assert holds == rule.holds(event)


@pytest.mark.parametrize(
    ("refunds", "disputes", "holds"),
    [
        ([], [], True),
        ([{"revoke_benefits": False, "status": "succeeded"}], [{"status": "prevented"}], True),
        ([{"revoke_benefits": True, "status": "pending"}], [], False),
        ([{"revoke_benefits": True, "status": "failed"}], [], True),
        ([], [{"status": "lost"}], False),
    ],
)
def test_what_a_refund_or_a_dispute_took_is_not_given_back(refunds, disputes, holds):
    benefit = {"id": RECORDED["benefit_grant.revoked"]["data"]["benefit_id"]}
    event = scope("benefit_grant.revoked").plus(
        key={"status": "revoked"},
        subscription=None,
        order={"status": "paid", "seats": None},
        product={"benefits": [benefit]},
        refunds={"items": refunds},
        disputes={"items": disputes},
    )

    assert holds == RULES["restore-license-key"].holds(event)


@pytest.mark.parametrize(("ended_at", "holds"), [("2026-11-20T00:00:00Z", True), (None, False)])
def test_a_paused_or_past_due_subscription_is_not_gone(ended_at, holds):
    rule = RULES["disable-other-keys-after-last-subscription"]
    event = scope("customer.state_changed").plus(
        subscriptions={"items": [{"ended_at": ended_at}]}, for_each=[KEY]
    )

    assert holds == rule.holds(event)


def test_other_benefits_are_not_granted_again():
    assert not RULES["restore-license-key"].matches(
        scope("benefit_grant.revoked", benefit={"type": "discord"})
    )


def test_a_read_whose_condition_is_false_is_not_made():
    rule = RULES["restore-license-key"]
    event = scope("benefit_grant.revoked").plus(subscription={"product_id": "p1"}, order=None)
    requests = {read.name: rule.request(read, event) for read in rule.reads}

    assert requests["order"] is None
    assert "subscriptions:get" == requests["subscription"].operation


def test_an_expression_that_fails_names_the_rule_and_the_field():
    with pytest.raises(EvaluationError, match=r"rule 'generate-invoice', `precondition`: there is no field"):
        RULES["generate-invoice"].holds(scope("order.paid").plus(order={}))


def test_only_rules_that_use_what_they_read_need_it_for_the_question():
    assert not RULES["generate-invoice"].needs_reads()
    assert RULES["restore-license-key"].needs_reads()
    assert timedelta(minutes=10) == RULES["generate-invoice"].skip_precondition_for


def unaccounted(rules):
    """A problem for each event with neither a rule nor a reason, and for each reason without an event."""
    reasons = unhandled_reasons()
    return [
        *(
            f"{name} has neither a rule nor a reason in unhandled.toml"
            for name in sorted(event_types() - rules.event_types() - reasons.keys())
        ),
        *(f"Polar has no event {name!r}" for name in sorted(reasons.keys() - event_types())),
    ]


def test_every_event_has_rules_or_a_reason():
    assert [] == unaccounted(load_rules())
    assert all(reason.endswith(".") and len(reason) < 200 for reason in unhandled_reasons().values())


def test_a_type_without_rule_and_reason_is_named():
    rules = load_rules()
    fewer = type(rules)(tuple(rule for rule in rules.rules if rule.name != "generate-invoice"))

    assert ["order.paid has neither a rule nor a reason in unhandled.toml"] == unaccounted(fewer)


@pytest.mark.parametrize(
    "type_", ["benefit_grant.revoked", "customer.state_changed", "customer_seat.revoked"]
)
def test_what_the_mission_fixes_always_asks_a_person(type_):
    assert always_asks(type_, ["R1"])


@pytest.mark.parametrize("type_", ["order.created", "checkout.created", "customer.created"])
def test_what_may_graduate_may(type_):
    assert always_asks(type_, ["R3"]) is None
    assert always_asks(type_, ["R4"])


def test_a_rule_that_hands_over_a_link_always_asks():
    assert always_asks("checkout.expired", ["R1"], private=True)


@pytest.mark.parametrize(
    "noise", ["order.updated", "subscription.updated", "customer.updated", "checkout.updated"]
)
def test_noise_has_no_rule(noise):
    assert () == load_rules().for_event(noise)
