"""Screens, reports and scrapes beside the writer, over the wire: none waits for a write, no write for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from bot.app import Running
from bot.listeners.commands import COMMANDS
from store.events.events import all_events, get_event
from store.models import NewEvent
from tests.e2e.app_harness import MAYA, World, eventually, proposals, words_of, world
from tests.fixtures.conversation import choose, words_in
from tests.fixtures.gate import Gate

LOOKS = sorted(set(COMMANDS) - {"propose", "pause", "resume"})


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@asynccontextmanager
async def held_writer(app: Running) -> AsyncIterator[None]:
    """The writer stands in a transaction until the block ends."""
    gate = Gate()
    holding = asyncio.ensure_future(app.services.store.do(gate))
    await gate.entered.wait()
    try:
        yield
        assert not holding.done()
    finally:
        gate.open()
        await holding


async def asked(line: World, words: str) -> str:
    """What `/polar words` answers."""
    known = len(line.slack.ephemerals(MAYA))
    assert (await line.slack.command(MAYA, "/polar", words)).acked
    await line.slack.wait_until(lambda: len(line.slack.ephemerals(MAYA)) > known, 5)
    return words_of(line.slack.ephemerals(MAYA)[-1])


async def scraped(app: Running) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{app.metrics_url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_every_screen_answers_while_the_writer_is_held(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        [waiting] = await proposals(app)
        async with held_writer(app):
            said = {word: await asked(line, word) for word in LOOKS}
            shown = await asked(line, f"show {waiting.id}")
            line.slack.open_home(MAYA)
            await line.slack.wait_until(lambda: line.slack.home(MAYA) is not None, 5)
            details = words_in(await choose(line, card, "details"))
            metrics = await scraped(app)

    assert waiting.title in said["queue"]
    assert waiting.title in shown
    assert "Decide next" in words_in(line.slack.home(MAYA))
    assert waiting.id in details
    assert 'polar_approvals_proposals{state="pending"} 1.0' in metrics
    assert [word for word, text in said.items() if "could not" in text.casefold()] == []


async def test_a_webhook_is_recorded_while_an_export_is_under_way(line: World) -> None:
    async with line.app() as app:
        now = app.services.clock()
        many = [NewEvent(f"many_{n}", "benefit.updated", b"{}", "", now, now) for n in range(1_200)]
        await asyncio.gather(*map(app.services.store.record, many))
        begun, go_on = asyncio.Event(), asyncio.Event()

        def export(connection: Connection) -> list[str]:
            ids = []
            for event in all_events(connection):
                ids.append(event.id)
                if not begun.is_set():
                    begun.set()
                    await_only(go_on.wait())
            return ids

        exporting = asyncio.ensure_future(app.services.store.read(export))
        await begun.wait()
        late = line.play("order.refunded")

        async def on_disk() -> bool:
            return await app.services.store.read(get_event, late.id) is not None

        await eventually(on_disk)
        go_on.set()
        exported = await exporting

    assert len(exported) == 1_200
    assert late.id not in exported
