"""A lease ends soon under a program that was killed, and never under one that works; replicas agree on the time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import Connection, select

from bot.app import utc_now
from bot.approvals.approve import approve_all
from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.pipeline import worker
from bot.pipeline.worker import renewing
from bot.results import DecisionStatus
from bot.rules import RuleSet
from bot.services import LEASE, Claimed, Queue, Services
from bot.slack.client import RateLimits, Slack
from store import Store, open_beside, open_store
from store.engine.clock import DatabaseClock, clock_of, require_right_clock
from store.engine.errors import StoreClockOff
from store.messages.outbox import add_to_outbox
from store.models import CallState, Decision, NewEvent, NewProposal, PlannedCall, Verdict
from store.proposals.decisions import (
    PendingApproval,
    add_pending_approvals,
    claim_pending_approvals,
    close_pending_approval,
    decide,
)
from store.proposals.details import decisions_of
from store.proposals.execution import begin_call, end_call
from store.schema import pending_approvals, proposals
from tests.fixtures.databases import set_clock
from tests.fixtures.line import Line, line
from tests.integration.conftest import NOW

SECOND = timedelta(seconds=1)
KILLED = 30 * SECOND  # after so long nothing is held by a program that was killed
CALLS = tuple(PlannedCall("orders:generate_invoice", path={"id": f"order_{number}"}) for number in range(12))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def _program(store: Store, clock: Clock) -> Services:
    nobody: Any = None
    slack = Slack(AsyncWebClient(), RateLimits(lambda: 0.0, {}))
    return Services(store, nobody, slack, RuleSet(()), nobody, "C1", clock, lambda *_: None)


async def _claim(services: Services, queue: Queue) -> Sequence[Any]:
    (found,) = [one for one in worker._workers(services) if one.queue is queue]
    return await found.claim(9)


def _keys(claimed: Sequence[Any]) -> set[Any]:
    return {one.held.key for one in claimed}


@pytest.fixture
async def programs(rivals: list[Store]) -> tuple[Services, Services, Clock]:
    """Two programs that share a clock and a database with something for every queue."""
    clock = Clock()
    return _program(rivals[0], clock), _program(rivals[1], clock), clock


async def _fill(store: Store, new_event: Callable[..., NewEvent], store_proposal: Any) -> None:
    await store.record(new_event())
    for number in range(2):
        made = await store.do(store_proposal)
        tap = PendingApproval(f"tap_{number}", made.id, 1, "U1", "button", NOW)
        await store.do(add_pending_approvals, [tap])
    await store.do(decide, Decision(made.id, "U1", Verdict.APPROVE, "button", NOW))
    await store.do(add_to_outbox, "note", kind="digest", message={"text": "Hello", "blocks": []}, at=NOW)


@pytest.mark.parametrize("queue", [Queue.PROPOSE, Queue.CONFIRM, Queue.EXECUTE, Queue.ANNOUNCE])
async def test_what_a_killed_program_held_is_free_within_thirty_seconds(
    programs: tuple[Services, Services, Clock],
    new_event: Callable[..., NewEvent],
    store_proposal: Callable[..., NewProposal],
    queue: Queue,
) -> None:
    killed, other, clock = programs
    await _fill(killed.store, new_event, store_proposal)

    held = await _claim(killed, queue)
    at_once = await _claim(other, queue)
    clock.now += KILLED
    await _claim(other, Queue.RECOVER)
    later = await _claim(other, queue)

    assert len(held) > 0
    assert list(at_once) == []
    assert _keys(held) <= _keys(later)


async def test_a_slow_polar_takes_no_lease_from_a_living_worker(
    programs: tuple[Services, Services, Clock], store_proposal: Callable[..., NewProposal], new_proposal: Any
) -> None:
    """Twelve calls of 13 seconds, and another program that looks for what was left behind after each."""
    alive, other, clock = programs
    made = await alive.store.do(store_proposal, new_proposal(calls=CALLS))
    await alive.store.do(decide, Decision(made.id, "U1", Verdict.APPROVE, "button", NOW))
    (claimed,) = await _claim(alive, Queue.EXECUTE)
    begun: list[bool] = []

    async def calls(services: Services, claimed: Claimed[Any]) -> None:
        own: Any = {"token": claimed.token}
        for number in range(len(CALLS)):
            await _claim(services, Queue.EXECUTE)  # as the queue does all the time
            begun.append(await services.store.do(begin_call, made.id, number, now=clock(), **own))
            clock.now += 13 * SECOND
            await _claim(services, Queue.EXECUTE)
            await _claim(other, Queue.RECOVER)
            done: Any = {"state": CallState.DONE, "now": clock(), "status": 200}
            assert await services.store.do(end_call, made.id, number, **done, **own)

    await worker._work(alive, calls, claimed)

    assert begun == [True] * len(CALLS)


async def test_leases_are_renewed_while_nothing_else_happens_and_no_longer_than_the_work(
    programs: tuple[Services, Services, Clock],
    store_proposal: Callable[..., NewProposal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "RENEWED_EVERY", timedelta(milliseconds=10))
    alive, _, clock = programs
    made = await alive.store.do(store_proposal)
    await alive.store.do(decide, Decision(made.id, "U1", Verdict.APPROVE, "button", NOW))
    (claimed,) = await _claim(alive, Queue.EXECUTE)

    async with renewing(alive), asyncio.timeout(20):
        with alive.held.working(claimed.held):
            clock.now += 15 * SECOND
            while await alive.store.read(_expires_at, made.id) != clock.now + LEASE:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.01)
        before = alive.held.renewed_at
        clock.now += 15 * SECOND
        while alive.held.renewed_at == before:  # noqa: ASYNC110 - the renewal changes it
            await asyncio.sleep(0.01)

    assert await alive.store.read(_expires_at, made.id) == NOW + 15 * SECOND + LEASE
    assert alive.held.rows() == []


async def test_a_lease_that_was_lost_is_not_renewed(
    programs: tuple[Services, Services, Clock], new_event: Callable[..., NewEvent]
) -> None:
    late, other, clock = programs
    await late.store.record(new_event())
    (mine,) = await _claim(late, Queue.PROPOSE)
    clock.now += KILLED
    (theirs,) = await _claim(other, Queue.PROPOSE)

    with late.held.working(mine.held):
        clock.now += 10 * SECOND
        await _claim(late, Queue.PROPOSE)
    clock.now += LEASE - 9 * SECOND  # their lease, and no longer

    assert _keys(await _claim(late, Queue.PROPOSE)) == {theirs.held.key}


class _Overtaken:
    """Who may decide: whoever taps. Another program takes the approval over while this one is asked."""

    def __init__(self, made: Line) -> None:
        self._made = made

    async def refusal(self, *_asked: object, by_id: bool) -> None:
        store, later = self._made.store, self._made.clock() + KILLED
        taken: Any = {"token": "rival", "now": later, "until": later + LEASE, "limit": 9}
        (theirs,) = await store.do(claim_pending_approvals, **taken)
        done: Any = {"token": "rival", "result": "refused", "at": later}
        assert await store.do(close_pending_approval, theirs.id, **done)


async def test_an_approval_that_another_program_took_over_decides_nothing_for_the_first(
    database_url: str, tmp_path: Path
) -> None:
    async with line(tmp_path, url=database_url) as made:
        ada = stock.add_customer(made.shop, "Ada", "ada@example.com", address={"country": "DE"})
        bought = made.shop.get("products", made.polar.order()["product_id"])
        order = stock.add_order(made.shop, ada, bought)
        made.shop.take()
        tell_order(made.shop, "order.paid", order)
        await made.deliver()
        (asked,) = await made.proposals()
        tap = PendingApproval("tap", asked.id, asked.revision, "U1", "button", made.clock())
        slow: Any = replace(made.services, authority=_Overtaken(made))  # type: ignore[arg-type]  # a fake
        [answer] = await approve_all(slow, [tap], None)
        decided = await made.store.do(decisions_of, asked.id)
        result = await made.store.do(lambda c: c.execute(select(pending_approvals.c.result)).scalar())
        (after,) = await made.proposals()

    assert (answer.status, result) == (DecisionStatus.POSTPONED, "refused")
    assert (decided, after) == ([], asked)


def _expires_at(connection: Connection, proposal_id: str) -> datetime | None:
    own = select(proposals.c.lease_expires_at).where(proposals.c.id == proposal_id)
    found: datetime | None = connection.execute(own).scalar()
    return found


async def test_a_program_on_sqlite_and_a_command_beside_it_go_by_their_own_clock(sqlite_url: str) -> None:
    async with open_store(sqlite_url) as store:
        assert await clock_of(store, utc_now) is utc_now
        async with open_beside(sqlite_url) as command:
            assert await clock_of(command, utc_now) is utc_now


@pytest.mark.postgres
async def test_replicas_go_by_the_clock_of_the_database(postgres_url: str) -> None:
    """Here the database's clock is an hour ahead of this machine's; then it is set back."""
    await set_clock(postgres_url, "1 hour")
    async with open_store(postgres_url) as store:
        clock = await clock_of(store, utc_now)
        assert isinstance(clock, DatabaseClock)
        first, second = clock(), clock()
        await set_clock(postgres_url, "-1 hour")
        await clock.look(store)
        third = clock()

    hour, close = timedelta(hours=1), timedelta(minutes=1)
    assert abs(first - datetime.now(UTC) - hour) < close
    assert timedelta(0) <= second - first < close
    assert abs(third - datetime.now(UTC) + hour) < close


@pytest.mark.postgres
@pytest.mark.parametrize("ahead", ["47 seconds", "-1 hour"])
async def test_a_replica_whose_clock_is_off_refuses_to_start_in_words(postgres_url: str, ahead: str) -> None:
    async with open_store(postgres_url) as store:
        await require_right_clock(store, utc_now)
    await set_clock(postgres_url, ahead)
    async with open_store(postgres_url) as store:
        with pytest.raises(StoreClockOff, match="Set both by NTP"):
            await require_right_clock(store, utc_now)


async def test_the_only_program_has_no_other_clock_to_go_by(sqlite_url: str) -> None:
    async with open_store(sqlite_url) as store:
        await require_right_clock(store, lambda: utc_now() + timedelta(days=1))
