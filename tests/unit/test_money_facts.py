"""What a refund truly comes to: Polar's own arithmetic, on recorded orders and on any."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.policy import Policy
from bot.proposals.reads import GETS, KEEPS, LEFT, TOO_MUCH, refund_facts, refund_sum, today_lines, with_money

RESPONSES = Path(__file__).parents[1] / "payloads" / "responses.jsonl"


def order(net=10_000, tax=1_900, *, balance=0, refunded=0, refunded_tax=0, fee=0, currency="eur"):
    """An order as Polar shows it."""
    return {
        "currency": currency,
        "net_amount": net,
        "tax_amount": tax,
        "refundable_amount": max(0, net + balance - refunded),
        "refundable_tax_amount": max(0, tax - refunded_tax),
        "platform_fee_amount": fee,
        "platform_fee_currency": "usd" if fee else None,
    }


@pytest.mark.parametrize(
    ("about", "amount", "tax"),
    [
        # As Polar's own tests have it: polarsource/polar:server/tests/models/test_order.py, "…_refunded_tax_from_subtotal".
        (order(1_000, 250), 1_000, 250),
        (order(1_000, 250, balance=1_000), 2_000, 250),
        (order(1_000, 250, balance=1_000), 500, 125),
        (order(800, 200), 400, 100),
        (order(10_000, 1_900), 4_000, 760),
        (order(0, 0), 0, 0),
        (order(10_000, 1_900, refunded=4_000, refunded_tax=760), 6_000, 1_140),
    ],
)
def test_the_tax_is_what_polar_adds(about, amount, tax):
    assert refund_sum(about, amount).tax == tax


@given(
    net=st.integers(1, 10**9),
    rate=st.floats(0, 0.5),
    share=st.floats(0, 1),
    more=st.integers(1, 10**6),
)
def test_two_refunds_that_make_the_whole_give_back_the_whole_tax(net, rate, share, more):
    tax = round(net * rate)
    first = refund_sum(order(net, tax), max(1, int(net * share)))
    after = order(net, tax, refunded=first.net, refunded_tax=first.tax)
    rest = refund_sum(after, net - first.net)

    assert first.tax + rest.tax == max(tax, first.tax)
    assert 0 <= first.tax <= tax
    assert first.total + rest.total >= net
    assert refund_sum(order(net, tax), net + more).excess == more


def test_the_card_says_what_the_customer_gets_what_is_kept_and_what_is_left():
    facts = dict(refund_facts([refund_sum(order(fee=216), 4_000)]))

    assert facts == {
        GETS: "€47.60, of it €7.60 tax",
        KEEPS: "$2.16, not returned by Polar",
        LEFT: "€60.00 before tax",
    }


def test_more_than_is_left_is_said_first():
    facts = refund_facts([refund_sum(order(refunded=9_000, refunded_tax=1_710), 4_000)])

    assert facts[0] == (TOO_MUCH, "Polar refuses more than €10.00 before tax")
    assert LEFT not in dict(facts)


def test_the_whole_leaves_nothing_and_no_tax_is_said():
    facts = dict(refund_facts([refund_sum(order(2_900, 0, currency="usd"), 2_900)]))

    assert facts == {GETS: "$29.00, no tax", LEFT: "nothing"}


def test_several_refunds_are_added_up_by_currency():
    sums = [refund_sum(order(currency=code), 1_000) for code in ("eur", "eur", "jpy")]

    assert dict(refund_facts(sums))[GETS] == "€23.80 and ¥1,190, of it €3.80 and ¥190 tax"


def test_the_recorded_order_and_its_recorded_refunds_agree():
    rows = [json.loads(line) for line in RESPONSES.read_text().splitlines()]
    orders = [row["body"] for row in rows if "refundable_tax_amount" in (row["body"] or {})]
    refunds = [
        row["body"] for row in rows if "revoke_benefits" in (row["body"] or {}) and "id" in row["body"]
    ]

    assert orders
    assert refunds
    for refund in refunds:
        about = next(one for one in orders if one["id"] == refund["order_id"])
        assert refund_sum(about, refund["amount"]).tax == refund["tax_amount"]


def test_read_again_the_money_replaces_what_it_was():
    before = with_money([("Order", "INV-1")], [(GETS, "$1.00, no tax")])

    assert with_money(before, [(GETS, "$2.00, no tax")]) == ((GETS, "$2.00, no tax"), ("Order", "INV-1"))


def test_the_line_of_today_names_the_cap():
    policy = Policy.model_validate({"caps": {"day_amount": {"usd": 20_000}}})

    assert today_lines({"usd": 4_000}, "USD", policy) == (
        ("Refunded today", "$40.00 before tax; at most $200.00 a day without asking"),
    )
    assert today_lines({}, "chf", policy) == (("Refunded today", "CHF 0.00 before tax"),)
