"""Prices, discounts and names in plain words."""

from typing import Any

import pytest

from polar.models import Discount, Product
from polar.text.words import list_price, plain, reduction


@pytest.mark.parametrize(
    ("price", "interval", "expected"),
    [
        ({"amount_type": "fixed", "price_amount": 9900, "price_currency": "eur"}, "year", "€99.00 a year"),
        ({"amount_type": "fixed", "price_amount": 9900, "price_currency": "usd"}, None, "$99.00"),
        (
            {"amount_type": "fixed", "price_amount": 99, "price_currency": "usd"},
            "fortnight",
            "$0.99 per fortnight",
        ),
        ({"amount_type": "custom", "price_currency": "usd"}, None, "pay what you want"),
        ({"amount_type": "metered_unit", "unit_amount": "0.5"}, "month", "metered a month"),
        (
            {
                "amount_type": "seat_based",
                "price_currency": "usd",
                "seat_tiers": {"tiers": [{"min_seats": 1, "price_per_seat": 500}]},
            },
            "month",
            "$5.00 a seat a month",
        ),
        ({"amount_type": "a_new_one"}, None, "a new one"),
        ({"amount_type": "fixed", "price_amount": 1, "is_archived": True}, None, "no price"),
    ],
)
def test_the_price_of_a_product(price: dict[str, Any], interval: str | None, expected: str) -> None:
    fields = {"id": "p1", "name": "Pro", "prices": [{"id": "x", **price}], "recurring_interval": interval}

    assert list_price(Product.model_validate(fields)) == expected


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"basis_points": 1250}, "12.5% off"),
        ({"basis_points": 10000}, "100% off"),
        ({"basis_points": 5}, "0.05% off"),
        ({"amounts": {"usd": 500}}, "$5.00 off"),
        ({"amounts": {"usd": 500, "jpy": 500, "eur": 400}}, "$5.00 or ¥500 … off"),
        ({}, ""),
    ],
)
def test_what_a_discount_takes_off(terms: dict[str, Any], expected: str) -> None:
    assert reduction(Discount.model_validate({"id": "d1", "name": "Five", **terms})) == expected


@pytest.mark.parametrize("name", ["می‌خواهم", "क्‍ष", "👩‍👩‍👧", "Zoë Ångström", "李小龍", "O'Neil & Söhne"])
def test_names_of_the_world_are_left_alone(name: str) -> None:
    assert plain(name, 60) == name
