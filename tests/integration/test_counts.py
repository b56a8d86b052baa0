"""The counts of `/metrics` and Home: what is open as it stands, what is over as of a while ago once it is much."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from bot import counts
from bot.counts import Counts
from store import Store
from store.events.events import count_events
from store.models import Decision, EventState, ProposalState, Verdict
from store.proposals.decisions import decide
from store.proposals.stats import count_proposals
from store.schema import events
from tests.fixtures.gate import Gate


async def _changed(store: Store, event_id: str, state: EventState) -> None:
    own = update(events).where(events.c.id == event_id)
    await store.do(lambda connection: connection.execute(own.values(state=state)) and None)


async def test_few_are_counted_at_every_look(
    store: Store, new_event: Any, store_proposal: Any, now: Any
) -> None:
    counted, event = Counts(store), new_event()
    await store.record(event)
    assert (await counted.now()).events == {"new": 1, "failed": 0}

    await _changed(store, event.id, EventState.DONE)
    await store.do(store_proposal)
    found = await counted.now()

    assert found.events == {"new": 1, "done": 1, "failed": 0}  # the proposal has an event too
    assert found.proposals == {"pending": 1, "approved": 0, "executing": 0, "unknown": 0, "failed": 0}


async def test_of_many_what_is_over_is_as_of_the_last_count_and_the_rest_as_it_stands(
    store: Store, new_event: Any, store_proposal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_FEW", 0)
    monkeypatch.setattr(counts, "_EVERY", 0.0)
    monkeypatch.setattr(counts, "_SHARE", 0)
    counted, first, second = Counts(store), new_event(), new_event()
    await store.record(first)
    assert (await counted.now()).events["new"] == 1

    await _changed(store, first.id, EventState.DONE)
    await store.record(second)
    await store.do(store_proposal)
    assert (await counted.now()).events == {"new": 2, "failed": 0}
    assert await counted.rules() == {}

    counting = asyncio.ensure_future(counted.run())
    async with asyncio.timeout(5):
        while not await counted.rules():  # noqa: ASYNC110 - the count goes on beside us
            await asyncio.sleep(0)
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    assert (await counted.now()).events == {"new": 2, "done": 1, "failed": 0}
    assert (await counted.rules())["generate-invoice"].matched == 1


async def test_a_look_does_not_wait_for_the_writer(store: Store) -> None:
    gate = Gate()
    writing = asyncio.ensure_future(store.do(gate))
    await gate.entered.wait()

    await asyncio.wait_for(Counts(store).now(), 5)

    gate.open()
    await writing


async def test_open_and_over_together_are_all_that_is_stored(
    store: Store, store_proposal: Any, now: Any
) -> None:
    for verdict in (None, Verdict.APPROVE, Verdict.DECLINE):
        made = await store.do(store_proposal)
        if verdict is not None:
            await store.do(decide, Decision(made.id, "U1", verdict, "button", now))
    found = await Counts(store).now()

    assert {state: n for state, n in found.events.items() if n} == await store.read(count_events)
    assert {state: n for state, n in found.proposals.items() if n} == await store.read(count_proposals)
    assert found.proposals[ProposalState.DECLINED] == 1
