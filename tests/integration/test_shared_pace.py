"""Replicas share one pace: together they call as often as one would, and a pause told to one holds for all."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import delete

from bot.config.rate_limits import POST, Tier
from bot.slack.client import RateLimits, Slack, SlackRateLimited
from polar.catalog.operation import Call
from polar.client import PolarClient
from store import Store, open_store
from store.engine.errors import StoreClosed
from store.engine.shared_pace import Pause, Room, SharedPace, pause_rooms, shared_pace_of, take_rooms
from store.schema import shared_pace

AT = datetime(2026, 11, 30, tzinfo=UTC)
START = AT.timestamp()

wishes = st.lists(
    st.tuples(st.floats(0, 3), st.sampled_from(["a", "b"]), st.integers(1, 3), st.floats(0, 4)), max_size=40
)


@given(wishes, st.integers(3, 5), st.floats(0.2, 2))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
async def test_no_span_has_more_calls_than_the_pace_and_waiting_is_enough(
    store: Store, moves: list[tuple[float, str, int, float]], size: int, step: float
) -> None:
    await store.do(lambda connection: connection.execute(delete(shared_pace)))
    now, taken, paused_until = START, dict[str, list[float]](a=[], b=[]), {"a": START, "b": START}
    for idle, key, need, pause in moves:
        now += idle
        if pause > 3:
            await store.do(pause_rooms, [Pause(key, size, step, now + pause)])
            paused_until[key] = max(paused_until[key], now + pause)
        [wait] = await store.do(take_rooms, [Room(key, size, step, need, now)])
        if wait:
            now += wait
            assert await store.do(take_rooms, [Room(key, size, step, need, now + 1e-6)]) == [0.0]
        assert now + 1e-6 >= paused_until[key]
        taken[key].append(now)
    for times in taken.values():
        for first, start in enumerate(times):
            for number, end in enumerate(times[first:], 1):
                assert number <= size + (end - start) / step + 1e-3


async def test_those_who_ask_together_get_what_is_there_and_no_more(store: Store) -> None:
    pace = SharedPace(store, lambda: AT)

    waits = await asyncio.gather(*(pace.take("polar", size=3, step=2.0) for _ in range(8)))

    assert sorted(waits) == pytest.approx([0, 0, 0, 2, 2, 2, 2, 2])


async def test_reads_leave_room_for_writes(store: Store) -> None:
    pace = SharedPace(store, lambda: AT)
    for _ in range(3):
        assert await pace.take("polar", size=5, step=1.0, need=3) == 0

    assert await pace.take("polar", size=5, step=1.0, need=3) == pytest.approx(1)
    assert await pace.take("polar", size=5, step=1.0) == 0


async def test_replicas_take_one_pace(rivals: list[Store]) -> None:
    paces = [SharedPace(store, lambda: AT) for store in rivals]

    waits = await asyncio.gather(
        *(pace.take(key, size=10, step=1.0) for _ in range(20) for pace in paces for key in ("b", "a"))
    )

    assert sum(wait == 0 for wait in waits) == 20  # ten of each key, of eighty who asked


async def test_a_pause_that_slack_tells_one_replica_holds_for_the_other(rivals: list[Store]) -> None:
    clock = [AT]
    first, second = (
        RateLimits(lambda: 0.0, {POST: Tier(60, 3)}, SharedPace(store, lambda: clock[0]))
        for store in rivals[:2]
    )
    await first.pause_all(POST, "C1", 30)

    assert await second.take_shared(POST, "C1") == pytest.approx(30)
    assert second.free(POST, "C1") == 0  # so it does not ask again before
    assert await second.take_shared(POST, "C2") == 0
    clock[0] += timedelta(seconds=30)
    assert await second.take_shared(POST, "C1") == 0
    assert await first.take_shared(POST, "C1") == pytest.approx(1)  # not the whole burst


async def test_slack_is_not_called_without_room_among_all(store: Store) -> None:
    shared = SharedPace(store, lambda: AT)
    await shared.pause(f"{POST} C1", 9, size=3, step=1.0)
    slack = Slack(
        AsyncWebClient(base_url="http://127.0.0.1:1/"), RateLimits(lambda: 0.0, {POST: Tier(60, 3)}, shared)
    )

    with pytest.raises(SlackRateLimited) as refused:
        await slack.post("C1", {"text": "A card."})

    assert refused.value.retry_after == pytest.approx(9)


async def test_polar_is_called_at_the_shared_pace_and_a_429_is_told(store: Store) -> None:
    slept: list[float] = []
    now = [0.0]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"retry-after": "7"}) if len(slept) == 0 else httpx.Response(200)

    shared = SharedPace(store, lambda: AT + timedelta(seconds=now[0]))
    async with PolarClient(
        "polar_oat_x",
        "http://polar.test",
        per_minute=60,
        transport=httpx.MockTransport(answer),
        monotonic=lambda: now[0],
        sleep=sleep,
        shared_pace=shared,
    ) as client:
        await client.read(Call("orders:list"))

    assert await store.do(take_rooms, [Room("polar", 10, 1.2, 1, shared._clock().timestamp())]) == [0.0]
    assert sum(slept) >= 7


async def test_a_store_that_does_not_answer_leaves_each_its_own_pace(sqlite_url: str) -> None:
    async with open_store(sqlite_url) as store:
        pass
    pace = SharedPace(store, lambda: AT)
    with pytest.raises(StoreClosed):
        await store.do_together(take_rooms, Room("polar", 1, 1.0, 1, START))

    assert await pace.take("polar", size=1, step=1.0) == 0
    await pace.pause("polar", 5, size=1, step=1.0)


async def test_only_replicas_share(sqlite_url: str) -> None:
    async with open_store(sqlite_url) as store:
        assert await shared_pace_of(store, sqlite_url, lambda: AT) is None
