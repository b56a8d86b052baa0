"""Slack's rate limits: never more than a tier allows, over any span of time, and no less than it can."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bot.config.rate_limits import POST, SLACK, UPDATE, Tier
from bot.demo.slack.web_api import POSTING, TIER_3, Limits
from bot.slack.client import RateLimits


class Clock:
    """Seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


steps = st.lists(
    st.tuples(st.floats(0, 20), st.integers(0, 8), st.sampled_from([0.0] * 9 + [3.0])), max_size=60
)


@given(steps, st.sampled_from([Tier(57, 3), Tier(48, 45), Tier(600, 1)]))
def test_over_any_span_no_more_leaves_than_the_tier_allows(
    moves: list[tuple[float, int, float]], tier: Tier
) -> None:
    clock = Clock()
    limits = RateLimits(clock, {POST: tier})
    taken: list[float] = []
    for wait, wanted, pause in moves:
        clock.now += wait
        if pause:
            limits.pause(POST, "C1", pause)
        taken += [clock.now for _ in range(wanted) if limits.take(POST, "C1")]
    for start, first in enumerate(taken):
        for end, last in enumerate(taken[start:], start + 1):
            assert end - start <= tier.burst + (last - first) * tier.per_minute / 60 + 1e-6


@given(st.lists(st.floats(0, 5), max_size=80))
def test_what_we_let_through_slack_takes(waits: list[float]) -> None:
    clock = Clock()
    limits, slack = RateLimits(clock), Limits(clock)
    for wait in waits:
        clock.now += wait
        while limits.take(POST, "C1"):
            assert slack.wait("posting", POSTING) == 0
        while limits.take(UPDATE, "C1"):
            assert slack.wait("updates", TIER_3) == 0


@given(st.integers(1, 10))
def test_waiting_as_long_as_it_says_is_enough(emptied: int) -> None:
    clock = Clock()
    limits = RateLimits(clock)
    for _ in range(emptied):
        while limits.take(POST, "C1"):
            pass
        clock.now += limits.wait(POST, "C1")
        assert limits.free(POST, "C1") == 1


def test_channels_have_a_limit_each_for_posting_and_one_for_updating() -> None:
    limits = RateLimits(Clock())
    for _ in range(SLACK[POST].burst):
        assert limits.take(POST, "C1")
    assert not limits.take(POST, "C1")
    assert limits.take(POST, "C2")
    for _ in range(SLACK[UPDATE].burst):
        assert limits.take(UPDATE, "C1")
    assert not limits.take(UPDATE, "C2")


def test_a_pause_holds_for_its_method_and_channel_alone() -> None:
    clock = Clock()
    limits = RateLimits(clock)
    limits.pause(POST, "C1", 30)
    assert (limits.free(POST, "C1"), limits.wait(POST, "C1")) == (0, 30)
    assert limits.take(POST, "C2")
    assert limits.take(UPDATE, "C1")
    clock.now += 30
    assert limits.free(POST, "C1") == 1  # not the whole burst: Slack has just asked for less
    clock.now += 60
    assert limits.free(POST, "C1") == SLACK[POST].burst


def test_a_method_without_a_tier_keeps_to_pauses_only() -> None:
    clock = Clock()
    limits = RateLimits(clock, {})
    assert all(limits.take("views.open", None) for _ in range(1_000))
    limits.pause("views.open", None, 5)
    assert not limits.take("views.open", None)
    assert math.isclose(limits.wait("views.open", None), 5)
    clock.now += 5
    assert limits.take("views.open", None)
