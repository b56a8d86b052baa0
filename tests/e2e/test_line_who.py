"""Who decides what: classes and rules that name their own, two people, holds; and what each is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.slack.client import SlackUser
from bot.ui.ephemeral import decision
from store.proposals.proposals import touch
from tests.e2e.app_harness import (
    DORA,
    GUS,
    JONAS,
    LENA,
    MAYA,
    OMAR,
    World,
    words_of,
    world,
)
from tests.e2e.deciding import decisions, only, policy, told
from tests.fixtures.slack import change_group, change_role
from tests.fixtures.slack_http import forged_click


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def test_two_different_people_are_needed_where_the_policy_says_so(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[two_people]\nrisk = ["R1"]\n')
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card)
        first = await told(line, MAYA)
        await line.tap(card)
        again = await told(line, MAYA, 2)
        waiting = await only(app)
        nothing_yet = list(line.writes)
        await line.tap(line.shown(card), user=JONAS)
        await line.says(card, "Done: ")
        counted = await decisions(app)

    assert first.startswith("Your approval counts. Two approvers are needed. ")
    assert again.startswith("Your approval counts already.")
    assert (waiting.state, nothing_yet) == ("pending", [])
    assert [each.actor for each in counted] == [MAYA, JONAS]
    assert len(line.writes) == 1


async def test_the_yes_of_somebody_deactivated_since_no_longer_counts(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[two_people]\nrisk = ["R1"]\n')
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card, "approve", MAYA)
        await line.says(card, "One more yes")
        change_role(line.slack, MAYA, "deactivated")
        await line.tap(card, "approve", JONAS)
        said = await told(line, JONAS)
        found, counted = await only(app), await decisions(app)

    assert said.startswith(
        f"<@{MAYA}> approved this earlier but is no longer an approver, so that approval was removed."
    )
    assert "nobody else may decide this. It cannot be approved" in said
    assert (found.state, line.writes) == ("pending", [])
    assert [each.actor for each in counted] == [MAYA, JONAS]


async def test_where_two_are_wanted_and_one_may_decide_the_card_says_so(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, f'[two_people]\nrisk = ["R1"]\n[approvers]\nR1 = ["{MAYA}"]\n')
    async with line.app():
        card = await line.ask("order.paid")
        await line.tap(card, "approve", MAYA)
        said = await told(line, MAYA)

    assert "may decide. Two approvers are needed, so it cannot be approved" in words_of(card)
    assert said.startswith("Your approval counts. Two approvers are needed, and nobody else may decide this")


async def test_of_two_people_one_no_is_enough(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[two_people]\nrisk = ["R1"]\n')
    async with line.app():
        card = await line.ask("order.paid")
        await line.tap(card)
        await told(line, MAYA)
        await line.tap(line.shown(card), "decline", JONAS)
        await line.says(card, "Declined: ")

    assert line.writes == []


@pytest.mark.parametrize(
    ("table", "named", "source"),
    [
        (f'[approvers]\nR1 = ["{LENA}"]\n', True, "class R1"),
        ("[approvers]\nR1 = []\n", False, "class R1"),
        ('[approvers]\nR1 = ["S0APPROVERS"]\n', True, "class R1"),
        (f'[approvers]\nR4 = ["{LENA}"]\n', None, ""),
    ],
    ids=["a person", "nobody", "a group", "another class"],
)
async def test_a_class_may_name_who_alone_decides_it(
    line: World, tmp_path: Path, table: str, named: bool | None, source: str
) -> None:
    policy(line, tmp_path, table)
    change_group(line.slack, "S0APPROVERS", [LENA])
    async with line.app() as app:
        card = await line.ask("order.paid")
        shown = words_of(card)
        await line.tap(card, user=LENA if named is None else MAYA)
        said = await told(line, LENA if named is None else MAYA)
        if named is not False:
            await line.tap(card, user=MAYA if named is None else LENA)
            await line.says(card, "Done: ")
        decided_by = (await only(app)).decided_by

    assert said.startswith("You are not an approver. Nothing was changed.")
    if named is False:
        assert f"Nobody may decide: approvers of {source} is empty" in said
        assert "Nobody may decide" in shown
    assert decided_by == {True: LENA, False: None, None: MAYA}[named]


RULE = """
[[rule]]
name = "mine"
on = ["order.paid"]
operation = "orders:update"
path = { id = "${data.id}" }
body = { billing_name = "Ada" }
title = "Call it Ada's?"
approvers = APPROVERS

[[rule]]
name = "generate-invoice"
enabled = false
"""


def approvers(*named: str) -> str:
    """The rules file whose rule names these people."""
    return RULE.replace("APPROVERS", str(list(named)))


@pytest.mark.parametrize(
    ("then", "now", "decides"),  # of `decides`, the first may not, the second may
    [
        ([LENA], [LENA, JONAS], (JONAS, LENA)),  # whoever is new decides what comes from now on
        ([LENA, JONAS], [JONAS], (LENA, JONAS)),  # whoever was taken off decides nothing any more
        ([LENA, JONAS], [MAYA, JONAS], (MAYA, JONAS)),
        ([LENA], [JONAS], (LENA, JONAS)),  # nobody is on both: the rule in force decides
        (["S0APPROVERS"], [JONAS], (LENA, JONAS)),
        ([LENA, JONAS], [], (LENA, JONAS)),  # it names nobody: APPROVERS, who are Maya and Jonas
    ],
)
async def test_the_rule_that_made_it_and_the_rule_in_force_both_say_who_decides(
    line: World, tmp_path: Path, then: list[str], now: list[str], decides: tuple[str, str]
) -> None:
    refused, may = decides
    change_group(line.slack, "S0APPROVERS", [LENA, JONAS])
    policy(line, tmp_path, approvers(*then))
    async with line.app():
        card = await line.ask("order.paid")
    policy(line, tmp_path, approvers(*now).replace("Call it", "Is it"))  # another version also without
    async with line.app() as app:
        await line.tap(card, user=refused)
        said = await told(line, refused)
        await line.tap(card, user=may)
        await line.says(card, "Done: ")
        decided_by = (await only(app)).decided_by

    assert said.startswith("You are not an approver. Nothing was changed. ")
    assert f"{'lena' if may == LENA else 'jonas'} may decide" in said
    assert decided_by == may


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        (LENA, "You are not an approver."),
        (GUS, "You are a guest here, and guests may not decide."),
        (OMAR, "You are not a member of this workspace."),
    ],
    ids=["stranger", "guest", "Slack Connect"],
)
async def test_who_is_refused_on_one_way_in_is_refused_on_all(line: World, user: str, reason: str) -> None:
    async with line.app() as app:
        await line.ask("order.paid")
        proposal = await only(app)
        team = app.services.authority.team_id
        answers = [
            await app.approvals.approve(SlackUser(user, team), proposal.id, via="thread"),
            await app.approvals.decline(SlackUser(user, team), proposal.id, via="thread"),
            await app.approvals.undo(SlackUser(user, team), proposal.id, via="thread"),
            await app.approvals.approve(SlackUser(user, None), proposal.id, via="cli"),
            await app.approvals.approve(SlackUser(DORA, None), proposal.id, via="cli"),
        ]
        after = await only(app)

    assert [answer.status for answer in answers] == ["refused"] * 5
    assert all(decision(answer).plain.startswith(reason) for answer in answers[:4])
    assert decision(answers[4]).plain.startswith("Your account is deactivated or is a bot.")
    assert (after.state, after.row_version) == (proposal.state, proposal.row_version)


async def test_while_slack_is_away_the_command_line_takes_those_listed_by_id(line: World) -> None:
    async with line.app() as app:
        await line.ask("order.paid")
        proposal = await only(app)
        for _ in range(2):
            line.slack.fail_next("users.info", "server_error")
        app.services.authority.forget(MAYA)
        app.services.authority.forget(LENA)
        stranger = await app.approvals.approve(SlackUser(LENA, None), proposal.id, via="cli")
        listed = await app.approvals.approve(SlackUser(MAYA, None), proposal.id, via="cli")

    assert (stranger.status, listed.status) == ("unchecked", "approved")
    assert decision(listed).plain == "Approved. It runs now. Its card shows the result."


async def test_who_changed_what_it_asks_does_not_approve_that_alone(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        proposal = await only(app)
        await app.services.store.do(touch, proposal.id, app.services.clock(), edited_by=MAYA)
        await line.tap(card)
        said = await told(line, MAYA)
        await line.tap(card, user=JONAS)
        await line.says(card, "Done: ")
        decided_by = (await only(app)).decided_by

    assert said.startswith("You edited what this asks, so somebody else must approve it.")
    assert decided_by == JONAS


async def test_what_is_pinned_is_not_approved_but_may_be_declined(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        proposal = await only(app)
        await app.services.store.do(touch, proposal.id, app.services.clock(), held_by=JONAS)
        await forged_click(line.slack, MAYA, card.channel, card.ts, "approve", value=f"{proposal.id}:1")
        said = await told(line, MAYA)
        held = await only(app)
        await forged_click(line.slack, MAYA, card.channel, card.ts, "decline", value=f"{proposal.id}:1")
        await line.says(card, "Declined: ")

    assert said.startswith(f"This is on hold by <@{JONAS}>. Nothing was changed.")
    assert held.state == "pending"
