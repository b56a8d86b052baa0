"""Guests and people of other workspaces see no customer: not on the Home tab, not in what /polar answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.app_harness import GUS, MAYA, OMAR, World, words_of, world
from tests.e2e.deciding import only


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


@pytest.mark.parametrize("who", [GUS, OMAR])
async def test_the_home_tab_says_why_and_shows_nothing(line: World, who: str) -> None:
    async with line.app() as app:
        await line.ask("order.paid")
        line.slack.open_home(who)
        line.slack.open_home(MAYA)
        await line.slack.wait_until(lambda: line.slack.home(who) and line.slack.home(MAYA), 10)
        told, shown = line.slack.home(who), line.slack.home(MAYA)
        customer = (await only(app)).customer
    assert told is not None
    assert shown is not None
    assert len(told.content["blocks"]) == 1
    assert customer
    assert customer not in str(told.content)
    assert customer in str(shown.content)


@pytest.mark.parametrize("who", [GUS, OMAR])
@pytest.mark.parametrize("word", ["queue", "mine", "show p", "history", "rules", "trust", "status"])
async def test_what_polar_answers_is_for_those_who_work_here(line: World, who: str, word: str) -> None:
    async with line.app() as app:
        await line.ask("order.paid")
        proposal = await only(app)
        await line.slack.command(who, "/polar", word)
        await line.slack.wait_until(lambda: line.slack.ephemerals(who), 10)
        said = words_of(line.slack.ephemerals(who)[-1])
    assert "may not look at this" in said or "not a member of this workspace" in said
    assert proposal.title not in said


async def test_help_is_for_everybody(line: World) -> None:
    async with line.app():
        await line.slack.command(GUS, "/polar", "help")
        await line.slack.wait_until(lambda: line.slack.ephemerals(GUS), 10)
        assert "What may follow /polar" in words_of(line.slack.ephemerals(GUS)[-1])
