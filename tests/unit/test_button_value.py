"""What a button says comes back as it was, and nothing that we did not write decides anything."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.ui.elements import NO_REVISION, ButtonValue

_IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=80)
_DETAILS = st.text(max_size=200)
VALUES = st.builds(ButtonValue, _IDS, st.integers(0, 10**18 - 1), _DETAILS)


@given(VALUES)
def test_what_was_made_comes_back(value: ButtonValue) -> None:
    assert value == ButtonValue.parse(str(value))


@given(VALUES)
def test_a_value_begins_with_the_id(value: ButtonValue) -> None:
    assert str(value).startswith(f"{value.id}:")


@given(st.one_of(st.text(), st.from_regex(r"[a-z0-9:]{0,30}", fullmatch=True), st.none(), st.integers()))
@example("p" * 2_000)
@example("p1:\u0661")  # a digit, and none of ours
@example("p1:-1")
@example("p1:9999999999999999999")
@example("'; DROP TABLE proposals; --")
def test_what_we_never_wrote_names_nothing(hostile: object) -> None:
    found = ButtonValue.parse(hostile)

    ours = isinstance(hostile, str) and found.id != "" and found.id in hostile.split(":")[:2]
    assert ours or found == ButtonValue("", NO_REVISION)
    assert found.id.isascii()
    assert set(found.id) <= set(string.ascii_letters + string.digits + "_-")


@pytest.mark.parametrize("value", ["p1:1000000000", "p1:999999999999999999"])
def test_a_number_no_revision_has_is_none(value: str) -> None:
    assert ButtonValue.parse(value).revision == NO_REVISION


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("p1", ButtonValue("p1", 1)),
        ("p1:1", ButtonValue("p1", 1)),
        ("b1:1790000000000000", ButtonValue("b1", 1_790_000_000_000_000)),
        ("p1:2:not_due", ButtonValue("p1", 2, "not_due")),
        ("edit:p1:2", ButtonValue("p1", 2, "edit")),
        ("b1:not_due", ButtonValue("b1", NO_REVISION, "not_due")),
    ],
)
def test_what_stands_on_cards_already_is_understood(value: str, found: ButtonValue) -> None:
    assert found == ButtonValue.parse(value)
