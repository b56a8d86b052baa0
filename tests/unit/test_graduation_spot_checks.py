"""Spot checks: which are drawn, how often, and what they say."""

import math

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.graduation.gate import drawn, probability, rejection_rate_bound

SECRET = b"a secret of this shop"


def test_a_draw_repeats_for_one_proposal_and_differs_for_another_secret():
    ids = [f"p{i}" for i in range(200)]
    first = [drawn(SECRET, one, 0.5) for one in ids]
    assert first == [drawn(SECRET, one, 0.5) for one in ids]
    assert first != [drawn(b"another", one, 0.5) for one in ids]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_about_the_share_asked_for_is_drawn(share):
    count = sum(drawn(SECRET, f"p{i}", share) for i in range(20_000))
    assert abs(count - 20_000 * share) < 4.5 * math.sqrt(20_000 * share * (1 - share))


@given(st.text(max_size=40).filter(lambda text: text.isascii()), st.floats(0, 1), st.floats(0, 1))
def test_a_case_drawn_at_one_share_is_drawn_at_every_higher_one(proposal_id, one, other):
    low, high = sorted((one, other))
    assert drawn(SECRET, proposal_id, low) <= drawn(SECRET, proposal_id, high)
    assert drawn(SECRET, proposal_id, 1)
    assert not drawn(SECRET, proposal_id, 0)


@pytest.mark.parametrize(("secret", "share"), [(b"", 0.5), (SECRET, -0.1), (SECRET, 1.1), (SECRET, math.nan)])
def test_a_draw_needs_a_secret_and_a_share(secret, share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        drawn(secret, "p1", share)


def test_the_share_goes_from_a_half_to_a_quarter_to_the_floor():
    assert [probability(agreed, 0.10) for agreed in (0, 10, 11, 28, 29, 1_000)] == [
        0.5,
        0.5,
        0.25,
        0.25,
        0.1,
        0.1,
    ]
    assert [probability(agreed, 0.25) for agreed in (0, 10, 11, 29)] == [0.5, 0.5, 0.25, 0.25]
    assert [probability(agreed, 0.40) for agreed in (0, 5, 6, 11)] == [0.5, 0.5, 0.4, 0.4]
    assert [probability(0, 0.0), probability(0, 0.8), probability(99, 1.0)] == [0.0, 0.8, 1.0]


@given(st.integers(0, 500), st.sampled_from([0.05, 0.1, 0.25]))
def test_no_share_is_below_the_rejection_rate_the_spot_checks_alone_exclude(agreed, floor):
    share = probability(agreed, floor)
    assert share == 0.5 or rejection_rate_bound(agreed, agreed) <= share + 1e-12


def test_the_bound_with_nothing_bad_is_the_rule_of_three():
    assert rejection_rate_bound(0, 0) == rejection_rate_bound(0, 5) == 1.0
    assert math.isclose(rejection_rate_bound(31, 31), 1 - 0.05 ** (1 / 31), rel_tol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_at_the_bound_so_few_bad_ones_have_a_chance_of_five_percent(counts):
    agreed, total = counts
    p = mpmath.mpf(rejection_rate_bound(agreed, total))
    chance = sum(
        mpmath.binomial(total, bad) * p**bad * (1 - p) ** (total - bad) for bad in range(total - agreed + 1)
    )
    assert abs(chance - 0.05) < 1e-6


@pytest.mark.parametrize(("agreed", "total"), [(2, 1), (-1, 3)])
def test_counts_that_cannot_be_are_refused(agreed, total):
    with pytest.raises(ValueError, match="cannot be"):
        rejection_rate_bound(agreed, total)
