"""The straight line for each default rule: an event, one card, a tap, the right call, a card that says so."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.app_harness import MAYA, World, proposals, words_of, world


@pytest.fixture(params=["socket mode", "http mode"])
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world for either way in which Slack reaches the program."""
    async with world(tmp_path) as made:
        if request.param == "http mode":
            made.use_http()
        yield made


@dataclass(frozen=True)
class Expected:
    """What a default rule makes of its event."""

    question: str
    operation: str
    changed: str
    body: dict[str, str] | None = None
    calls: int = 1


EXPECTED = {
    "order.paid": Expected(
        "Generate the invoice for $29.00 from ", "orders:generate_invoice", "invoice generated"
    ),
    "order.refunded": Expected(
        "Disable 2 license keys of ", "license_keys:update", "granted → disabled", {"status": "disabled"}, 2
    ),
    "benefit_grant.revoked": Expected(
        "Grant license key ", "license_keys:update", "revoked → granted", {"status": "granted"}
    ),
}


@pytest.mark.parametrize("case", EXPECTED)
async def test_an_event_becomes_one_card_and_a_tap_one_call(line: World, case: str) -> None:
    expected = EXPECTED[case]
    async with line.app() as app:
        card = await line.ask(case)
        [proposal] = await proposals(app)

        assert card.text.startswith(expected.question)
        assert "\n" not in card.text
        assert card.action_ids == ["approve", "decline", "menu"]
        assert [button["value"].partition(":")[0] for button in card.blocks[-1]["elements"][:2]] == [
            proposal.id
        ] * 2
        assert line.writes == []

        await line.tap(card)
        done = await line.says(card, f"Done: {expected.question}")
        thread = await line.replied(card)

    assert [each.operation for each in line.writes] == [expected.operation] * expected.calls
    assert [each.body for each in line.writes] == [expected.body] * expected.calls
    assert {each.headers["polar-version"] for each in line.writes} == {"2026-10"}
    assert all(each.status < 300 and expected.changed in (each.changed or "") for each in line.writes)
    assert not {"approve", "decline"} & set(done.action_ids)
    assert f"<@{MAYA}>" in words_of(done)
    assert len(thread) == 1
    assert thread[0].startswith("Done")
    assert len(line.cards) == 1


async def test_declining_is_one_tap_and_nothing_is_called(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card, "decline")
        declined = await line.says(card, "Declined: Generate the invoice")
        [proposal] = await proposals(app)

    assert declined.action_ids == ["reason", "menu"]
    assert "Nothing was done" in words_of(declined)
    assert f"<@{MAYA}>" in words_of(declined)
    assert proposal.state == "declined"
    assert line.writes == []


async def test_a_card_from_before_a_restart_still_works(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
    async with line.app():
        await line.tap(card)
        await line.says(card, "Done: ")

    assert len(line.writes) == 1
    assert len(line.cards) == 1


async def test_events_that_ask_nothing_make_no_card(tmp_path: Path) -> None:
    async with world(tmp_path) as quiet, quiet.app():
        quiet.play("order.refunded.partly")
        quiet.play("subscription.revoked")
        card = await quiet.ask("order.paid")

    assert [each.ts for each in quiet.cards] == [card.ts]


async def test_names_that_look_like_markup_stay_text(tmp_path: Path) -> None:
    async with world(tmp_path) as hostile, hostile.app():
        for _ in range(5):
            card = await hostile.ask("order.paid.hostile")
            assert not {"<!channel>", "<@U0000000001>", "<https://evil.example|Approve here>"} & set(
                card.text.split()
            )
            assert "<" not in card.text
            await hostile.tap(card)
            await hostile.says(card, "Done: ")


async def test_a_program_that_is_stopped_while_polar_is_called_finishes_that_call(tmp_path: Path) -> None:
    async with world(tmp_path) as line:
        async with line.app() as app:
            card = await line.ask("order.paid")
            line.polar.fail_next("slow", only="orders:generate_invoice", seconds=0.5)
            await line.tap(card)
            await line.polar.wait_for_request(lambda each: each.method != "GET")
        [write] = line.writes
        assert write.status == 202

        async with line.app() as app:
            await line.says(card, "Done: ")
            [proposal] = await proposals(app)

    assert proposal.state == "succeeded"
    assert [call.status for call in proposal.calls] == [202]
    assert len(line.writes) == 1
