"""What can come of an approved call, each shown on the card and in its thread, and never a second write."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from bot.demo.polar import PolarStandIn
from bot.demo.polar.errors import rule
from bot.demo.polar.standin import HANDLERS
from bot.services import Queue
from tests.e2e.app_harness import LENA, World, eventually, proposals, words_of, world

INVOICE = "orders:generate_invoice"


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def newest_order(line: World) -> dict:
    """The order that the last case made."""
    return list(line.polar.shop.tables["orders"].values())[-1]


async def test_what_is_no_longer_true_at_the_tap_is_withdrawn(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.polar.shop.change(newest_order(line), is_invoice_generated=True)
        await line.tap(card)
        withdrawn = await line.says(card, "Withdrawn: Generate the invoice")
        [told] = await line.replied(card)

    assert line.writes == []
    assert withdrawn.action_ids == ["menu"]
    assert "Nothing was done" in words_of(withdrawn)
    assert "it no longer applies." in words_of(withdrawn)
    assert "is_invoice_generated" not in words_of(withdrawn)
    assert told.startswith("Withdrawn")


async def test_an_object_that_is_gone_at_the_tap_is_withdrawn(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.polar.shop.remove("orders", newest_order(line)["id"])
        await line.tap(card)
        withdrawn = await line.says(card, "Withdrawn: ")

    assert line.writes == []
    assert "Polar does not have this object" in words_of(withdrawn)


async def test_polars_own_words_are_shown_when_it_refuses(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid.bare")
        await line.tap(card)
        failed = await line.says(card, "Failed: ")
        [told] = await line.replied(card)

    assert [each.status for each in line.writes] == [422]
    assert failed.action_ids == ["retry", "menu"]
    for shown in (words_of(failed), told):
        assert "Billing name and address are required to generate an invoice." in shown


@pytest.mark.parametrize(
    ("status", "name"),
    [(403, "RefundedAlready"), (404, "ResourceNotFound"), (409, "OrderNotEligibleForInvoice")],
)
async def test_every_kind_of_refusal_is_final(
    line: World, monkeypatch: pytest.MonkeyPatch, status: int, name: str
) -> None:
    def refuse(_call: object) -> None:
        raise rule(status, name, "The moon is in the wrong phase.")

    monkeypatch.setitem(HANDLERS, INVOICE, refuse)
    async with line.app() as app:
        card = await line.ask("order.paid")
        await line.tap(card)
        failed = await line.says(card, "Failed: ")
        [told] = await line.replied(card)
        [proposal] = await proposals(app)

    assert [each.status for each in line.writes] == [status]
    assert [call.state for call in proposal.calls] == ["refused"]
    assert "The moon is in the wrong phase." in words_of(failed)
    assert "The moon is in the wrong phase." in told


async def test_of_several_calls_the_refused_one_is_named(
    line: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = HANDLERS["license_keys:update"]

    def refuse_the_second(call):
        if len(line.writes) == 1:
            raise rule(409, "Conflict", "This key is on holiday.")
        return carry_out(call)

    monkeypatch.setitem(HANDLERS, "license_keys:update", refuse_the_second)
    async with line.app():
        card = await line.ask("order.refunded")
        await line.tap(card)
        failed = await line.says(card, "Failed: ")

    assert sorted(each.status for each in line.writes) == [200, 409]
    assert "This key is on holiday." in words_of(failed)
    assert "Of 2 calls: 1 done, 1 refused." in words_of(failed)


async def test_a_call_that_polar_puts_off_is_made_later_and_once(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.polar.fail_next("429", only=INVOICE, seconds=1)
        await line.tap(card)
        await line.slack.wait_until(lambda: "Trying again" in words_of(line.shown(card)))
        await line.says(card, "Done: ")
        [proposal] = await proposals(app)

    assert [each.status for each in line.writes] == [429, 202]
    assert proposal.attempts == 2


async def test_a_lost_answer_is_unknown_and_then_found_done_by_looking(line: World) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.polar.fail_next("drop-after", only=INVOICE)
        await line.tap(card)
        unknown = await line.says(card, "No answer: ")
        assert unknown.action_ids == ["check", "mark_done", "mark_not_done", "menu"]
        assert "It is not sent again" in words_of(unknown)
        app.services.notify(Queue.VERIFY)
        await line.says(card, "Done: ")
        told = await line.replied(card, 2)
        [proposal] = await proposals(app)

    assert len(line.writes) == 1
    assert proposal.state == "succeeded"
    assert [text.split()[0] for text in told] == ["No", "Done:"]
    assert "Polar shows that it was done" in told[1]


@pytest.mark.parametrize("fault", ["500-after", "500-before", "drop-before"])
async def test_an_answer_that_says_nothing_is_never_taken_for_a_no(line: World, fault: str) -> None:
    async with line.app() as app:
        card = await line.ask("order.paid")
        line.polar.fail_next(fault, only=INVOICE)
        await line.tap(card)
        await line.says(card, "No answer: ")
        app.services.notify(Queue.VERIFY)
        if fault == "500-after":
            await line.says(card, "Done: ")
        else:
            await line.polar.wait_for_request(
                lambda each: each.operation == "orders:get" and each.at > line.writes[0].at
            )
            assert line.shown(card).text.startswith("No answer: ")

    assert len(line.writes) == 1


async def test_a_refused_token_says_what_to_do(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.polar.token = "polar_oat_another"
        await line.tap(card)
        failed = await line.says(card, "Failed: ")

    assert line.writes == []
    assert "POLAR_ACCESS_TOKEN" in words_of(failed)
    assert "Not sent" in words_of(failed)
    assert "polar_oat_" not in words_of(failed)


async def test_a_missing_scope_is_named(tmp_path: Path) -> None:
    scopes = {"benefits:read", "license_keys:read"}
    async with world(tmp_path, polar={"scopes": scopes}) as line, line.app():
        card = await line.ask("order.refunded")
        await line.tap(card)
        failed = await line.says(card, "Failed: ")

    assert [each.status for each in line.writes] == [403]
    assert "lacks the scope license_keys:write" in words_of(failed)
    assert "Add the scope in Polar's settings" in words_of(failed)


class Gate:
    """Polar's address, with a Polar behind it that can be away: then connections are refused."""

    def __init__(self, polar: PolarStandIn) -> None:
        self._polar, self._runner = polar, None
        self.port = 0

    async def open(self) -> None:
        """Listen, at the same port as before."""
        app = web.Application()
        app.router.add_route("*", f"{self._polar.prefix}/v1/{{rest:.*}}", self._polar._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening and let go of every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def test_while_polar_is_away_the_card_says_so_and_the_call_is_made_when_it_is_back(
    line: World,
) -> None:
    gate = Gate(line.polar)
    await gate.open()
    line.environment["POLAR_API_URL"] = f"http://127.0.0.1:{gate.port}/polar"
    try:
        async with line.app() as app:
            card = await line.ask("order.paid")
            await gate.close()
            await line.tap(card)
            await line.slack.wait_until(lambda: "could not be reached" in words_of(line.shown(card)), 8)
            waiting = line.shown(card)
            [proposal] = await proposals(app)
            await gate.open()
            await line.says(card, "Done: ", 15)
    finally:
        await gate.close()

    assert waiting.text.startswith(("Approved: ", "Running: "))
    assert "Trying again" in words_of(waiting)
    assert proposal.state in {"approved", "executing"}
    assert len(line.writes) == 1


async def test_approving_while_slack_fails_still_calls_polar_and_the_card_catches_up(line: World) -> None:
    async with line.app():
        card = await line.ask("order.paid")
        line.slack.fail_next("chat.update", "server_error", times=2)
        await line.tap(card)
        await line.polar.wait_for_request(lambda each: each.operation == INVOICE)
        await line.says(card, "Done: ")

    assert len(line.writes) == 1


@pytest.mark.parametrize("fault", ["drop_after", "drop_before", "server_error", "ratelimited"])
async def test_a_card_whose_post_failed_is_there_once(line: World, fault: str) -> None:
    async with line.app() as app:
        line.slack.fail_next("chat.postMessage", fault)
        card = await line.ask("order.paid")
        await eventually(lambda: _noted(app))
        await line.tap(card)
        await line.says(card, "Done: ")

    assert len(line.cards) == 1


async def test_a_card_is_looked_for_until_slack_lets_us_look(line: World) -> None:
    async with line.app() as app:
        line.slack.fail_next("chat.postMessage", "drop_after")
        line.slack.fail_next("conversations.history", "ratelimited")
        card = await line.ask("order.paid")
        await eventually(lambda: _noted(app))

    assert [each.ts for each in line.cards] == [card.ts]


async def test_a_card_is_found_again_below_a_busy_channel(line: World) -> None:
    async with line.app() as app:
        line.slack.fail_next("chat.postMessage", "drop_after")
        card = await line.ask("order.paid")
        for number in range(250):
            line.slack.say(LENA, f"message {number}")
        await eventually(lambda: _noted(app))

    assert [each.ts for each in line.cards] == [card.ts]


async def _noted(app) -> bool:
    return all(each.card_ts is not None for each in await proposals(app))
