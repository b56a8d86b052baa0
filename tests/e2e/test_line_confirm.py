"""Between the tap and the call: Polar is read again, two people, holds and Undo; and what each person is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.demo.slack.state import Message
from bot.slack.client import SlackUser
from store.models.reasons import Reason, ReasonCode
from store.proposals.decisions import PendingApproval, add_pending_approvals
from store.proposals.proposals import touch
from tests.e2e.app_harness import (
    JONAS,
    LENA,
    MAYA,
    World,
    proposals,
    world,
)
from tests.e2e.deciding import decisions, forget_a_key, only, policy, posted, told, value_of
from tests.fixtures.slack_http import forged_click


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


# --- Stale at the tap -----------------------------------------------------------------------------------


async def test_what_has_changed_is_asked_again_and_runs_after_a_second_tap(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.refunded")
        forget_a_key(line)
        before = value_of(card)
        await line.tap(card)
        first = await told(line, MAYA)
        await line.slack.wait_until(lambda: value_of(line.shown(card)) != before, 10)
        asked = await only(app)
        nothing_yet = list(line.writes)
        # An old copy of the card in Jonas's client: its button decides nothing.
        await forged_click(line.slack, JONAS, card.channel, card.ts, "approve", value=before)
        late = await told(line, JONAS)
        await line.tap(line.shown(card))
        await line.says(card, "Done: ")
        counted = await decisions(app)

    assert first == late
    assert first.startswith("This changed since the card you saw, so your decision was not counted.")
    assert nothing_yet == []
    assert (asked.state, asked.revision) == ("pending", 2)
    assert ("Does", "Disable a license key × 2", "Disable a license key") in asked.changes
    assert len(line.writes) == 1
    assert [(each.actor, each.revision) for each in counted] == [(MAYA, 2)]


async def test_what_no_longer_applies_is_withdrawn_at_the_tap_and_said(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        order = list(line.polar.shop.tables["orders"].values())[-1]
        line.polar.shop.change(order, is_invoice_generated=True)
        await line.tap(card)
        said = await told(line, MAYA)
        await line.says(card, "Withdrawn: ")
        counted = await decisions(app)

    assert said == "Nothing was done. Read again at the tap: it no longer applies."
    assert (line.writes, counted) == ([], [])


async def test_while_polar_is_slow_the_card_says_that_it_is_being_decided(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.polar.fail_next("slow", only="orders:get", seconds=1.5)
        await line.tap(card)
        deciding = await line.says(card, "Deciding: ")
        await line.says(card, "Done: ")

    assert "approve" not in deciding.action_ids


# --- Hold and undo --------------------------------------------------------------------------------------


async def test_what_is_on_hold_is_undone_in_time_and_never_runs(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[undo_window]\nR1 = "1h"\n')
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card)
        held = await line.says(card, "Approved: ")
        await line.tap(held, "undo", JONAS)
        await line.says(card, "Undone: ")
        proposal = await only(app)
        await forged_click(line.slack, MAYA, card.channel, card.ts, "undo", value=value_of(held, "undo"))
        late = await told(line, MAYA)

    assert "undo" in held.action_ids
    assert (proposal.state, proposal.status_reason) == (
        "withdrawn",
        Reason(ReasonCode.UNDONE_IN_TIME, {"actor": JONAS}),
    )
    assert late.startswith("There is nothing to undo here. Nothing was changed")
    assert line.writes == []


async def test_who_may_not_decide_may_not_undo(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[undo_window]\nR1 = "1h"\n')
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card)
        held = await line.says(card, "Approved: ")
        await line.tap(held, "undo", LENA)
        said = await told(line, LENA)
        proposal = await only(app)

    assert said.startswith("You are not an approver. Nothing was changed.")
    assert proposal.state == "approved"


async def test_a_hold_survives_a_restart_and_then_runs(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[undo_window]\nR1 = "2s"\n')
    async with line.app():
        card = await line.ask("order.paid")
        await line.tap(card)
        await line.says(card, "Approved: ")
    assert line.writes == []
    async with line.app():
        await line.says(card, "Done: ")

    assert len(line.writes) == 1


async def test_a_hold_survives_a_restart_and_can_be_undone(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, '[undo_window]\nR1 = "1h"\n')
    async with line.app():
        card = await line.ask("order.paid")
        await line.tap(card)
        await line.says(card, "Approved: ")
    async with line.app():
        await line.tap(line.shown(card), "undo")
        await line.says(card, "Undone: ")

    assert line.writes == []


# --- Forged, replayed, interrupted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "what"),
    [(":2", "stale"), (":0", "stale"), (":x", "stale"), (":1:1", "stale"), (":", "stale"),
     (":²", "stale"), (":" + "9" * 50, "stale"), ("", "counts")],
)  # fmt: skip
async def test_a_value_of_another_revision_decides_nothing(line: World, revision: str, what: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        proposal = await only(app)
        value = f"{proposal.id}{revision}"
        clicked = await forged_click(line.slack, MAYA, card.channel, card.ts, "approve", value=value)
        assert clicked.acked
        if what == "counts":  # a button older than revisions
            await line.says(card, "Done: ")
        else:
            assert (await told(line, MAYA)).startswith("This changed since the card you saw")
            assert ((await only(app)).state, line.writes) == ("pending", [])


async def test_a_press_that_slack_delivers_again_is_the_same_press(line: World) -> None:
    line.use_http()
    async with line.app() as app:
        card = await line.ask("order.paid")
        statuses = await posted(line, _press(line, card))
        await line.says(card, "Done: ")
        counted = await decisions(app)

    assert statuses == [200, 200, 200]
    assert [each.actor for each in counted] == [MAYA]
    assert len(line.writes) == 1
    assert line.slack.ephemerals(MAYA) == []


def _press(line: World, card: Message) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": MAYA, "team_id": line.slack.workspace.team.id},
        "team": {"id": line.slack.workspace.team.id},
        "container": {"type": "message", "message_ts": card.ts, "channel_id": card.channel},
        "actions": [
            {
                "type": "button",
                "action_id": "approve",
                "block_id": "b",
                "value": value_of(card),
                "action_ts": "1800000000.000100",
            }
        ],
    }


async def test_a_second_press_by_the_same_person_is_told_that_they_have_decided(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        value = value_of(card)
        await line.tap(card)
        await line.says(card, "Done: ")
        await forged_click(line.slack, MAYA, card.channel, card.ts, "approve", value=value)
        said = await told(line, MAYA)

    assert said == "You decided this already. Its state is “done”. Nothing was changed."


async def test_two_approvers_race_and_one_is_told_who_was_first(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.refunded")
        taps = [line.slack.click(who, card.channel, card.ts, "approve") for who in (MAYA, JONAS)]
        assert all(clicked.acked for clicked in await asyncio.gather(*taps))
        await line.says(card, "Done: ")
        proposal = await only(app)
        [loser] = {MAYA, JONAS} - {str(proposal.decided_by)}
        said = await told(line, loser)
        counted = await decisions(app)

    assert said.startswith(f"<@{proposal.decided_by}> was first.")
    assert len(counted) == 1
    assert len(line.writes) == 2  # one for each key, each once


@pytest.mark.sqlite
@pytest.mark.parametrize("stale", [False, True], ids=["as shown", "changed meanwhile"])
async def test_an_open_tap_is_seen_to_after_a_restart(line: World, stale: bool) -> None:
    async with line.app() as app:
        card = await line.ask("order.refunded")
        proposal = await only(app)
        now = app.services.clock()
        tap = PendingApproval("1:p", proposal.id, 1, MAYA, "button", now, channel=card.channel)
        until = now.replace(year=now.year + 1)
        await app.services.store.do(
            add_pending_approvals, [tap], token="of a program that was killed", until=until
        )
        if stale:
            forget_a_key(line)
    async with line.app() as app:
        if stale:
            assert (await told(line, MAYA)).startswith("This changed since the card you saw")
            assert ((await only(app)).revision, line.writes) == (2, [])
        else:
            await line.says(card, "Done: ")
            assert line.slack.ephemerals(MAYA) == []


FAULTS: dict[str, dict[str, Any]] = {
    "auth.test": {"kind": "slow", "seconds": 1.0},
    "users.info": {"kind": "server_error", "times": 2},
}


@pytest.mark.sqlite
@pytest.mark.parametrize("method", FAULTS)
async def test_a_tap_waits_after_a_restart_until_slack_says_who_it_was(line: World, method: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        proposal = await only(app)
        now = app.services.clock()
        tap = PendingApproval("1:p", proposal.id, 1, MAYA, "button", now, channel=card.channel)
        until = now.replace(year=now.year + 1)
        await app.services.store.do(
            add_pending_approvals, [tap], token="of a program that was killed", until=until
        )
        await app.services.store.do(
            touch, proposal.id, now, approval_checking_by=MAYA
        )  # Polar was being asked
        await line.says(card, "Deciding: ")
    line.slack.fail_next(method, **FAULTS[method])
    async with line.app() as app:
        await line.says(card, "Done: ")
        counted = await decisions(app)

    assert [(each.actor, each.via) for each in counted] == [(MAYA, "button")]
    assert line.slack.ephemerals(MAYA) == []


@pytest.mark.sqlite
async def test_a_tap_that_did_not_count_gives_the_card_its_buttons_back(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        proposal = await only(app)
        now = app.services.clock()
        tap = PendingApproval("1:p", proposal.id, 1, LENA, "button", now, channel=card.channel)
        until = now.replace(year=now.year + 1)
        await app.services.store.do(
            add_pending_approvals, [tap], token="of a program that was killed", until=until
        )
        await app.services.store.do(touch, proposal.id, now, approval_checking_by=LENA)
        await line.says(card, "Deciding: ")
    async with line.app():
        said = await told(line, LENA)
        await line.slack.wait_until(lambda: "approve" in line.shown(card).action_ids, 10)

    assert said.startswith("You are not an approver.")


async def test_slack_has_an_answer_once_a_decline_is_on_disk(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.slack.fail_next("users.info", "slow", seconds=1.5)
        await line.tap(card, "decline")
        at_the_answer = await only(app)

    assert at_the_answer.state == "declined"


async def test_of_many_proposals_one_press_decides_each(line: World) -> None:
    async with line.app() as app:
        cards = [await line.ask("order.paid") for _ in range(3)]
        person = SlackUser(MAYA, app.services.authority.team_id)
        found = await proposals(app)
        answers = [
            await app.approvals.approve(person, each.id, via="bundle", revision=1, interaction_id="press")
            for each in found
        ]
        again = await app.approvals.approve(
            person, found[0].id, via="bundle", revision=1, interaction_id="press"
        )
        for card in cards:
            await line.says(card, "Done: ")
        counted = await decisions(app)

    assert [answer.status for answer in answers] == ["approved"] * 3
    assert again.status == "repeated"
    assert {each.interaction_id for each in counted} == {"press"}
    assert len(counted) == 3
