"""The buttons of what is done, failed or in doubt, over the wire: from Slack's tap to Polar and back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.demo.polar.errors import rule
from bot.demo.polar.standin import HANDLERS
from bot.demo.slack.state import Message
from tests.e2e.app_harness import JONAS, LENA, MAYA, World, eventually, proposals, words_of, world

INVOICE, KEY = "orders:generate_invoice", "license_keys:update"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def offers(line: World, card: Message, *actions: str) -> Message:
    """Wait until the card has these buttons."""
    wanted = set(actions)
    await line.slack.wait_until(lambda: wanted <= set(line.shown(card).action_ids), 10)
    return line.shown(card)


def keys(line: World) -> set[str]:
    """How the keys of the refunded order stand, by their updates."""
    return {each["status"] for each in line.polar.shop.tables["license-keys"].values()}


async def test_undo_after_a_restart_gives_the_keys_back_and_says_who_did(line: World) -> None:
    async with line.app():
        card = await line.ask("order.refunded")
        await line.tap(card)
        await line.says(card, "Done: ")
        await offers(line, card, "undo")
    before = len(line.writes)
    async with line.app() as app:
        await line.tap(card, "undo", JONAS)
        await line.says(card, "Undone: ")
        told = await line.replied(card, 2)
        found = await proposals(app)

    assert {each.body["status"] for each in line.writes[before:]} == {"granted"}
    assert len(line.writes) == 2 * before
    assert "undo" not in line.shown(card).action_ids
    assert f"<@{JONAS}>" in words_of(line.shown(card))
    assert any(text.startswith("Undone by") for text in told)
    assert sorted(each.has_card for each in found) == [False, True]
    assert [each.ts for each in line.cards] == [card.ts]


async def test_two_who_tap_undo_undo_once_and_a_stranger_does_not(line: World) -> None:
    async with line.app():
        card = await line.ask("order.refunded")
        await line.tap(card)
        await line.says(card, "Done: ")
        await offers(line, card, "undo")
        before = len(line.writes)
        await line.tap(card, "undo", LENA)
        assert "may decide" in await line.ephemeral_text(LENA)
        await line.tap(card, "undo", JONAS)
        await line.slack.click(MAYA, card.channel, card.ts, "undo")
        await line.says(card, "Undone: ")

    assert len(line.writes) == 2 * before


async def test_an_undo_that_fails_gets_its_own_card_with_retry(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_call: object) -> None:
        raise rule(409, "Conflict", "The moon is in the wrong phase.")

    async with line.app():
        card = await line.ask("order.refunded")
        await line.tap(card)
        await line.says(card, "Done: ")
        await offers(line, card, "undo")
        with monkeypatch.context() as patched:
            patched.setitem(HANDLERS, KEY, refuse)
            await line.tap(card, "undo")
            own = await line.slack.wait_for_message(lambda m: m.text.startswith("Failed: Undo: "), 10)
        assert "The moon is in the wrong phase." in words_of(own)
        await offers(line, own, "retry")
        await line.tap(own, "retry", JONAS)
        await line.says(own, "Done: Undo: ")
        await line.says(card, "Undone: ")

    assert len(line.cards) == 2


async def test_retry_after_a_restart_once_the_reason_is_mended(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid.bare")
        await line.tap(card)
        await line.says(card, "Failed: ")
        await offers(line, card, "retry")
    order = list(line.polar.shop.tables["orders"].values())[-1]
    line.polar.shop.change(order, billing_name="Ada", billing_address={"country": "DE"})
    async with line.app():
        await line.tap(card, "retry", LENA)
        assert "may decide" in await line.ephemeral_text(LENA)
        await line.tap(card, "retry")
        await line.slack.click(JONAS, card.channel, card.ts, "retry")
        await line.says(card, "Done: ")

    assert [each.status for each in line.writes] == [422, 202]
    assert order["is_invoice_generated"] is True


async def test_check_again_tells_the_person_and_the_card(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.polar.fail_next("drop-before", only=INVOICE)
        await line.tap(card)
        await line.says(card, "No answer: ")
        await offers(line, card, "check", "mark_done", "mark_not_done")
        await line.tap(card, "check", JONAS)
        assert "no trace" in await line.ephemeral_text(JONAS)
        line.polar.shop.change(list(line.polar.shop.tables["orders"].values())[-1], is_invoice_generated=True)
        await line.tap(card, "check", MAYA)
        await line.says(card, "Done: ")

    assert len(line.writes) == 1


@pytest.mark.parametrize(("action", "start"), [("mark_done", "Done: "), ("mark_not_done", "Failed: ")])
async def test_after_a_restart_a_persons_word_settles_it_and_is_shown(
    line: World, action: str, start: str
) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.polar.fail_next("drop-before", only=INVOICE)
        await line.tap(card)
        await line.says(card, "No answer: ")
        await offers(line, card, action)
    async with line.app() as app:
        await line.tap(card, action, LENA)
        assert "may decide" in await line.ephemeral_text(LENA)
        await line.tap(card, action, JONAS)
        settled = await line.says(card, start)
        assert "says that it was" in words_of(settled)
        if action == "mark_not_done":
            await offers(line, card, "retry")
            await line.tap(card, "retry")
            await line.says(card, "Done: ")
        await eventually(lambda: _settled(app))

    assert len(line.writes) == (1 if action == "mark_done" else 2)


async def _settled(app) -> bool:
    return all(each.state == "succeeded" for each in await proposals(app))
