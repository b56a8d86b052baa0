"""What is done at once although nobody looks for it, and how many statements cards and taps cost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import Running
from bot.listeners.acknowledge import finish
from bot.pipeline import announce, execute, worker
from bot.services import Queue
from store.proposals.proposals import touch
from tests.e2e.app_harness import JONAS, World, eventually, proposals, words_of, world
from tests.fixtures.executions import executed

MANY = 32
INVOICE = "orders:generate_invoice"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def test_a_card_whose_proposal_changes_while_it_is_drawn_is_drawn_again_at_once(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.pipeline.worker._SOON", 60.0)  # nobody looks for what is behind by itself
    async with line.app() as app:
        line.slack.fail_next("chat.postMessage", "slow", seconds=0.5)
        line.play("order.paid")

        async def being_drawn() -> str | None:
            return next((one.id for one in await proposals(app) if one.card_sent_at is not None), None)

        drawn = await eventually(being_drawn)
        assert line.cards == []
        await app.services.store.do(touch, drawn, app.services.clock(), assignee=JONAS)

        await line.slack.wait_until(lambda: line.cards and f"<@{JONAS}>" in words_of(line.cards[0]), 10)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events become proposals by themselves; what follows is done by the test, and nothing else meanwhile."""
    every = worker._workers
    monkeypatch.setattr(
        worker, "_workers", lambda of: [one for one in every(of) if one.queue is Queue.PROPOSE]
    )


async def draw(app: Running) -> int:
    """Draw the cards of all proposals together; how many there were."""
    claimed = await announce.claim(app.services, MANY)
    await asyncio.gather(*(announce.announce(app.services, one) for one in claimed))
    return len(claimed)


@pytest.mark.usefixtures("quiet")
async def test_cards_of_a_burst_cost_two_statements_each_at_most(line: World) -> None:
    async with line.app() as app:
        for _ in range(MANY):
            line.play("order.paid")
        await eventually(lambda: _proposed(app, MANY))

        with executed(app.services.store) as statements:
            assert await draw(app) == MANY

        assert len(line.cards) == MANY
        assert all(one.card_ts for one in await proposals(app))
    assert len(statements) <= 2 * MANY


@pytest.mark.usefixtures("quiet")
async def test_a_tap_costs_forty_statements_at_most_until_polar_is_called(line: World) -> None:
    async with line.app() as app:
        line.play("order.paid")
        await eventually(lambda: _proposed(app, 1))
        await draw(app)
        line.polar.fail_next("slow", only=INVOICE, seconds=0.5)  # until it has answered, nothing is stored

        with executed(app.services.store) as statements:
            await line.tap(line.cards[0])
            await finish()
            [claimed] = await execute.claim(app.services, 1)
            running = asyncio.create_task(execute.execute(app.services, claimed))
            await line.polar.wait_for_request(lambda each: each.operation == INVOICE)
            until_called = list(statements)
            await running

    assert len(until_called) <= 40


async def _proposed(app: Running, count: int) -> bool:
    return len(await proposals(app)) == count
