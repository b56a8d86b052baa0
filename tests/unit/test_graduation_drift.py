"""Alarms: they come when things turn, and seldom when they do not."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.graduation.drift import (
    SLOWEST,
    breaker_opens,
    family_falls,
    flooded,
    shift_evidence,
    shifted,
    usual_rate,
)

NOW = datetime(2026, 5, 3, 12, tzinfo=UTC)


def poisson(chance, rate):
    """How many arrive in an hour, from the gaps between them."""
    count, at = 0, chance.expovariate(rate)
    while at < 1:
        count, at = count + 1, at + chance.expovariate(rate)
    return count


def test_audits_that_turn_bad_after_a_long_good_time_are_noticed_within_a_few():
    assert not shifted([False] * 2_000 + [True] * 3, 0.05)
    assert shifted([False] * 2_000 + [True] * 8, 0.05)


def test_a_rate_four_times_the_tolerated_is_noticed():
    chance = Random(4)  # noqa: S311 - chance for a test
    noticed = sum(shifted([chance.random() < 0.2 for _ in range(200)], 0.05) for _ in range(200))
    assert noticed > 180


@pytest.mark.parametrize("tolerated", [0.02, 0.05, 0.1])
def test_at_the_tolerated_rate_false_alarms_ever_stay_within_five_percent(tolerated):
    chance = Random(1)  # noqa: S311 - chance for a test
    alarms = sum(shifted([chance.random() < tolerated for _ in range(500)], tolerated) for _ in range(1_000))
    assert alarms <= 50


def test_better_than_tolerated_is_no_alarm():
    assert shift_evidence([False] * 10_000, 0.05) == 1.0


@given(st.lists(st.booleans(), max_size=2_000), st.floats(0.001, 0.999))
def test_evidence_only_ever_grows_with_more_audits(bads, tolerated):
    assert shift_evidence(bads, tolerated) >= shift_evidence(bads[:-1], tolerated) >= 1


@pytest.mark.parametrize("tolerated", [0, 1, 2, float("nan")])
def test_a_tolerated_rate_outside_zero_to_one_is_refused(tolerated):
    with pytest.raises(ValueError, match="between 0 and 1"):
        shift_evidence([], tolerated)


def test_three_times_the_usual_pauses_and_the_usual_does_not():
    assert flooded([10, 11, 9, 31], usual=10)
    assert flooded([3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], usual=1)
    assert not flooded([10, 12, 9, 14, 8, 11] * 4, usual=10)


def test_a_quiet_shape_may_have_a_few_cases_in_an_hour_but_not_many():
    assert not flooded([0] * 20 + [4], usual_rate(1, 700))
    assert flooded([0] * 20 + [9], usual_rate(1, 700))


@pytest.mark.parametrize("usual", [SLOWEST, 0.5, 3, 20])
def test_the_usual_rate_seldom_pauses(usual):
    chance = Random(2)  # noqa: S311 - chance for a test
    days = [[poisson(chance, usual) for _ in range(24)] for _ in range(400)]
    assert sum(flooded(day, usual) for day in days) <= 4


def test_the_usual_rate_of_a_shape_has_a_least():
    assert usual_rate(240, 24) == 10
    assert usual_rate(0, 24) == usual_rate(5, 0) == SLOWEST


def test_a_second_breach_within_a_day_opens_the_breaker():
    day = timedelta(days=1)
    assert not breaker_opens([NOW], NOW)
    assert breaker_opens([NOW - day + timedelta(seconds=1), NOW], NOW)
    assert not breaker_opens([NOW - day, NOW], NOW)
    assert not breaker_opens([NOW + day, NOW], NOW)


def test_a_second_demotion_within_seven_days_brings_the_family_down():
    week = timedelta(days=7)
    assert family_falls([NOW - week + timedelta(seconds=1), NOW], NOW)
    assert not family_falls([NOW - week, NOW], NOW)
