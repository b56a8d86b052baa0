"""PostgreSQL: what one program tells its queues wakes the same queues of the others, at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from bot.pipeline.worker import QueueWorker
from bot.rules import RuleSet
from bot.services import Claimed, Queue, Services, claim_rows
from store import open_store
from store.engine.engines import make_engine
from store.engine.notifications import notifications
from store.events.events import claim_events
from store.models import NewEvent, StoredEvent
from tests.integration.conftest import NOW

pytestmark = pytest.mark.postgres
HOUR = 3600.0


class Ear:
    """What was heard, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.heard = asyncio.Event()

    def __call__(self, names: Sequence[str]) -> None:
        self.names += names
        self.heard.set()


async def _listening(url: str, count: int) -> None:
    """Wait until so many connections listen."""
    engine = make_engine(url)
    asked = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    async with engine.connect() as connection, asyncio.timeout(20):
        while (await connection.execute(asked)).scalar_one() < count:
            await asyncio.sleep(0.01)
            await connection.rollback()
    await engine.dispose()


async def test_a_webhook_of_an_idle_program_is_proposed_by_the_other_before_it_looks_by_itself(
    postgres_url: str, new_event: Callable[..., NewEvent]
) -> None:
    nobody: Any = None
    done = asyncio.Event()

    async def propose(claimed: Claimed[StoredEvent]) -> None:
        assert claimed.row.id == "evt_a"
        done.set()

    async with open_store(postgres_url) as store, asyncio.timeout(30):
        services = Services(store, nobody, nobody, RuleSet(()), nobody, "C1", lambda: NOW, lambda *_: None)

        async def claim(limit: int) -> Sequence[Claimed[StoredEvent]]:
            found: Sequence[Claimed[StoredEvent]] = await claim_rows(services, claim_events, limit)
            looked.set()
            return found

        looked = asyncio.Event()
        worker = QueueWorker(Queue.PROPOSE, claim, propose, width=4, idle=HOUR)

        def wake(names: Sequence[str]) -> None:
            if Queue.PROPOSE in names:
                worker.notify()

        async with notifications(postgres_url, wake), notifications(postgres_url, Ear()) as other:
            assert other is not None
            working = asyncio.create_task(worker.run())
            await _listening(postgres_url, 2)
            await looked.wait()
            await store.record(new_event(id="evt_a"))
            other.tell([Queue.PROPOSE])
            await done.wait()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def test_nobody_hears_themselves_and_what_is_told_often_is_heard_a_few_times_a_second(
    postgres_url: str,
) -> None:
    mine, theirs = Ear(), Ear()
    async with (
        notifications(postgres_url, mine) as one,
        notifications(postgres_url, theirs) as other,
        asyncio.timeout(30),
    ):
        assert one is not None
        assert other is not None
        await _listening(postgres_url, 2)
        for _ in range(1_000):
            one.tell([Queue.PROPOSE, Queue.DELAYED])
        await theirs.heard.wait()
        other.tell([Queue.HOME])
        await mine.heard.wait()

    assert mine.names == ["home"]
    assert theirs.names == ["delayed rules", "propose"]


async def test_a_lost_connection_is_made_anew(postgres_url: str) -> None:
    ear = Ear()
    async with (
        notifications(postgres_url, ear),
        notifications(postgres_url, Ear()) as other,
        asyncio.timeout(30),
    ):
        assert other is not None
        await _listening(postgres_url, 2)
        engine = make_engine(postgres_url)
        async with engine.begin() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            await connection.execute(text(f"{ended} AND datname = current_database()"))
        await engine.dispose()
        while not ear.heard.is_set():  # those told while nobody listened are lost
            other.tell([Queue.HOME])
            await asyncio.sleep(0.05)


async def test_sqlite_has_nobody_to_tell(sqlite_url: str) -> None:
    async with notifications(sqlite_url, Ear()) as other:
        assert other is None
