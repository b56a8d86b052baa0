"""Undo over the wire: it overwrites nothing newer, and takes as many people as what it takes back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.app import Running
from bot.demo.slack.state import Message
from bot.results import DecisionResult, DecisionStatus
from bot.ui.ephemeral import decision
from store.models import Proposal, ProposalState
from tests.e2e.app_harness import JONAS, LENA, MAYA, World, eventually, proposals, world
from tests.e2e.deciding import policy

KEYS = "order.refunded"
TWO = '[two_people]\nrisk = ["R2"]\n'


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def disabled(line: World) -> list[Any]:
    return [key for key in line.polar.shop.tables["license-keys"].values() if key["status"] == "disabled"]


async def undoing(app: Running) -> Proposal:
    async def there() -> Proposal | None:
        return next((p for p in await proposals(app) if p.undo_of_id and p.card_ts), None)

    found: Proposal = await eventually(there)
    return found


async def done_by_two(line: World) -> Message:
    card = await line.ask(KEYS)
    await line.tap(card, user=MAYA)
    await line.says(card, "One more yes")
    await line.tap(card, user=JONAS)
    return await line.says(card, "Done")


async def test_what_somebody_changed_since_is_not_overwritten(line: World) -> None:
    async with line.app():
        card = await line.ask(KEYS)
        await line.tap(card)
        await line.says(card, "Done")
        keys, sent = disabled(line), len(line.writes)
        line.polar.shop.change(keys[0], status="revoked")
        await line.tap(card, "undo")
        told = await line.ephemeral_text(MAYA)
        assert (told, len(line.writes)) == (
            decision(DecisionResult(DecisionStatus.CHANGED_SINCE)).mrkdwn,
            sent,
        )
        assert {key["status"] for key in keys} == {"revoked", "disabled"}

        line.polar.shop.change(keys[0], status="disabled")
        await line.tap(card, "undo")
        await line.says(card, "Undone")


async def test_what_is_changed_after_the_tap_is_not_overwritten_either(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, f'{TWO}[undo_window]\nR2 = "0s"\n')
    async with line.app() as app:
        card = await done_by_two(line)
        await line.tap(card, "undo", MAYA)
        waits = await undoing(app)
        own = line.slack.message(waits.card_ts or "")
        assert own is not None
        keys, sent = disabled(line), len(line.writes)
        line.polar.shop.change(keys[0], status="revoked")
        await line.tap(own, user=JONAS)
        await line.slack.wait_until(lambda: "changed at Polar since" in str(line.shown(own).blocks), 10)
        assert len(line.writes) == sent
        # It can be asked for anew, for nothing was undone.
        await line.slack.wait_until(lambda: "undo" in line.shown(card).action_ids, 10)


async def test_what_took_two_people_takes_two_to_take_back(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, TWO)
    async with line.app() as app:
        card = await done_by_two(line)
        await line.slack.wait_until(lambda: len(line.slack.ephemerals(MAYA)) == 1, 10)
        line.slack.fail_next("chat.postEphemeral", "slow", seconds=1)
        await line.tap(card, "undo", MAYA)
        assert len(line.slack.ephemerals(MAYA)) == 1  # Slack is answered once the undo is on disk
        await line.slack.wait_until(lambda: len(line.slack.ephemerals(MAYA)) == 2, 10)
        assert (
            line.slack.ephemerals(MAYA)[-1].text
            == decision(DecisionResult(DecisionStatus.UNDO_NEEDS_APPROVAL)).mrkdwn
        )
        waits = await undoing(app)
        own = line.slack.message(waits.card_ts or "")
        assert own is not None
        assert (waits.state, waits.has_card, waits.expires_at is None) == (ProposalState.PENDING, True, False)
        assert len(disabled(line)) == 2
        await line.tap(own, user=MAYA)
        await line.slack.wait_until(lambda: len(line.slack.ephemerals(MAYA)) == 3, 10)
        assert len(disabled(line)) == 2
        await line.tap(own, user=JONAS)
        await line.says(card, "Undone")
        assert disabled(line) == []


async def test_declined_it_can_be_asked_for_again(line: World, tmp_path: Path) -> None:
    policy(line, tmp_path, TWO)
    async with line.app() as app:
        card = await done_by_two(line)
        await line.tap(card, "undo", MAYA)
        own = line.slack.message((await undoing(app)).card_ts or "")
        assert own is not None
        await line.tap(own, "decline", JONAS)
        await line.slack.wait_until(lambda: "undo" in line.shown(card).action_ids, 10)
        await line.tap(card, "undo", JONAS)

        async def asked_again() -> bool:
            return len([p for p in await proposals(app) if p.undo_of_id]) == 2

        await eventually(asked_again)
        assert len(disabled(line)) == 2


async def test_who_may_decide_it_may_decide_its_undoing_and_nobody_else(line: World, tmp_path: Path) -> None:
    # The undoing is of another class than what it takes back.
    policy(line, tmp_path, f'{TWO}[approvers]\nR2 = ["{LENA}", "{JONAS}"]\nR1 = ["{MAYA}"]\n')
    async with line.app() as app:
        card = await line.ask(KEYS)
        await line.tap(card, user=LENA)
        await line.says(card, "One more yes")
        await line.tap(card, user=JONAS)
        await line.says(card, "Done")
        await line.tap(card, "undo", LENA)
        own = line.slack.message((await undoing(app)).card_ts or "")
        assert own is not None
        await line.tap(own, user=MAYA)
        assert "not an approver" in await line.ephemeral_text(MAYA)
        await line.tap(own, user=JONAS)
        await line.says(card, "Undone")
