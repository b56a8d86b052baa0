"""From what was typed to what is sent: amounts exactly, metadata as written, and what is left empty."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.forms.fields import Form, Kind, Leaf, all_leaves, form_of
from bot.forms.values import (
    NotUsable,
    card_facts,
    card_title,
    check,
    compose,
    minor_units,
    plainly,
    scalar,
    split_facts,
)
from polar.catalog import operations
from polar.catalog.schema import Problem
from polar.text.words import ZERO_DECIMAL
from tests.fixtures.forms import ANY_ID, OPTION

CURRENCIES = st.sampled_from(["eur", "usd", "jpy", "krw", "isk", "huf", "vnd"])


def typed(value: Any) -> dict[str, Any]:
    return {"value": value}


def picked(value: str) -> dict[str, Any]:
    return {"selected_option": {"text": {"type": "plain_text", "text": value}, "value": value}}


def leaf(form: Form, path: str) -> Leaf:
    return next(one for one in all_leaves(form) if one.path == path)


def form(operation: str, way: str = "0", *added: str) -> Form:
    return form_of(operations()[operation], {"body": way}, frozenset(f"body.{name}" for name in added))


@given(minor=st.integers(0, 10**12), currency=CURRENCIES)
def test_an_amount_written_out_is_the_same_amount_again(minor: int, currency: str) -> None:
    digits = 0 if currency in ZERO_DECIMAL else 2
    written = f"{minor}" if not digits else f"{minor // 100}.{minor % 100:02}"
    assert minor_units(Decimal(written), currency) == minor


@given(number=st.decimals(0, 10**9, places=3, allow_nan=False), currency=CURRENCIES)
def test_an_amount_is_exact_or_refused(number: Decimal, currency: str) -> None:
    scale = 1 if currency in ZERO_DECIMAL else 100
    try:
        found = minor_units(number, currency)
    except NotUsable:
        assert number * scale != (number * scale).to_integral_value()
    else:
        assert Decimal(found) == number * scale


def test_an_amount_without_a_currency_is_refused() -> None:
    with pytest.raises(NotUsable, match="currency is not known"):
        minor_units(Decimal(5), None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gold", "gold"), ("5", 5), ("5.5", 5.5), ("-3", -3), ("true", True), ("false", False), ('"5"', "5"),
        ("null", "null"), ("1e9", "1e9"), ("{broken", "{broken"), ("NaN", "NaN"), ("", ""), ("0x1", "0x1"),
    ],
)  # fmt: skip
def test_a_value_of_metadata_is_what_it_looks_like(text: str, value: object) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


@given(st.text(max_size=60))
def test_no_text_breaks_a_value_of_metadata(text: str) -> None:
    scalar(text)


@given(kind=st.sampled_from(["metadata", "amounts"]), text=st.text(max_size=80))
def test_no_text_breaks_a_list_of_pairs(kind: str, text: str) -> None:
    operation = form("discounts:create", "1", "metadata")
    question = leaf(operation, f"body.{kind}")
    found = check([question], {question.path: typed(text)}, None)
    assert set(found) <= {question.path}


def test_metadata_is_read_line_by_line_and_a_name_twice_is_an_error() -> None:
    operation = form("customers:update", "0", "metadata")
    given = {
        "path.id": {"selected_option": OPTION},
        "body.metadata": typed("plan = gold\n\nurl = https://a?b=c"),
    }
    assert compose(operation, given, None).call.body == {"metadata": {"plan": "gold", "url": "https://a?b=c"}}
    for wrong in ("plan", "= gold", "plan = a\nplan = b"):
        assert compose(operation, {**given, "body.metadata": typed(wrong)}, None).errors.keys() == {
            "body.metadata"
        }


def test_what_is_chosen_and_left_empty_is_cleared_and_what_is_not_chosen_is_not_sent() -> None:
    given = {"path.id": {"selected_option": OPTION}}
    cleared = compose(form("license_keys:update", "3", "expires_at", "limit_usage"), given, None)
    assert cleared.call.body == {"expires_at": None, "limit_usage": None}
    assert compose(form("subscriptions:update", "4"), given, None).call.body == {"discount_id": None}
    assert compose(form("customers:update", "0", "metadata"), given, None).call.body == {"metadata": {}}
    assert compose(form("orders:finalize"), given, None).call.body is None


def test_a_box_that_was_asked_for_and_is_not_ticked_is_no() -> None:
    given = {"path.id": {"selected_option": OPTION}}
    unticked = form("webhooks:update_webhook_endpoint", "0", "enabled")
    assert compose(unticked, given, None).call.body == {"enabled": False}
    emails = compose(form("organizations:update", "0", "customer_email_settings"), given, None).call.body
    assert emails is not None
    assert set(emails["customer_email_settings"].values()) == {False}


def test_an_object_nobody_filled_in_is_left_out() -> None:
    given = {
        "body.description": typed("Keys"),
        "body.properties.prefix": typed("PRO"),
        "body.properties.activations.enable_customer_admin": {"selected_options": []},
    }
    found = compose(form("benefits:create", "4"), given, None)
    assert found.errors == {}
    assert found.call.body == {"type": "license_keys", "description": "Keys", "properties": {"prefix": "PRO"}}


def test_an_object_filled_in_by_half_says_what_is_missing() -> None:
    given = {"path.id": {"selected_option": OPTION}, "body.billing_address.city": typed("Berlin")}
    found = compose(form("orders:update", "0", "billing_address"), given, None)
    assert found.errors.keys() == {"body.billing_address.country"}


def test_each_way_of_a_subscription_sends_its_own_fields_and_no_others() -> None:
    given = {"path.id": {"selected_option": OPTION}, "body.trial_end": {"selected_date_time": 1_893_456_000}}
    bodies = [compose(form("subscriptions:update", str(way)), given, None).call.body for way in range(13)]
    assert bodies == [
        {"cancel_at_period_end": True}, {"cancel_at_period_end": False}, {"revoke": True},
        {"product_id": None}, {"discount_id": None}, {"trial_end": "2030-01-01T00:00:00Z"},
        {"trial_end": "now"}, {}, {}, {"pause_at_period_end": True}, {"pause_at_period_end": False},
        {"resume": True}, {"pending_update": None},
    ]  # fmt: skip


def test_prices_are_asked_one_by_one_and_an_empty_further_one_is_left_out() -> None:
    picks = {"body": "1", "body.prices.0": "0", "body.prices#": "3"}
    operation = form_of(operations()["products:create"], picks)
    given = {
        "body.name": typed("Pro"),
        "body.prices.0.price_currency": picked("jpy"),
        "body.prices.0.price_amount": typed("2900"),
        "body.prices.2.price_currency": picked("usd"),
        "body.prices.2.price_amount": typed("29.90"),
    }
    found = compose(operation, given, None)
    assert found.errors == {}
    assert found.call.body == {
        "name": "Pro",
        "prices": [
            {"amount_type": "fixed", "price_currency": "jpy", "price_amount": 2_900},
            {"amount_type": "fixed", "price_currency": "usd", "price_amount": 2_990},
        ],
    }


def test_a_price_by_usage_may_be_a_fraction_of_a_cent() -> None:
    operation = form_of(operations()["products:create"], {"body": "1", "body.prices.0": "3"})
    given = {
        "body.name": typed("Calls"),
        "body.prices.0.price_currency": picked("usd"),
        "body.prices.0.meter_id": {"selected_option": OPTION},
        "body.prices.0.unit_amount": typed("0.000125"),
    }
    body = compose(operation, given, None).call.body
    assert body is not None
    assert body["prices"][0]["unit_amount"] == "0.0125"
    assert compose(operation, {**given, "body.prices.0.unit_amount": typed("1000")}, None).errors


def test_the_currency_of_an_amount_is_asked_with_it() -> None:
    with_amount = form("orders:create", "0", "amount")
    assert leaf(with_amount, "body.currency").must
    assert leaf(with_amount, "body.amount").currency == "body.currency"


def test_a_percentage_is_in_hundredths_of_a_percent() -> None:
    given = {
        "body.name": typed("Spring"),
        "body.duration": picked("once"),
        "body.basis_points": typed("12.5"),
    }
    body = compose(form("discounts:create", "0"), given, None).call.body
    assert body == {"type": "percentage", "name": "Spring", "duration": "once", "basis_points": 1_250}


def test_every_value_is_on_the_card_or_counted() -> None:
    many = [(f"Label {number}", "x" * 90) for number in range(40)]
    beside, bullets = split_facts(many)
    shown = sum("Label" in text for text in [label for label, _ in beside])
    inside = sum(bullet.count("Label") for bullet in bullets)
    assert f"and {40 - shown - inside} more values" in bullets[-1]
    assert all(len(bullet) <= 500 for bullet in bullets)


def test_a_long_value_is_not_cut_beside_its_label_but_shown_below() -> None:
    beside, bullets = split_facts([("Metadata", "y" * 150), ("Name", "Pro")])
    assert beside == (("Name", "Pro"),)
    assert bullets == ("Metadata: " + "y" * 150,)


def test_a_title_says_what_how_much_and_whom() -> None:
    operation = form("refunds:create")
    given = {
        "body.order_id": {"selected_option": OPTION},
        "body.reason": picked("other"),
        "body.amount": typed("9"),
    }
    call = compose(operation, given, "usd").call
    amounts = {"body.amount": "usd"}
    assert (
        card_title(operation, call, given, amounts) == "Refund an order: $9.00, Jane Doe (jane@example.com)"
    )
    assert ("Amount before tax", "$9.00") in card_facts(operation, given, amounts)
    assert call.body == {"order_id": ANY_ID, "reason": "other", "amount": 900}


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem(("body", "seats"), "must be at most 10000"), "This must be at most 10000."),
        (Problem(("body", "metadata", "plan"), "must be text"), "This must be text."),
        (
            Problem(("body", "amount"), "cannot be sent together with `percent`"),
            "This cannot be sent together with percent.",
        ),
    ],
)
def test_a_problem_of_a_parameter_reads_as_one_of_an_input(problem: Problem, said: str) -> None:
    assert plainly(problem) == said


def test_every_kind_of_question_is_used_or_is_a_fallback() -> None:
    from bot.forms.fields import ways
    from bot.forms.names import proposable

    used = set()
    for one in proposable():
        for way in range(max(1, len(ways(one)))):
            first = form_of(one, {"body": str(way)})
            whole = form_of(one, {"body": str(way)}, frozenset(first.more))
            used |= {each.kind for each in all_leaves(whole)}
    assert set(Kind) - used <= {Kind.DAY, Kind.DECIMAL, Kind.UNIT_PRICE}


def test_a_problem_stands_under_the_question_whose_path_its_place_begins_with() -> None:
    picks, added = {"body": "1", "body.prices.0": "0"}, frozenset({"body.metadata"})
    operation = form_of(operations()["products:create"], picks, added)
    given = {
        "body.name": typed("Pro"),
        "body.prices.0.price_currency": picked("usd"),
        "body.metadata": typed(f"{'x' * 41} = 1"),
    }
    assert compose(operation, given, None).errors == {
        "body.prices.0.price_amount": "This is missing.",
        "body.metadata": "This must have at most 40 characters.",
    }
