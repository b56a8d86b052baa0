"""Alarms: they come when things turn, and seldom when they do not."""

from random import Random

import pytest

from bot.graduation.gate import SLOWEST, is_unusual_volume, usual_rate


def poisson(chance, rate):
    """How many arrive in an hour, from the gaps between them."""
    count, at = 0, chance.expovariate(rate)
    while at < 1:
        count, at = count + 1, at + chance.expovariate(rate)
    return count


def test_three_times_the_usual_pauses_and_the_usual_does_not():
    assert is_unusual_volume([10, 11, 9, 31], usual=10)
    assert is_unusual_volume([3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], usual=1)
    assert not is_unusual_volume([10, 12, 9, 14, 8, 11] * 4, usual=10)


def test_a_quiet_case_kind_may_have_a_few_cases_in_an_hour_but_not_many():
    assert not is_unusual_volume([0] * 20 + [4], usual_rate(1, 700))
    assert is_unusual_volume([0] * 20 + [9], usual_rate(1, 700))


@pytest.mark.parametrize("usual", [SLOWEST, 0.5, 3, 20])
def test_the_usual_rate_seldom_pauses(usual):
    chance = Random(2)  # noqa: S311 - chance for a test
    days = [[poisson(chance, usual) for _ in range(24)] for _ in range(400)]
    assert sum(is_unusual_volume(day, usual) for day in days) <= 4


def test_the_usual_rate_of_a_case_kind_has_a_least():
    assert usual_rate(240, 24) == 10
    assert usual_rate(0, 24) == usual_rate(5, 0) == SLOWEST
