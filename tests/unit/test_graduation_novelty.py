"""What is asked whatever the score, because it is not like what was approved."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.graduation.case_kind import CHOICES, RECENT, approved_values, novelty
from bot.ui.graduation_words import reason_words

VALUES = st.dictionaries(
    st.sampled_from(["amount", "seats", "reason", "revoke"]),
    st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.booleans(), st.none()),
)


def learned(*cases):
    return approved_values(cases)


AMOUNTS = learned(*({"amount": amount} for amount in range(100, 300)))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"amount": 99}, "new: amount is 99, outside what was approved so far (100 to 299)"),
        ({"amount": 4_500}, "new: amount is 4,500, outside what was approved so far (100 to 299)"),
        ({"amount": 295}, "new: amount is 295; only 5 of the last 200 approved values were as large"),
        ({"amount": math.nan}, "new: amount is nan, outside what was approved so far (100 to 299)"),
        ({"seats": 3}, "new: seats is 3, and no number was approved here before"),
        ({"amount": True}, "new: amount is true, which was not approved before"),
        ({"amount": "200"}, "new: amount is “200”, which was not approved before"),
        ({"amount": None}, "new: amount is empty, which was not approved before"),
    ],
)
def test_what_is_new_is_said(values, words):
    found = novelty(AMOUNTS, values)
    assert found is not None
    assert reason_words(found) == words
    json.dumps(found.to_json(), allow_nan=False)


def test_what_is_like_the_approved_passes():
    assert novelty(AMOUNTS, {"amount": 200}) is None
    assert novelty(AMOUNTS, {}) is None
    assert (
        novelty(
            learned(*[{"amount": 500, "reason": "duplicate"}] * 40), {"amount": 500, "reason": "duplicate"}
        )
        is None
    )


def test_the_rank_is_one_more_than_those_as_large_over_one_more_than_all():
    # Eleven of 201 are more than one in twenty, ten are not.
    assert novelty(AMOUNTS, {"amount": 290}) is None
    assert novelty(AMOUNTS, {"amount": 291}) is not None


def test_nothing_seen_is_nothing_known():
    found = novelty({}, {"reason": "other"})
    assert found is not None
    assert reason_words(found) == "new: reason is “other”, which was not approved before"


def test_hostile_text_is_cut_and_harmless_in_the_words():
    found = novelty({}, {"reason\u202e": "x\n" * 500})
    assert found is not None
    words = reason_words(found)
    assert "\n" not in words
    assert "\u202e" not in words
    assert len(words) < 150


def test_only_the_latest_values_are_kept_but_the_range_stays():
    seen = learned(*({"amount": amount, "reason": f"r{amount}"} for amount in range(1_000)))
    low, high, recent = seen["numbers"]["amount"]
    assert len(recent) == RECENT
    assert (low, high) == (0, 999)
    assert len(seen["choices"]["reason"]) == CHOICES
    assert novelty(seen, {"reason": "r0"}) is not None
    assert novelty(seen, {"reason": "r999"}) is None


def test_a_choice_approved_again_is_not_forgotten():
    others = [{"reason": f"r{i}"} for i in range(CHOICES - 1)]
    seen = learned({"reason": "first"}, *others, {"reason": "first"}, {"reason": "one more"})
    assert novelty(seen, {"reason": "first"}) is None


@given(st.lists(VALUES, max_size=30))
def test_what_was_learned_survives_json_and_stays_the_same(cases):
    seen = learned(*cases)
    assert json.loads(json.dumps(seen, allow_nan=False)) == seen


@given(st.lists(VALUES, min_size=1, max_size=18))
def test_anything_finite_among_few_approved_passes_again(cases):
    seen = learned(*cases)
    for values in cases:
        known = {name: v for name, v in values.items() if not isinstance(v, float) or math.isfinite(v)}
        assert novelty(seen, known) is None
