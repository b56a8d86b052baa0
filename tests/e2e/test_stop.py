"""The program stops within ten seconds whatever is under way, and at once when it is told again."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo.polar.standin import Fault
from tests.e2e.app_harness import World
from tests.e2e.app_harness import world as harness
from tests.e2e.lives import Killable
from tests.e2e.test_strangers import HALF, holding

WITHIN = 10.0  # what a container gets by default between SIGTERM and SIGKILL


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A Slack and a Polar."""
    async with harness(tmp_path) as made:
        yield made


async def _busy(world: World, program: Killable) -> None:
    """Start it and have it wait for Polar, which does not answer an invoice for a minute."""
    program.start(world.environment)
    await world.reachable()
    card = await world.ask("order.paid")
    world.polar.fail_next(Fault.SLOW, only="orders:generate_invoice", seconds=60)
    await world.tap(card)
    await world.says(card, "Running")


@pytest.mark.timed
async def test_a_stop_waits_ten_seconds_at_most(world: World, program: Killable) -> None:
    await _busy(world, program)
    async with holding(world.app_url, 5, HALF), holding(world.app_url, 5):
        begun = time.monotonic()
        os.kill(program.pid, signal.SIGTERM)
        code = await program.ended()

    assert code == 0
    assert time.monotonic() - begun < WITHIN


@pytest.mark.timed
async def test_a_second_signal_ends_it_at_once(world: World, program: Killable) -> None:
    await _busy(world, program)
    os.kill(program.pid, signal.SIGTERM)
    while "stopping" not in (program.folder / "app.log").read_text():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    begun = time.monotonic()
    os.kill(program.pid, signal.SIGTERM)
    code = await program.ended()

    assert code == 1
    assert time.monotonic() - begun < 2
