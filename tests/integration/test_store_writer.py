"""The group commit under stress: bad neighbours, a full queue, callers that leave, and the end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine

from store import Store, open_store
from store.engine.engines import make_engine
from store.engine.errors import StoreBusy, StoreClosed, StoreFailed
from store.engine.writer import Writer
from store.events.events import claim_events, count_events, get_event, insert_events
from store.models import NewEvent, StoredEvent
from tests.fixtures.gate import Gate

EventFactory = Callable[..., NewEvent]


class Boom(Exception):
    """What a broken query raises."""


@pytest.fixture
async def engine(sqlite_url: str) -> AsyncIterator[AsyncEngine]:
    made = make_engine(sqlite_url)
    yield made
    await made.dispose()


async def _ids(sqlite_url: str, wanted: list[str]) -> set[str]:
    async with open_store(sqlite_url, exclusive=False) as store:
        return {id_ for id_ in wanted if await store.do(get_event, id_) is not None}


async def _stop(*running: asyncio.Future[None]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def test_a_bad_webhook_fails_alone_among_64_that_arrive_together(
    store: Store, new_event: EventFactory
) -> None:
    good = [new_event() for _ in range(64)]
    naive = replace(new_event(), sent_at=datetime(2026, 10, 1))  # noqa: DTZ001 - the point
    outcomes = await asyncio.gather(
        *map(store.record, [*good[:32], naive, *good[32:]]), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [StoreFailed]
    assert isinstance(outcomes[32], StoreFailed)
    assert await store.do(count_events) == {"new": 64}


async def test_a_query_that_raises_takes_nothing_with_it_and_leaves_nothing_behind(
    store: Store, new_event: EventFactory
) -> None:
    half = new_event()

    def broken(connection: Connection) -> None:
        insert_events(connection, [half])
        raise Boom

    events = [new_event() for _ in range(64)]
    outcomes = await asyncio.gather(
        *map(store.record, events[:32]),
        store.do(broken),
        *map(store.record, events[32:]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[32], Boom)
    assert [outcome for outcome in outcomes if outcome is not None] == [outcomes[32]]
    assert await store.do(count_events) == {"new": 64}
    assert await store.do(get_event, half.id) is None


async def test_writes_that_wait_together_share_one_commit(store: Store, new_event: EventFactory) -> None:
    commits: list[object] = []
    event.listen(store._writer._engine.sync_engine, "commit", commits.append)
    await asyncio.gather(*(store.record(new_event()) for _ in range(200)))
    assert len(commits) == 1


async def test_each_caller_gets_the_value_of_its_own_query(store: Store) -> None:
    def answer(_connection: Connection, number: int) -> int:
        return number

    assert await asyncio.gather(*(store.do(answer, n) for n in range(300))) == list(range(300))


async def test_a_repeated_webhook_id_changes_nothing_of_what_the_first_brought(
    store: Store, new_event: EventFactory, now: datetime
) -> None:
    first = new_event(body=b'{"type":"order.paid","n":1}')
    later = now + timedelta(hours=1)
    repeat = replace(first, body=b"other", type="other", sent_at=later, received_at=later)
    await store.record(first)
    before = await store.do(get_event, first.id)
    await asyncio.gather(store.record(repeat), store.record(new_event()), store.record(repeat))
    assert await store.do(get_event, first.id) == before
    assert before is not None
    assert before.body == first.body


async def test_of_two_with_one_id_in_one_batch_the_first_stays(store: Store, new_event: EventFactory) -> None:
    first = new_event(body=b"first")
    await asyncio.gather(store.record(first), store.record(replace(first, body=b"second")))
    stored = await store.do(get_event, first.id)
    assert stored is not None
    assert stored.body == b"first"


async def test_a_full_queue_refuses_the_next_and_keeps_what_it_took(
    engine: AsyncEngine, new_event: EventFactory
) -> None:
    writer = Writer(engine, queue_size=3)
    taken = [asyncio.ensure_future(writer.together(insert_events, new_event())) for _ in range(3)]
    await asyncio.sleep(0)
    assert writer.waiting == 3
    with pytest.raises(StoreBusy):
        await writer.together(insert_events, new_event())
    running = asyncio.ensure_future(writer.run())
    await asyncio.gather(*taken)
    assert await writer.do(count_events) == {"new": 3}
    await _stop(running)


async def test_a_caller_that_leaves_while_waiting_is_skipped_and_stops_nobody(
    store: Store, new_event: EventFactory
) -> None:
    gone, stays = new_event(), new_event()
    leaving = asyncio.ensure_future(store.record(gone))
    staying = asyncio.ensure_future(store.record(stays))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    assert await store.do(get_event, stays.id) is not None
    assert await store.do(get_event, gone.id) is None


async def test_a_caller_that_leaves_during_its_transaction_stops_nobody(
    store: Store, new_event: EventFactory
) -> None:
    gate, stays = Gate(), new_event()
    leaving = asyncio.ensure_future(store.do(gate))
    staying = asyncio.ensure_future(store.record(stays))
    await gate.entered.wait()
    leaving.cancel()
    gate.open()
    await staying
    assert await store.do(get_event, stays.id) is not None


async def test_at_the_end_every_waiting_caller_is_told_and_no_write_is_half_there(
    sqlite_url: str, new_event: EventFactory
) -> None:
    pairs = [(new_event(), new_event()) for _ in range(40)]

    def both(connection: Connection, pair: tuple[NewEvent, NewEvent]) -> None:
        insert_events(connection, pair[:1])
        insert_events(connection, pair[1:])

    gate = Gate()
    async with open_store(sqlite_url) as store:
        first = [asyncio.ensure_future(store.do(both, pair)) for pair in pairs[:20]]
        held = asyncio.ensure_future(store.do(gate))
        await gate.entered.wait()
        later = [asyncio.ensure_future(store.do(both, pair)) for pair in pairs[20:]]
        asyncio.get_running_loop().call_soon(gate.open)
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*first, held, *later, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), StoreClosed}
    found = await _ids(sqlite_url, [one.id for pair in pairs for one in pair])
    assert all((one.id in found) == (two.id in found) for one, two in pairs)
    assert all(pair[0].id in found for pair, told in zip(pairs, first, strict=False) if not told.exception())


async def test_a_closed_store_refuses_instead_of_waiting_for_ever(
    sqlite_url: str, new_event: EventFactory
) -> None:
    async with open_store(sqlite_url) as store:
        await store.ping()
    with pytest.raises(StoreClosed):
        await store.record(new_event())
    with pytest.raises(StoreClosed):
        await store.ping()


async def test_a_store_closed_before_its_first_write_refuses_too(
    sqlite_url: str, new_event: EventFactory
) -> None:
    async with open_store(sqlite_url) as store:
        pass
    with pytest.raises(StoreClosed):
        await asyncio.wait_for(store.record(new_event()), 1)


async def test_what_waits_behind_a_failed_batch_is_told_when_the_store_closes(
    sqlite_url: str, new_event: EventFactory
) -> None:
    gate, tries = Gate(), count(1)

    def slow_when_alone(connection: Connection) -> None:
        if next(tries) > 1:
            gate(connection)

    def broken(_connection: Connection) -> None:
        raise Boom

    async with open_store(sqlite_url) as store:
        queries = (store.do(slow_when_alone), store.do(broken), store.record(new_event()))
        writes = [asyncio.ensure_future(query) for query in queries]
        await gate.entered.wait()
        asyncio.get_running_loop().call_soon(gate.open)
    _told, forgotten = await asyncio.wait(writes, timeout=1)
    await _stop(*forgotten)
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), StoreClosed, Boom}


async def test_who_is_told_that_nothing_was_stored_is_told_the_truth(
    sqlite_url: str, new_event: EventFactory
) -> None:
    late = new_event()
    ending = asyncio.Event()

    async def serve() -> str:
        async with open_store(sqlite_url) as store:
            # The end comes while the commit is on its way to the disk.
            event.listen(store._writer._engine.sync_engine, "commit", lambda _connection: ending.set())
            recording = asyncio.ensure_future(store.record(late))
            await ending.wait()
        (told,) = await asyncio.gather(recording, return_exceptions=True)
        return str(told)

    told = await serve()
    assert (late.id in await _ids(sqlite_url, [late.id])) == ("nothing was stored" not in told)


async def test_a_locked_database_fails_the_write_and_is_used_again_when_it_is_free(
    sqlite_url: str, new_event: EventFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.engine.engines._WRITING", ("busy_timeout=1", "journal_mode=WAL"))
    rival = make_engine(sqlite_url)
    async with open_store(sqlite_url) as store:
        async with rival.begin():
            with pytest.raises(StoreFailed):
                await store.record(new_event())
        await store.record(new_event())
        assert await store.do(count_events) == {"new": 1}
    await rival.dispose()


async def test_those_who_wait_with_one_query_share_one_run_of_it(store: Store) -> None:
    runs: list[list[int]] = []

    def doubled(_connection: Connection, items: Sequence[int]) -> list[int]:
        runs.append(list(items))
        return [2 * item for item in items]

    found = await asyncio.gather(*(store.do_together(doubled, number) for number in range(5)))

    assert found == [0, 2, 4, 6, 8]
    assert runs == [[0, 1, 2, 3, 4]]


async def test_a_step_that_is_woken_with_a_write_finds_it_on_sqlite_in_one_transaction(
    store: Store, new_event: EventFactory
) -> None:
    one, woken, begun = new_event(), asyncio.Event(), list[None]()
    lease = {"now": one.received_at, "until": one.received_at + timedelta(seconds=20)}

    async def next_step() -> Sequence[StoredEvent]:
        await woken.wait()
        return await store.do(claim_events, token="t", limit=9, **lease)

    step = asyncio.ensure_future(next_step())
    await asyncio.sleep(0)
    engine = store._writer._engine.sync_engine
    event.listen(engine, "begin", lambda _: begun.append(None))
    await store.record(one, then=woken.set)

    assert [each.id for each in await step] == [one.id]
    assert len(begun) == (1 if engine.dialect.name == "sqlite" else 2)


async def test_an_item_that_fails_a_shared_run_fails_alone(store: Store) -> None:
    def inverted(_connection: Connection, items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    found = await asyncio.gather(
        *map(partial(store.do_together, inverted), (1, 0, 4)), return_exceptions=True
    )

    assert (found[0], found[2]) == (1, 0.25)
    assert isinstance(found[1], ZeroDivisionError)


async def test_a_reader_does_not_wait_for_the_writer_and_sees_what_was_written(
    store: Store, new_event: EventFactory
) -> None:
    await store.record(new_event())
    gate = Gate()
    writing = asyncio.ensure_future(store.do(gate))
    await gate.entered.wait()

    assert await asyncio.wait_for(store.read(count_events), 5) == {"new": 1}

    gate.open()
    await writing


async def test_a_reader_cannot_write(store: Store, new_event: EventFactory) -> None:
    with pytest.raises(StoreFailed):
        await store.read(insert_events, [new_event()])
    assert await store.read(count_events) == {}


@pytest.mark.timed
async def test_work_gives_way_to_a_flood_of_a_second_and_a_half_and_then_goes_on(
    store: Store, new_event: EventFactory
) -> None:
    loop = asyncio.get_running_loop()
    begun, stop = loop.time(), False

    async def flood() -> None:
        while not stop:
            await asyncio.gather(*(store.record(new_event()) for _ in range(32)))

    flooding = asyncio.ensure_future(flood())
    while not store._writer._is_flooded(loop.time()):  # noqa: ASYNC110 - the flood makes it true
        await asyncio.sleep(0)
    await store.give_way()
    first, again = loop.time() - begun, loop.time()
    await store.give_way()
    second, stop = loop.time() - again, True
    await flooding

    assert 1.5 < first < 2
    assert second < 0.5


async def test_others_are_written_however_many_webhooks_wait(store: Store, new_event: EventFactory) -> None:
    stop = False

    async def sender() -> None:
        while not stop:
            await store.record(new_event())

    await store.record(new_event())  # On PostgreSQL the count may begin before any of the flood is committed.
    senders = [asyncio.ensure_future(sender()) for _ in range(600)]
    await asyncio.sleep(0)
    written = await asyncio.wait_for(store.do_for_person(count_events), 20)
    stop = True
    await asyncio.gather(*senders)

    assert written["new"] >= 1


async def test_failed_commit_is_told_and_nothing_is_run_again(store: Store) -> None:
    runs: list[int] = []

    def work(number: int) -> Callable[[Connection], None]:
        return lambda _connection: runs.append(number)

    def refuse(_connection: Connection) -> None:
        raise OSError("the disk is full")

    event.listen(store._writer._engine.sync_engine, "commit", refuse)
    told = await asyncio.gather(*(store.do(work(number)) for number in range(3)), return_exceptions=True)
    event.remove(store._writer._engine.sync_engine, "commit", refuse)

    assert [type(one) for one in told] == [StoreFailed] * 3
    assert runs == [0, 1, 2]


async def test_database_that_cannot_be_reached_is_an_error_of_the_store(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreachable:
        """A server that is not there."""

        def connect(self) -> None:
            raise ConnectionRefusedError

    monkeypatch.setattr(store, "_reader", Unreachable())
    with pytest.raises(StoreFailed):
        await store.read(count_events)
