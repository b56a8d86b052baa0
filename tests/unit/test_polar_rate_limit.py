"""The token bucket: never over the limit in any minute, writes before reads, pauses kept."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polar.errors import NotSent, RateBudgetExhausted
from polar.rate_limit import BURST, KEPT_FOR_WRITES, RateLimiter


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.at_next_sleep: Callable[[], None] | None = None

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        if act := self.at_next_sleep:
            self.at_next_sleep = None
            act()


@pytest.fixture
def time():
    return FakeTime()


def bucket_of(per_minute: int, time: FakeTime) -> RateLimiter:
    return RateLimiter(per_minute, monotonic=time.monotonic, sleep=time.sleep)


async def test_burst_passes_at_once_and_the_next_waits(time):
    bucket = bucket_of(100, time)
    for _ in range(BURST):
        await bucket.take(for_write=True)
    assert time.now == 1_000_000.0

    await bucket.take(for_write=True)

    assert time.now == pytest.approx(1_000_000.0 + 60 / (100 - BURST))


@given(
    per_minute=st.integers(2, 600),
    steps=st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.floats(0, 5)), min_size=1, max_size=120),
)
def test_no_minute_has_more_calls_than_the_limit(per_minute, steps):
    time, taken = FakeTime(), []

    async def run() -> None:
        bucket = bucket_of(per_minute, time)
        for idle, for_write, pause in steps:
            time.now += idle if idle > 15 else 0
            if pause > 4.5:
                bucket.pause(pause)
            await bucket.take(for_write=for_write)
            taken.append(time.now)

    asyncio.run(run())
    for first, beyond in zip(taken, taken[per_minute:], strict=False):
        assert beyond - first >= 60 - 1e-6


async def test_sustained_rate_uses_nearly_all_of_the_limit(time):
    bucket = bucket_of(500, time)
    for _ in range(980):
        await bucket.take()

    assert time.now - 1_000_000.0 < 121


async def test_reads_leave_room_for_writes(time):
    bucket = bucket_of(500, time)
    for _ in range(BURST - KEPT_FOR_WRITES):
        await bucket.take(at_most=0)
    with pytest.raises(RateBudgetExhausted):
        await bucket.take(at_most=0)

    for _ in range(KEPT_FOR_WRITES):
        await bucket.take(at_most=0, for_write=True)
    with pytest.raises(RateBudgetExhausted):
        await bucket.take(at_most=0, for_write=True)


@pytest.mark.parametrize("for_write", [True, False])
async def test_pause_holds_those_too_who_already_wait(time, for_write):
    bucket = bucket_of(500, time)
    for _ in range(BURST):
        await bucket.take(for_write=True)
    time.at_next_sleep = lambda: bucket.pause(60)

    await bucket.take(for_write=for_write)

    assert time.now > 1_000_060


async def test_shorter_pause_does_not_cut_a_longer_one(time):
    bucket = bucket_of(500, time)
    bucket.pause(60)
    bucket.pause(1)

    await bucket.take(for_write=True)

    assert time.now > 1_000_060


async def test_refused_write_was_not_sent_says_when_and_takes_nothing(time):
    bucket = bucket_of(100, time)
    bucket.pause(60)
    for _ in range(50):
        with pytest.raises(NotSent) as refused:
            await bucket.take(at_most=5, for_write=True)
    assert refused.value.retry_after == pytest.approx(60 + 60 / (100 - BURST))

    time.now += refused.value.retry_after
    await bucket.take(at_most=0, for_write=True)


def test_limit_without_room_for_a_burst_is_an_error(time):
    with pytest.raises(ValueError, match="2 is the least"):
        bucket_of(1, time)
