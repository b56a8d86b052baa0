"""Who may decide: everybody else is told who may, in words only they see, and nothing changes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.listeners import acknowledge
from bot.results import RefusalCode
from tests.e2e.app_harness import DORA, GUS, JONAS, LENA, MAYA, OMAR, World, eventually, proposals, world
from tests.fixtures.slack import change_group, change_role
from tests.fixtures.slack_http import forged_click


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def nothing_changed(line: World) -> bool:
    card = line.cards[0]
    return (
        card.action_ids == ["approve", "decline", "menu"]
        and not line.writes
        and not line.slack.thread(card.ts)
    )


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (LENA, "You are not an approver."),
        (GUS, "You are a guest here, and guests may not decide."),
        (OMAR, "You are not a member of this workspace."),
    ],
    ids=["stranger", "guest", "other workspace"],
)
@pytest.mark.parametrize("listed", [False, True], ids=["unlisted", "listed"])
@pytest.mark.parametrize("action", ["approve", "decline"])
async def test_who_may_not_decide_is_told_who_may(
    line: World, user: str, reason: str, *, listed: bool, action: str
) -> None:
    if listed and user != LENA:
        line.environment["APPROVERS"] += f",{user}"
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card, action, user)
        told = await line.ephemeral_text(user)
        [proposal] = await proposals(app)

        assert told.startswith(reason)
        assert "Nothing was changed." in told
        assert "jonas" in told
        assert "maya" in told
        assert proposal.state == "pending"
        assert await nothing_changed(line)


async def test_a_deactivated_user_may_not_decide_even_when_listed(line: World) -> None:
    line.environment["APPROVERS"] += f",{DORA}"
    async with line.app() as app:
        refusal = await app.services.authority.refusal(DORA, None)
        card = await line.ask("order.paid")
        # A client that has not heard of it yet: the tap arrives all the same.
        line.slack.workspace.users[DORA] = replace(line.slack.workspace.users[DORA], role="member")
        arrived = await forged_click(line.slack, DORA, card.channel, card.ts, "approve", value="p:1")
        [proposal] = await proposals(app)

    assert refusal is not None
    assert refusal.code is RefusalCode.DEACTIVATED
    assert arrived.acked
    assert proposal.state == "pending"
    assert await nothing_changed(line)


async def test_an_empty_list_means_that_nobody_may_decide(line: World) -> None:
    line.environment["APPROVERS"] = ""
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card)
        told = await line.ephemeral_text(MAYA)
        [proposal] = await proposals(app)

    assert "Nobody may decide: APPROVERS is empty" in told
    assert proposal.state == "pending"
    assert await nothing_changed(line)


async def test_members_of_a_listed_group_may_decide_for_as_long_as_they_are_in_it(line: World) -> None:
    line.environment["APPROVERS"] = "S0APPROVERS"
    async with line.app() as app:
        first, second = await line.ask("order.paid"), await line.ask("order.paid")
        await line.tap(first, user=LENA)
        assert "@approvers may decide" in await line.ephemeral_text(LENA)
        await line.tap(first, user=JONAS)
        await line.says(first, "Done: ")

        change_group(line.slack, "S0APPROVERS", [LENA])
        await line.slack.drain_events()
        await line.tap(second, user=JONAS)
        assert "You are not an approver." in await line.ephemeral_text(JONAS)
        await line.tap(second, user=LENA)
        await line.says(second, "Done: ")

        decided = {each.decided_by for each in await proposals(app)}

    assert decided == {JONAS, LENA}


async def test_somebody_who_becomes_a_guest_may_no_longer_decide(line: World) -> None:
    async with line.app():
        first, second = await line.ask("order.paid"), await line.ask("order.paid")
        await line.tap(first)
        await line.says(first, "Done: ")
        change_role(line.slack, MAYA, "guest")
        await line.slack.drain_events()
        await line.tap(second)
        assert "guests may not decide" in await line.ephemeral_text(MAYA)

    assert len(line.writes) == 1


async def test_when_slack_does_not_say_who_it_is_nobody_decides(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        app.services.authority.forget(MAYA)
        line.slack.fail_next("users.info", "server_error")
        await line.tap(card)
        told = await line.ephemeral_text(MAYA)
        assert await nothing_changed(line)
        await line.tap(card)
        await line.says(card, "Done: ")

    assert "Try again in a moment" in told


async def test_a_stop_waits_for_a_decline_that_slack_has_the_answer_to(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledge, "ACK_WITHIN", 0.05)
    async with line.app() as app:
        card = await line.ask("order.paid")
        app.services.authority.forget(MAYA)
        line.slack.fail_next("users.info", "slow", seconds=1)
        await line.tap(card, "decline")
        assert [each.state for each in await proposals(app)] == ["pending"]
    async with line.app() as app:
        assert [each.state for each in await proposals(app)] == ["declined"]


@pytest.mark.parametrize(
    "value", ["pnosuchthing:1", "", ":", "p" * 2_000, "'; DROP TABLE proposals; --", None]
)
async def test_a_forged_button_decides_nothing(line: World, value: str | None) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        clicked = await forged_click(line.slack, MAYA, card.channel, card.ts, "approve", value=value)
        assert clicked.acked
        assert "is not in the database" in await line.ephemeral_text(MAYA)
        [proposal] = await proposals(app)

    assert proposal.state == "pending"
    assert await nothing_changed(line)


async def test_whoever_taps_an_unknown_button_is_told_that_its_proposal_is_not_there(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        await forged_click(line.slack, MAYA, card.channel, card.ts, "snooze", value="x")
        assert "is not in the database" in await line.ephemeral_text(MAYA)


async def test_the_second_decider_is_told_who_was_first(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        value = card.blocks[-1]["elements"][1]["value"]
        await line.tap(card, "approve", MAYA)
        await line.says(card, "Done: ")
        # Jonas still sees the old card.
        await forged_click(line.slack, JONAS, card.channel, card.ts, "decline", value=value)
        told = await line.ephemeral_text(JONAS)
        [proposal] = await proposals(app)

    assert told == f"<@{MAYA}> was first. Its state is “done”. Nothing was changed."
    assert (proposal.state, proposal.decided_by) == ("succeeded", MAYA)
    assert line.cards[0].text.startswith("Done: ")


async def test_of_two_taps_at_once_one_counts_and_the_other_is_told(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        taps = [line.slack.click(who, card.channel, card.ts, "approve") for who in (MAYA, JONAS)]
        assert all(clicked.acked for clicked in await asyncio.gather(*taps))
        await line.says(card, "Done: ")
        await eventually(lambda: _told(line))
        [proposal] = await proposals(app)

    [loser] = {MAYA, JONAS} - {str(proposal.decided_by)}
    assert f"<@{proposal.decided_by}> was first." in line.slack.ephemerals(loser)[0].text
    assert len(line.writes) == 1


async def _told(line: World) -> bool:
    return bool(line.slack.ephemerals(MAYA) or line.slack.ephemerals(JONAS))


async def test_the_command_and_the_home_tab_show_what_waits(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        answer = await line.slack.command(LENA, "/polar")
        assert answer.acked, answer.error
        line.slack.open_home(LENA)
        await line.slack.wait_until(lambda: line.slack.home(LENA))

    home = line.slack.home(LENA)
    assert home is not None
    assert card.text.removesuffix("?") in str(home.content)
    assert "Generate the invoice" in str(line.slack.ephemerals(LENA)[0].blocks)
