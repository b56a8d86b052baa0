"""Slack is answered by the listener itself: Bolt looks for no answer, on either transport."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from slack_bolt.listener import asyncio_runner

from tests.e2e.app_harness import MAYA, World, world


class Watched(ModuleType):
    """asyncio as Bolt's runner of listeners sees it, with the pauses that it makes."""

    def __init__(self) -> None:
        super().__init__("asyncio")
        self.pauses: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(seconds)


@pytest.fixture(params=["socket mode", "http mode"])
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world for either way in which Slack reaches the program."""
    async with world(tmp_path) as made:
        if request.param == "http mode":
            made.use_http()
        yield made


async def test_a_tap_and_a_command_are_acknowledged_without_a_poll(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched()
    monkeypatch.setattr(asyncio_runner, "asyncio", watched)
    async with line.app():
        card = await line.ask("order.paid")
        await line.tap(card)
        await line.says(card, "Done: ")
        command = await line.slack.command(MAYA, "/polar", "queue")
        assert command.acked, command.error

    assert watched.pauses == []
