"""Which proposals take two different people."""

import pytest

from bot.config.policy import Policy
from polar.catalog import Risk


@pytest.mark.parametrize(
    ("amount", "currency", "two"),
    [
        (9_999, "eur", False),
        (10_000, "EUR", True),
        (1, "usd", True),  # it has no line: nobody has said how much of it is little
        (1, None, True),
        (None, "usd", False),  # no money
        (None, None, False),
    ],
)
def test_money_in_a_currency_that_is_not_named_takes_two(
    amount: int | None, currency: str | None, two: bool
) -> None:
    policy = Policy.model_validate({"two_people": {"amount": {"eur": 10_000}}})
    assert policy.takes_two(Risk.R2, amount, currency) is two


def test_where_no_amount_is_named_no_money_takes_two() -> None:
    assert not Policy().takes_two(Risk.R4, 10_000_000, "usd")
    assert Policy.model_validate({"two_people": {"risk": ["R4"]}}).takes_two(Risk.R4, None, None)
