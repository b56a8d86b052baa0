"""Amounts read as people write them, in any currency and of any size."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polar.text.words import SYMBOLS, ZERO_DECIMAL, format_money

CODES = st.sampled_from(sorted({*SYMBOLS, *ZERO_DECIMAL, "chf", "huf", "isk", "sek", "ugx", "zzz"}))


@pytest.mark.parametrize(
    ("minor", "currency", "expected"),
    [
        (2900, "usd", "$29.00"),
        (2900, "USD", "$29.00"),
        (2900, "eur", "€29.00"),
        (2900, "jpy", "¥2,900"),
        (2900, "krw", "₩2,900"),
        (2900, "clp", "CLP 2,900"),
        (2900, "chf", "CHF 29.00"),
        (290000, "huf", "HUF 2,900.00"),
        (2900, "cad", "CA$29.00"),
        (2900, "aud", "A$29.00"),
        (2900, "cny", "CN¥29.00"),
        (-300, "usd", "-$3.00"),
        (-300, "chf", "-CHF 3.00"),
        (-5, "usd", "-$0.05"),
        (0, "usd", "$0.00"),
        (0, "jpy", "¥0"),
        (123456789, "usd", "$1,234,567.89"),
        (2900, "zzz", "ZZZ 29.00"),
        (2900, "", "29.00 (unknown currency)"),
        (-2900, "<!channel>", "-29.00 (unknown currency)"),
        (2900, "\uff35\uff33\uff24", "29.00 (unknown currency)"),
    ],
)
def test_amounts_read_as_people_write_them(minor: int, currency: str, expected: str) -> None:
    assert format_money(minor, currency) == expected


@given(st.integers(-(2**63), 2**63), CODES)
def test_the_digits_give_the_amount_back(minor: int, currency: str) -> None:
    shown = format_money(minor, currency)

    assert int(re.sub(r"\D", "", shown)) == abs(minor)
    assert shown.startswith("-") == (minor < 0)
    assert ("." in shown) == (currency not in ZERO_DECIMAL)


@given(st.integers(), st.text())
def test_no_currency_text_gets_through_unless_it_is_a_code(minor: int, currency: str) -> None:
    shown = format_money(minor, currency)

    known = "".join(SYMBOLS.values())
    assert re.fullmatch(rf"-?([{re.escape(known)}]+|[A-Z]{{3}} )?[\d,.]+( \(unknown currency\))?", shown)


@given(st.integers(1, 10**12))
def test_a_bare_dollar_or_yen_sign_means_one_currency(minor: int) -> None:
    bare = [code for code in SYMBOLS if re.match(r"[$¥]", format_money(minor, code))]

    assert sorted(bare) == ["jpy", "usd"]
