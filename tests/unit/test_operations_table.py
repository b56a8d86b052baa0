"""Our own table of operations: whole, in step with the contract, and worst-case when a call mixes things."""

from typing import Any

import pytest

from polar.catalog import (
    Call,
    Operation,
    Repeat,
    Risk,
    check_call,
    check_names,
    event_types,
    operations,
    to_json,
)
from polar.catalog.operation import table

UUID = "1dbfc517-0bbf-4301-9ba8-555ca42b9737"
OTHER = "2e0d9cb7-9b1e-4a56-8a11-8d6b4c1f0a52"
ROWS, REFUSED = table()
WRITES = {one.id for one in operations().values() if one.is_write and "organization" in one.callers}
WITH_INVERSE = sorted(
    (identity, position)
    for identity, row in ROWS.items()
    for position, effect in enumerate([row.effect, *(variant.effect for variant in row.variants)])
    if effect.inverse
)


def described(operation: str, body: dict[str, Any] | None = None, **query: Any) -> Operation:
    return operations()[operation].describe(Call(operation, {}, query, body))


def names_in(operation: Operation) -> set[str]:
    """Every name a call of it may set, of the query string and of all variants of the body."""
    fields = {name for shape in operation.body.variants for name in shape.fields} if operation.body else set()
    return fields | {one.name for one in operation.parameters if one.where == "query"}


def test_each_of_the_62_writes_has_a_row_and_nothing_else_has():
    assert len(WRITES) == 62
    assert ROWS.keys() == WRITES


@pytest.mark.parametrize("identity", sorted(ROWS))
def test_a_row_names_only_what_the_contract_has(identity):
    row, operation = ROWS[identity], operations()[identity]
    for effect in (row.effect, *(variant.effect for variant in row.variants)):
        assert effect.echo <= event_types()
        assert effect.risk >= Risk.R1
        assert effect.reversible == (effect.inverse is not None)
        assert not effect.title.endswith(".")
        assert not effect.customer_sees.endswith(".")
    for variant in row.variants:
        assert variant.covers <= names_in(operation)
        assert variant.when or variant.has
    if row.verify:
        read = operations()[row.verify]
        assert not read.is_write
        assert "organization" in read.callers
        assert row.verify_with.keys() <= {one.name for one in read.parameters}


@pytest.mark.parametrize(("identity", "position"), WITH_INVERSE)
def test_an_inverse_can_be_called_as_it_is_described(identity, position):
    row, operation = ROWS[identity], operations()[identity]
    inverse = [row.effect, *(variant.effect for variant in row.variants)][position].inverse
    assert inverse is not None
    target = operations()[inverse.operation]
    assert "organization" in target.callers
    own = {one.name for one in operation.parameters}
    for parameter in target.parameters:
        if parameter.where == "path":
            assert inverse.path.get(parameter.name) == "answer.id" or parameter.name in own
    written = {*inverse.body, *inverse.copied, *(name for name in inverse.old if name != "*")}
    if written:
        path = [one.name for one in target.parameters if one.where == "path"]
        assert check_names(target, path, (), written) == []


def test_reads_are_without_risk_and_carry_polars_own_title():
    read = operations()["customers:get_external"]
    assert (read.risk, read.title, read.is_write) == (Risk.R0, "Get customer by external ID", False)
    assert all(one.risk is Risk.R0 for one in operations().values() if not one.is_write)


def test_what_the_token_may_not_call_says_why_and_is_never_harmless():
    for one in operations().values():
        assert (one.refused is None) == ("organization" in one.callers)
        if one.refused and one.is_write:
            assert one.risk is Risk.R4
    assert "customer session" in str(operations()["customer_portal:orders:list"].refused)
    assert "member session" in str(operations()["customer_portal:members:add_member"].refused)
    assert "person's Polar account" in str(operations()["organizations:create"].refused)


@pytest.mark.parametrize(
    ("body", "title", "risk", "reversible", "echo"),
    [
        ({"status": "disabled"}, "Disable a license key", Risk.R2, True, "benefit_grant.created"),
        ({"status": "granted"}, "Let a license key work again", Risk.R2, True, "benefit_grant.created"),
        (
            {"status": "revoked"},
            "Revoke a license key and its benefit",
            Risk.R3,
            False,
            "benefit_grant.revoked",
        ),
        ({"limit_usage": 5}, "Change the limits of a license key", Risk.R1, True, None),
        ({"status": "disabled", "usage": 0}, "Disable a license key", Risk.R2, True, "benefit_grant.created"),
        ({"status": "revoked", "usage": 0}, "Revoke a license key and its benefit", Risk.R3, False, None),
    ],
)
def test_a_license_key_call_is_told_apart_by_its_body(body, title, risk, reversible, echo):
    one = described("license_keys:update", body)
    assert (one.title, one.risk, one.reversible) == (title, risk, reversible)
    assert echo is None or echo in one.echo


@pytest.mark.parametrize(
    ("body", "title", "risk", "reversible", "money"),
    [
        (
            {"cancel_at_period_end": True},
            "Cancel a subscription at the end of its period",
            Risk.R2,
            True,
            False,
        ),
        ({"cancel_at_period_end": False}, "Keep a subscription that was going to end", Risk.R1, True, True),
        ({"revoke": True}, "End a subscription now", Risk.R4, False, False),
        ({"product_id": UUID}, "Move a subscription to another product", Risk.R3, True, True),
        (
            {"product_id": UUID, "proration_behavior": "invoice"},
            "Move a subscription to another product and charge now",
            Risk.R3,
            False,
            True,
        ),
        ({"discount_id": None}, "Change the discount of a subscription", Risk.R2, True, True),
        ({"trial_end": "2027-01-01T00:00:00Z"}, "Change when a trial ends", Risk.R2, True, True),
        ({"trial_end": "now"}, "End a trial now and charge", Risk.R3, False, True),
        ({"metadata": {}}, "Change the metadata of a subscription", Risk.R1, True, False),
        (
            {"metadata": {}, "discount_id": UUID},
            "Change the discount of a subscription",
            Risk.R2,
            True,
            True,
        ),
        ({"seats": 3}, "Change the number of seats", Risk.R2, True, True),
        (
            {"seats": 3, "proration_behavior": "next_period"},
            "Change the number of seats",
            Risk.R2,
            True,
            True,
        ),
        (
            {"seats": 3, "proration_behavior": "reset"},
            "Change the number of seats and charge now",
            Risk.R3,
            False,
            True,
        ),
        (
            {"current_billing_period_end": "2027-01-01T00:00:00Z"},
            "Move the renewal date",
            Risk.R3,
            True,
            True,
        ),
        (
            {"pause_at_period_end": True},
            "Pause a subscription at the end of its period",
            Risk.R2,
            True,
            False,
        ),
        ({"pause_at_period_end": False}, "Drop a scheduled pause", Risk.R1, True, False),
        ({"resume": True}, "Resume a paused subscription and charge", Risk.R3, False, True),
        (
            {"pending_update": None},
            "Drop a change that was scheduled for the next period",
            Risk.R1,
            False,
            False,
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_a_subscription_call_is_told_apart_by_its_body(body, title, risk, reversible, money):
    assert check_call("subscriptions:update", {"id": UUID}, {}, body) == []
    one = described("subscriptions:update", body)
    assert (one.title, one.risk, one.reversible, one.money) == (title, risk, reversible, money)
    assert "subscription.updated" in one.echo


def test_every_kind_of_subscription_change_in_the_contract_has_its_variant():
    body = operations()["subscriptions:update"].body
    assert body is not None
    spoken_for = {name for variant in ROWS["subscriptions:update"].variants for name in variant.covers}
    assert spoken_for == {name for shape in body.variants for name in shape.fields}


def test_a_field_that_no_variant_speaks_for_counts_as_the_general_case():
    assert described("customers:update", {"metadata": {}}).risk is Risk.R1
    mixed = described("customers:update", {"metadata": {}, "email": "new@example.com"})
    assert (mixed.risk, mixed.reversible, mixed.inverse) == (Risk.R3, False, None)


def test_a_refund_that_takes_benefits_back_always_asks_and_repeating_it_pays_twice():
    plain = described(
        "refunds:create", {"order_id": UUID, "reason": "other", "amount": 5, "revoke_benefits": False}
    )
    assert (plain.risk, plain.money, plain.repeat) == (Risk.R3, True, Repeat.CREATES_ANOTHER)
    assert described("refunds:create", {"order_id": UUID, "revoke_benefits": True}).risk is Risk.R4


def test_what_can_never_graduate_is_r4():
    for identity in (
        "subscriptions:revoke",
        "customers:delete",
        "customers:delete_external",
        "discounts:delete",
        "checkout-links:delete",
        "disputes:accept",
        "webhooks:update_webhook_endpoint",
        "webhooks:reset_webhook_endpoint_secret",
    ):
        assert operations()[identity].risk is Risk.R4


# -- the calls that follow -------------------------------------------------------------------------------


def undone(
    call: Call, before: dict[str, Any] | None = None, answer: dict[str, Any] | None = None
) -> Call | None:
    made = operations()[call.operation].undo_call(call, before, answer)
    if made:
        assert check_call(made.operation, made.path, made.query, made.body) == []
    return made


def test_disabling_a_key_is_undone_without_knowing_what_was():
    call = Call("license_keys:update", {"id": UUID}, {}, {"status": "disabled"})
    assert undone(call) == Call("license_keys:update", {"id": UUID}, {}, {"status": "granted"})


def test_old_values_are_written_back_and_only_those_that_were_changed():
    call = Call("subscriptions:update", {"id": UUID}, {}, {"seats": 9, "proration_behavior": "prorate"})
    before = {"id": UUID, "seats": 4, "status": "active"}
    assert undone(call, before) == Call("subscriptions:update", {"id": UUID}, {}, {"seats": 4})
    assert undone(call) is None


def test_a_call_that_changes_two_things_is_undone_in_one():
    call = Call("subscriptions:update", {"id": UUID}, {}, {"metadata": {"a": "b"}, "discount_id": UUID})
    made = undone(call, {"metadata": {}, "discount_id": None})
    assert made is not None
    assert made.body == {"metadata": {}, "discount_id": None}


def test_a_renewal_date_goes_back_under_the_name_the_write_takes():
    moment = "2027-02-01T00:00:00Z"
    call = Call(
        "subscriptions:update", {"id": UUID}, {}, {"current_billing_period_end": "2027-01-01T00:00:00Z"}
    )
    made = undone(call, {"current_period_end": moment})
    assert made is not None
    assert made.body == {"current_billing_period_end": moment}


def test_cancelling_again_carries_the_reason_that_was_there():
    call = Call("subscriptions:update", {"id": UUID}, {}, {"cancel_at_period_end": False})
    before = {"customer_cancellation_reason": "unused", "customer_cancellation_comment": None}
    made = undone(call, before)
    assert made is not None
    assert made.body == {"cancel_at_period_end": True, **before}


def test_objects_that_polar_shows_go_back_as_the_ids_it_takes():
    call = Call("products:update_benefits", {"id": UUID}, {}, {"benefits": []})
    before = {"benefits": [{"id": OTHER, "description": "Key"}]}
    made = undone(call, before)
    assert made is not None
    assert made.body == {"benefits": [OTHER]}


def test_what_was_created_is_undone_by_the_id_in_the_answer():
    call = Call("checkout-links:create", {}, {}, {"payment_processor": "stripe", "products": [UUID]})
    assert undone(call) is None
    assert undone(call, answer={"id": OTHER}) == Call("checkout-links:delete", {"id": OTHER})


def test_an_activation_is_taken_back_with_what_the_call_had():
    body = {"key": "ABC", "organization_id": UUID, "label": "Laptop"}
    made = undone(Call("license_keys:activate", {}, {}, body), answer={"id": OTHER})
    assert made is not None
    assert made.body == {"key": "ABC", "organization_id": UUID, "activation_id": OTHER}


def test_what_cannot_be_undone_has_no_undoing_call():
    assert undone(Call("refunds:create", {}, {}, {"order_id": UUID, "reason": "other", "amount": 5})) is None
    assert undone(Call("orders:get", {"id": UUID})) is None


def test_the_verifying_read_asks_for_exactly_this_object():
    refund = Call("refunds:create", {}, {}, {"order_id": UUID, "reason": "other", "amount": 5})
    assert operations()[refund.operation].verify_call(refund) == Call("refunds:list", {}, {"order_id": UUID})
    key = Call("license_keys:update", {"id": UUID}, {}, {"status": "disabled"})
    assert operations()[key.operation].verify_call(key) == Call("license_keys:get", {"id": UUID})


def test_a_read_that_needs_the_answer_is_not_made_without_it():
    seat = Call("customer-seats:revoke_seat", {"seat_id": UUID})
    operation = operations()[seat.operation]
    assert operation.verify_call(seat) is None
    assert operation.verify_call(seat, {"subscription_id": OTHER, "order_id": None}) == Call(
        "customer-seats:list_seats", {}, {"subscription_id": OTHER}
    )
    resend = Call("customer-seats:resend_invitation", {"seat_id": UUID})
    assert operations()[resend.operation].verify_call(resend) is None


def test_the_printed_catalog_carries_the_table():
    printed = {one["id"]: one for one in to_json()}
    assert len(printed) == 186
    key = printed["license_keys:update"]
    assert (key["method"], key["path"], key["required"]) == ("PATCH", "/v1/license-keys/{id}", ["id"])
    assert key["scopes"] == ["license_keys:write"]
    assert {"Disable a license key", "Change the limits of a license key"} <= {
        one["title"] for one in key["variants"]
    }
    status = next(one for one in key["body"]["variants"][0]["fields"] if one["name"] == "status")
    assert (status["enum"], status["nullable"], status["required"]) == (
        ["granted", "revoked", "disabled"],
        True,
        False,
    )
