"""PostgreSQL: what needs no turn waits neither for the program that has it nor for its rows; a deadlock is retried."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import Connection, Table, select, text, update

from store import Store, open_store
from store.audit_log.log import append, head
from store.engine.engines import make_engine
from store.engine.errors import StoreFailed
from store.engine.leases import EVENTS, OUTBOX, HeldRow, renew_leases
from store.engine.transactions import advisory_lock
from store.engine.writer import _WITHOUT_TURN
from store.events.events import claim_events, count_events, get_event
from store.messages.cards import Drawing, Outgoing, claim_outgoing, read_beside
from store.models import NewEvent
from store.proposals.decisions import asked
from store.proposals.proposals import get_proposal, touch
from store.schema import bundles, events, outbox, pending_approvals, proposals, rule_matches
from store.schema.waiting import wishes
from tests.fixtures.full_database import HOUR, SOON, prepare
from tests.fixtures.store_beside import beside

pytestmark = pytest.mark.postgres
LATER = SOON + 40 * HOUR
ARGUMENTS: dict[str, Any] = {"now": LATER, "until": LATER + HOUR, "limit": 40}
MORE: dict[str, dict[str, Any]] = {"claim_unknown": {"most_attempts": 9}}
OF_CARDS: dict[str, Any] = {"now": LATER, "until": LATER + HOUR, "redraws": 40, "posts": 40}
TABLES = (events, rule_matches, pending_approvals, outbox, proposals, bundles, wishes)


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    async with open_store(postgres_url) as opened:
        yield opened


@pytest.fixture
async def rival(postgres_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Another program's open transaction: runs what it is given."""
    engine = make_engine(postgres_url)
    async with engine.connect() as connection:
        yield connection.run_sync
        await connection.rollback()
    await engine.dispose()


@pytest.fixture
async def rivals_on_postgres(postgres_url: str) -> AsyncIterator[list[Store]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(beside(postgres_url)) for _ in range(4)]


def _lock(connection: Connection, table: Table) -> None:
    connection.execute(select(table).with_for_update())


def _arguments(query: Callable[..., Any]) -> dict[str, Any]:
    given = OF_CARDS if query is claim_outgoing else ARGUMENTS | MORE.get(query.__name__, {})
    return {"token": query.__name__, **given}


async def test_webhooks_are_stored_and_claimed_while_another_program_has_the_turn(
    store: Store, rival: Callable[..., Any], new_event: Callable[..., NewEvent]
) -> None:
    known = [new_event() for _ in range(4)]
    await rival(advisory_lock)

    async with asyncio.timeout(5):
        await asyncio.gather(*map(store.record, known))
        taken = await store.do(claim_events, token="t", **ARGUMENTS)

    assert {one.id for one in taken} == {one.id for one in known}


@pytest.mark.parametrize(
    "query", sorted((one for one in _WITHOUT_TURN if "claim" in one.__name__), key=lambda one: one.__name__)
)
async def test_a_claim_waits_for_no_row(
    store: Store, rival: Callable[..., Any], query: Callable[..., Any]
) -> None:
    """And takes, once they are free, the rows that it had to leave."""
    await store.do(prepare)
    await store.do(touch, "bundled", SOON, assignee="U1")
    await rival(advisory_lock)
    for table in TABLES:
        await rival(_lock, table)

    async with asyncio.timeout(5):
        left = await store.do(query, **_arguments(query))
        await rival(Connection.rollback)
        taken = await store.do(query, **_arguments(query))

    assert _rows(left) == []
    assert len(_rows(taken)) > 0 or query.__name__ == "claim_rule_matches"


async def test_what_a_card_or_an_approve_needs_is_read_while_another_program_has_the_turn_and_the_rows(
    store: Store, rival: Callable[..., Any]
) -> None:
    await store.do(prepare)
    declined = await store.do(get_proposal, "declined")
    assert declined is not None
    await rival(advisory_lock)
    for table in TABLES:
        await rival(_lock, table)

    async with asyncio.timeout(5):
        beside = await store.do_together(read_beside, Drawing(declined, needs_two=True))
        found = await store.do(asked, "declined", 1)

    assert beside.case_kind is not None
    assert found is not None
    assert found.proposal == declined


def _rows(found: Any) -> list[Any]:
    return [*found.cards, *found.bundles] if isinstance(found, Outgoing) else list(found)


async def test_a_claim_takes_what_a_rival_has_not_locked(
    store: Store, rival: Callable[..., Any], new_event: Callable[..., NewEvent]
) -> None:
    for id_ in ("evt_a", "evt_b", "evt_c"):
        await store.record(new_event(id=id_))
    await rival(lambda c: c.execute(update(events).where(events.c.id == "evt_a").values(attempts=1)))

    async with asyncio.timeout(5):
        taken = await store.do(claim_events, token="t", now=LATER, until=LATER + HOUR, limit=2)

    assert [one.id for one in taken] == ["evt_b", "evt_c"]


async def test_two_programs_that_are_sent_the_same_webhooks_in_any_order_store_each_once(
    rivals_on_postgres: list[Store], new_event: Callable[..., NewEvent]
) -> None:
    known = [new_event() for _ in range(60)]

    for _ in range(5):
        orders = (known, known[::-1], known[30:] + known[:30], known)
        await asyncio.gather(
            *(
                one.record(event)
                for one, order in zip(rivals_on_postgres, orders, strict=True)
                for event in order
            )
        )

    assert await rivals_on_postgres[0].read(count_events) == {"new": 60}


class Crossing:
    """Two writes that lock the same two webhooks, each in its own order."""

    def __init__(self) -> None:
        self.tries = 0
        self.met = asyncio.Event()

    def __call__(self, connection: Connection) -> None:
        self.tries += 1
        connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")  # this side is the victim
        _touch(connection, "evt_b")
        self.met.set()
        if self.tries == 1:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not connection.execute(waiting).scalar():
                pass
        _touch(connection, "evt_a")


def _touch(connection: Connection, id_: str) -> None:
    grown = update(events).where(events.c.id == id_).values(attempts=events.c.attempts + 1)
    connection.execute(grown)


async def test_a_deadlock_is_tried_again_and_counted(
    postgres_url: str, rival: Callable[..., Any], new_event: Callable[..., NewEvent]
) -> None:
    retries: list[None] = []
    async with open_store(postgres_url, on_retry=lambda: retries.append(None)) as store:
        for id_ in ("evt_a", "evt_b"):
            await store.record(new_event(id=id_))
        await rival(lambda connection: connection.exec_driver_sql("SET deadlock_timeout = '1min'"))
        await rival(_touch, "evt_a")
        crossing = Crossing()

        async with asyncio.timeout(20):
            ours = asyncio.create_task(store.do(crossing))
            await crossing.met.wait()
            await rival(_touch, "evt_b")
            await rival(Connection.commit)
            await ours

        found = [await store.read(get_event, id_) for id_ in ("evt_a", "evt_b")]
    assert (crossing.tries, len(retries)) == (2, 1)
    assert [one.attempts for one in found if one] == [2, 2]


async def test_what_is_lost_to_rivals_again_and_again_fails_after_five_tries(store: Store) -> None:
    tries: list[None] = []

    def unlucky(connection: Connection) -> None:
        tries.append(None)
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    with pytest.raises(StoreFailed):
        await store.do(unlucky)
    assert len(tries) == 5


async def test_another_failure_is_not_tried_again(store: Store) -> None:
    tries: list[None] = []

    def wrong(connection: Connection) -> None:
        tries.append(None)
        connection.exec_driver_sql("SELECT 1 / 0")

    with pytest.raises(StoreFailed):
        await store.do(wrong)
    assert len(tries) == 1


async def test_leases_are_renewed_without_waiting_for_a_row(
    store: Store, rival: Callable[..., Any], new_event: Callable[..., NewEvent]
) -> None:
    for id_ in ("evt_a", "evt_b"):
        await store.record(new_event(id=id_))
    await store.do(claim_events, token="t", **ARGUMENTS)
    await rival(_touch, "evt_a")
    held = [*(HeldRow(EVENTS, "t", (id_,)) for id_ in ("evt_a", "evt_b")), HeldRow(OUTBOX, "t", ("none",))]

    async with asyncio.timeout(5):
        await store.do(renew_leases, held, LATER + 2 * HOUR)

    kept = select(events.c.id, events.c.lease_expires_at)
    found = await store.read(lambda connection: {row.id: row[1] for row in connection.execute(kept)})
    assert found == {"evt_a": LATER + HOUR, "evt_b": LATER + 2 * HOUR}


async def test_writes_go_on_when_the_server_has_closed_every_connection(
    postgres_url: str, rival: Callable[..., Any], new_event: Callable[..., NewEvent]
) -> None:
    retries: list[None] = []
    async with open_store(postgres_url, on_retry=lambda: retries.append(None)) as store:
        await asyncio.gather(store.record(new_event()), store.ping())
        await rival(_end_the_others)
        await asyncio.gather(store.record(new_event()), store.do(append, "test", None, {}, LATER))
        assert await store.read(count_events) == {"new": 2}
        assert await store.read(head_number) == 1

    assert len(retries) > 0


def head_number(connection: Connection) -> int:
    return head(connection)[0]


def _end_the_others(connection: Connection) -> None:
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid, 5000) {others}")


async def test_a_write_is_one_transaction_and_no_ping(
    postgres_url: str, rival: Callable[..., Any], new_event: Callable[..., NewEvent]
) -> None:
    async with open_store(postgres_url) as store:
        for _ in range(50):
            await store.record(new_event())

    counted = "SELECT xact_commit, xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    committed, undone = await rival(lambda connection: connection.exec_driver_sql(counted).one())
    assert committed >= 50
    assert undone < 25
