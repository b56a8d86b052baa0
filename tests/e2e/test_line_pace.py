"""What is done at once although nobody looks for it, and how many statements cards and taps cost."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.app import Running
from bot.pipeline import announce, worker
from bot.services import Queue
from store.proposals.proposals import touch
from tests.e2e.app_harness import JONAS, World, eventually, proposals, words_of, world
from tests.fixtures.executions import executed

MANY = 32


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


async def test_cards_of_a_burst_cost_two_statements_each_at_most(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cards are drawn here, and nothing else is at work meanwhile."""
    every = worker._workers
    monkeypatch.setattr(
        worker, "_workers", lambda of: [one for one in every(of) if one.queue is Queue.PROPOSE]
    )
    async with line.app() as app:
        for _ in range(MANY):
            line.play("order.paid")
        await eventually(lambda: _proposed(app))

        with executed(app.services.store) as statements:
            claimed = await announce.claim(app.services, MANY)
            await asyncio.gather(*(announce.announce(app.services, one) for one in claimed))

        assert len(line.cards) == len(claimed) == MANY
        assert all(one.card_ts for one in await proposals(app))
    assert len(statements) <= 2 * MANY


async def _proposed(app: Running) -> bool:
    return len(await proposals(app)) == MANY
