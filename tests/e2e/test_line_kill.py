"""`kill -9` between any two steps and during a call: nothing is lost, nothing done twice, no card lies."""

import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.demo.slack.state import Message
from tests.e2e.app_harness import MAYA, World, words_of, world
from tests.e2e.lives import Killable

pytestmark = pytest.mark.sqlite

INVOICE = "orders:generate_invoice"
OUTCOMES = ("Done: ", "Failed: ", "No answer: ", "Withdrawn: ", "Declined: ")


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    # A person whose tap dies with the program waits three seconds for the warning sign; the tests do not.
    async with world(tmp_path, slack={"ack_timeout": 0.5}) as made:
        yield made


@asynccontextmanager
async def restarted(line: World, program: Killable) -> AsyncIterator[None]:
    """The program on the same database, to its end in good order."""
    program.start(line.environment)
    await line.reachable()
    yield
    assert await program.kill(signal.SIGTERM) == 0


def questions(card: Message) -> int:
    """How many proposals a card asks about."""
    if "approve_all" in card.action_ids:
        return int(card.text.split()[0])
    return int("approve" in card.action_ids)


async def to_the_end(line: World) -> Message:
    """What people do after the program came back: tap the card if it still asks, and wait for the outcome."""
    await line.slack.wait_until(lambda: line.cards, 10)
    [card] = line.cards
    if "approve" in card.action_ids:
        # The tap may have been stored before the program ended: then the buttons go by themselves.
        await line.slack.click(MAYA, card.channel, card.ts, "approve")
    await line.slack.wait_until(lambda: line.shown(card).text.startswith(OUTCOMES), 10)
    return line.shown(card)


def truth_is_told(line: World, card: Message, order_id: str) -> None:
    """The one card and Polar agree, whatever happened in between."""
    assert [each.ts for each in line.cards] == [card.ts]
    assert "approve" not in card.action_ids
    assert f"<@{MAYA}>" in words_of(card)
    done = line.polar.shop.tables["orders"][order_id]["is_invoice_generated"]
    assert len(line.writes) <= 1
    assert bool(line.writes) == done
    if card.text.startswith("Done: "):
        assert done
    else:
        assert card.text.startswith("No answer: "), words_of(card)
        assert "may or may not" in words_of(card)


BEFORE_THE_CARD = [
    ("before", "insert_events", 1),
    ("after", "insert_events", 1),
    ("after", "claim_events", 1),
    ("before", "conclude_events", 1),
    ("after", "conclude_events", 1),
    ("after", "claim_outgoing", 1),
    ("before", "cards_drawn", 1),
    ("after", "cards_drawn", 1),
]
AFTER_THE_TAP = [
    ("before", "add_pending_approvals", 1),
    ("after", "add_pending_approvals", 1),
    ("before", "decide_and_close", 1),
    ("after", "decide_and_close", 1),
    ("after", "claim_approved", 1),
    ("before", "begin_call", 1),
    ("after", "begin_call", 1),
    ("before", "end_call", 1),
    ("after", "end_call", 1),
    ("before", "finish_execution", 1),
    ("after", "finish_execution", 1),
    ("before", "cards_drawn", 2),
    ("after", "cards_drawn", 2),
    ("before", "cards_drawn", 3),
    ("after", "claim_outbox", 1),
    ("before", "outbox_sent", 1),
]


@pytest.mark.parametrize("step", BEFORE_THE_CARD, ids=lambda step: " ".join(map(str, step)))
async def test_killed_before_the_card_is_known(
    line: World, program: Killable, step: Sequence[object]
) -> None:
    program.start(line.environment, step)
    await line.reachable()
    event = line.play("order.paid")
    assert await program.ended() == -signal.SIGKILL

    async with restarted(line, program):
        card = await to_the_end(line)
        order_id = json.loads(event.told.payload)["data"]["id"]
        truth_is_told(line, card, order_id)
        assert card.text.startswith("Done: ")
        assert len(line.writes) == 1


@pytest.mark.parametrize("step", AFTER_THE_TAP, ids=lambda step: " ".join(map(str, step)))
async def test_killed_after_the_tap(line: World, program: Killable, step: Sequence[object]) -> None:
    program.start(line.environment, step)
    await line.reachable()
    card = await line.ask("order.paid")
    order_id = list(line.polar.shop.tables["orders"])[-1]
    await line.slack.click(MAYA, card.channel, card.ts, "approve")
    assert await program.ended() == -signal.SIGKILL

    async with restarted(line, program):
        card = await to_the_end(line)
        if line.writes and card.text.startswith("No answer: "):
            card = await line.says(card, "Done: ")
        truth_is_told(line, card, order_id)
        # Between noting that a call is sent and sending it nobody can tell; everywhere else it is done. (The
        # card is redrawn beside the call, so it may be at any point then.)
        if step[1] != "cards_drawn":
            assert card.text.startswith("No answer: " if step == ("after", "begin_call", 1) else "Done: ")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_while_an_approve_that_decides_nothing_is_closed(
    line: World, program: Killable, when: str
) -> None:
    program.start(line.environment, (when, "close_pending_approval", 1))
    await line.reachable()
    card = await line.ask("order.paid")
    for order in line.polar.shop.tables["orders"].values():
        order["is_invoice_generated"] = True
    await line.slack.click(MAYA, card.channel, card.ts, "approve")
    assert await program.ended() == -signal.SIGKILL

    async with restarted(line, program):
        await line.says(card, "Withdrawn: ")
    assert line.writes == []


@pytest.mark.parametrize("fault", ["slow", "drop-after", None], ids=["holds it", "has hung up", "answered"])
async def test_killed_while_polar_has_the_request(line: World, program: Killable, fault: str | None) -> None:
    program.start(line.environment)
    await line.reachable()
    card = await line.ask("order.paid")
    order_id = list(line.polar.shop.tables["orders"])[-1]
    if fault:
        line.polar.fail_next(fault, only=INVOICE, seconds=30)
    await line.tap(card)
    await line.polar.wait_for_request(lambda each: each.operation == INVOICE)
    await program.kill()

    async with restarted(line, program):
        await to_the_end(line)
        done = await line.says(card, "Done: ")
        truth_is_told(line, done, order_id)
        assert len(line.writes) == 1


async def test_killed_the_moment_a_webhook_is_answered(line: World, program: Killable) -> None:
    program.start(line.environment)
    await line.reachable()
    event = line.play("order.paid")
    await event.tried.wait()
    assert event.status == 202
    await program.kill()

    async with restarted(line, program):
        assert (await to_the_end(line)).text.startswith("Done: ")
    assert len(line.writes) == 1


async def test_killed_the_moment_a_card_is_posted(line: World, program: Killable) -> None:
    program.start(line.environment)
    await line.reachable()
    stop = line.slack.subscribe(lambda: line.cards and program.pid and os.kill(program.pid, signal.SIGKILL))
    line.play("order.paid")
    assert await program.ended() == -signal.SIGKILL
    stop()

    async with restarted(line, program):
        assert (await to_the_end(line)).text.startswith("Done: ")
    assert len(line.cards) == len(line.writes) == 1


@pytest.mark.parametrize("step", [("after", "put_in_bundle", 1), ("before", "bundle_drawn", 1)], ids=str)
async def test_a_bundle_that_a_kill_interrupts_is_posted_once(
    line: World, program: Killable, step: Sequence[object]
) -> None:
    program.start(line.environment, step)
    await line.reachable()
    events = [line.play("order.paid") for _ in range(12)]
    assert await program.ended(30) == -signal.SIGKILL

    async with restarted(line, program):
        for event in events:
            if not event.succeeded:
                line.polar.webhooks.redeliver(event)
        await line.slack.wait_until(lambda: sum(map(questions, line.cards)) == 12, 30)
    names = [str(each.metadata) for each in line.cards]
    assert len(set(names)) == len(names)


async def test_killed_between_two_calls_of_one_proposal(line: World, program: Killable) -> None:
    program.start(line.environment, ("before", "begin_call", 2))
    await line.reachable()
    card = await line.ask("order.refunded")
    await line.slack.click(MAYA, card.channel, card.ts, "approve")
    assert await program.ended() == -signal.SIGKILL
    assert len(line.writes) == 1

    async with restarted(line, program):
        await line.says(card, "Done: ")
    assert [each.status for each in line.writes] == [200, 200]
    assert len({each.path for each in line.writes}) == 2


async def test_what_was_done_before_the_kill_is_not_called_withdrawn(line: World, program: Killable) -> None:
    program.start(line.environment, ("before", "begin_call", 2))
    await line.reachable()
    card = await line.ask("order.refunded")
    await line.slack.click(MAYA, card.channel, card.ts, "approve")
    await program.ended()
    for grant in line.polar.shop.tables["benefit-grants"].values():
        line.polar.shop.change(grant, is_granted=False)

    async with restarted(line, program):
        done = await line.says(card, "Done: ")
    assert "Of 2 calls: 1 done, 1 skipped" in words_of(done)
    assert len(line.writes) == 1


async def test_one_proposal_survives_a_kill_at_every_step(line: World, program: Killable) -> None:
    decided = [(when, "decide_and_close", 1) for when in ("before", "after")]
    decided += [("after", "claim_approved", 1)]
    called = [("before", "begin_call", 1), ("before", "end_call", 1), ("after", "end_call", 1)]
    for life, step in enumerate([*BEFORE_THE_CARD, *decided, *called]):
        program.start(line.environment, step)
        await line.reachable()
        if life == 0:
            event = line.play("order.paid")
        elif not line.cards:
            # The case is told by two webhooks, and Polar waits longer after each try that met no program.
            line.polar.webhooks.redeliver(event)
        elif step in decided[:2]:
            await line.slack.click(MAYA, line.cards[0].channel, line.cards[0].ts, "approve")
        assert await program.ended() == -signal.SIGKILL

    async with restarted(line, program):
        card = await to_the_end(line)
        await line.says(card, "Done: ")
    assert len(line.cards) == len(line.writes) == 1


async def test_a_program_told_to_stop_lets_a_call_finish(line: World, program: Killable) -> None:
    program.start(line.environment)
    await line.reachable()
    card = await line.ask("order.paid")
    line.polar.fail_next("slow", only=INVOICE, seconds=0.7)
    await line.tap(card)
    await line.polar.wait_for_request(lambda each: each.operation == INVOICE)
    assert await program.kill(signal.SIGTERM) == 0

    async with restarted(line, program):
        await line.says(card, "Done: ")
    assert len(line.writes) == 1
