"""The second way in: `python -m bot decide`, `pause` and `resume` beside the running program, and while Slack is down."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from store.graduation.case_kinds import paused
from store.models import ProposalState
from store.models.reasons import Reason, ReasonCode
from store.proposals.details import decisions_of
from tests.e2e.app_harness import JONAS, LENA, MAYA, World, proposals
from tests.e2e.app_harness import world as standing
from tests.fixtures.databases import set_clock
from tests.fixtures.store_beside import beside

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def world(tmp_path):
    async with standing(tmp_path) as found:
        yield found


async def decide(world: World, *arguments: str, slack: bool = True) -> tuple[int, str]:
    """Decide from the command line."""
    return await command(world, "decide", *arguments, slack=slack)


async def command(world: World, *arguments: str, slack: bool = True) -> tuple[int, str]:
    """Run a command with the program's own settings; its exit code and what it said."""
    environment = {**world.environment, "PYTHONPATH": str(ROOT)}
    if not slack:
        environment["SLACK_API_URL"] = "http://127.0.0.1:9/"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", *arguments),
        env=environment,
        cwd=world.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode().strip()


async def test_an_approval_from_the_command_line_runs_and_shows_on_the_card(world):
    async with world.app() as app:
        card = await world.ask("order.paid")
        (proposal,) = await proposals(app)

        code, said = await decide(world, proposal.id, "approve", "--as", MAYA)

        assert (code, "pproved" in said) == (0, True), said
        assert said.startswith(f"“{proposal.title}”: ")
        await world.says(card, "Done")
        assert len(world.writes) == 1
        code, said = await decide(world, proposal.id, "decline", "--as", MAYA)
        assert code == 1
        assert "Nothing was changed" in said


async def test_while_slack_is_down_being_listed_is_enough_and_being_nobody_is_not(world):
    world.environment["APPROVERS"] = MAYA
    async with world.app() as app:
        await world.ask("order.paid")
        (proposal,) = await proposals(app)

        code, said = await decide(world, proposal.id, "approve", "--as", LENA, slack=False)
        assert code == 1, said
        assert not world.writes
        code, said = await decide(
            world, proposal.id, "decline", "--as", MAYA, "--reason", "asked twice", slack=False
        )

        assert code == 0, said
        (proposal,) = await proposals(app)
        assert (proposal.state, proposal.decided_by) == (ProposalState.DECLINED, MAYA)
        assert proposal.status_reason == Reason(ReasonCode.GIVEN, {"text": "asked twice"})


async def test_without_the_program_it_is_decided_and_runs_once_that_starts(world):
    async with world.app() as app:
        card = await world.ask("order.paid")
        (proposal,) = await proposals(app)

    code, said = await decide(world, proposal.id, "approve", "--as", MAYA, slack=False)

    assert code == 0, said
    assert not world.writes
    async with world.app():
        await world.says(card, "Done")
        assert len(world.writes) == 1


async def test_it_goes_by_the_clock_of_the_database(world):
    """PostgreSQL's may differ from this machine's by an hour."""
    async with world.app() as app:
        await world.ask("order.paid")
        (proposal,) = await proposals(app)
    url, ahead = world.environment["DATABASE_URL"], timedelta(0)
    if url.startswith("postgresql"):
        ahead = timedelta(hours=1)
        await set_clock(url, "1 hour")

    code, said = await decide(world, proposal.id, "decline", "--as", MAYA, slack=False)

    assert code == 0, said
    async with beside(url) as store:
        (decision,) = await store.read(decisions_of, proposal.id)
    assert abs(decision.at - datetime.now(UTC) - ahead) < timedelta(minutes=10)


async def test_nonsense_is_refused_in_words(world):
    async with world.app():
        for arguments, words in (
            (("p0", "approve", "--as", MAYA), "There is no proposal p0"),
            (("p0", "approve", "--as", "maya"), "must be a Slack user id"),
            (("p0", "perhaps", "--as", MAYA), "invalid choice"),
        ):
            code, said = await decide(world, *arguments)
            assert code != 0
            assert words in said


@pytest.mark.sqlite
async def test_without_a_database_it_says_what_to_do(world):
    world.environment["DATABASE_URL"] += ".none"
    code, said = await decide(world, "p0", "approve", "--as", MAYA)

    assert code == 1
    assert "Start the program once" in said


async def test_automatic_runs_are_paused_and_resumed_from_the_command_line(world):
    async with world.app() as app:
        code, said = await command(world, "pause", "--as", LENA)
        assert code == 1
        assert said.startswith("You are not an approver.")
        code, said = await command(world, "pause", "--as", MAYA, "--because", "fraud", slack=False)
        assert (code, said.startswith("Paused: ")) == (0, True), said
        found = await app.services.store.read(paused)
        assert (found.by, found.why) == (MAYA, "fraud")
        code, said = await command(world, "pause", "--as", JONAS)
        assert (code, said.startswith("Paused already: ")) == (0, True), said

        code, said = await command(world, "resume", "--as", LENA)
        assert code == 1
        code, said = await command(world, "resume", "--as", JONAS, slack=False)
        assert (code, said.startswith("Resumed: ")) == (0, True), said
        assert await app.services.store.read(paused) is None
        code, said = await command(world, "resume", "--as", JONAS)
        assert (code, said.startswith("Nothing is paused.")) == (0, True), said
