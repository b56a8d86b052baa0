"""Restart in every state, in good order and by a power cut: the next tap on an old card works, first time.

Each case is a way into a state, over the wire, and the one tap that follows once another program runs on the
same database: it is acknowledged, and either it acts or the person is told in words why not.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot.demo.slack.people import App
from bot.demo.slack.state import Message
from bot.graduation.assessor import Assessor
from bot.policy import Policy
from store import open_store
from store.models import ProposalState
from store.proposals import all_proposals, propose_by_hand, touch
from store.shapes import get_shape, note_shape
from store.timers import expire
from store.trust_models import NewShape, Rehearsal
from store.trust_tables import shapes
from tests.e2e.app_harness import JONAS, MAYA, World, words_of, world
from tests.e2e.deciding import forget_a_key, policy, told, value_of
from tests.e2e.lives import Killable
from tests.talk_fixture import choose, filled, in_thread, send, words_in

BOT = f"<@{App().bot_user_id}>"
INVOICE = "orders:generate_invoice"
HOLD = '[hold]\nR1 = "1h"\n'
TWO = '[two_people]\nrisk = ["R1"]\n'
BOTH = ("stopped", "killed")
Bring = Callable[[World], Awaitable[Message]]
Tap = Callable[[World, Message], Awaitable[Any]]
Change = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """How a state is reached, and what is tapped after the restart.

    `first` is written to the database before the first program, `meanwhile` between the two.
    """

    bring: Bring
    tap: Tap
    rules: str = ""
    ends: tuple[str, ...] = BOTH
    first: Change | None = None
    meanwhile: Change | None = field(default=None)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


# --- Ways into a state --------------------------------------------------------------------------------------


def asked(case: str = "order.paid") -> Bring:
    return lambda line: line.ask(case)


def after(action: str, start: str, case: str = "order.paid") -> Bring:
    """The card was tapped and says how it stands now."""

    async def bring(line: World) -> Message:
        card = await line.ask(case)
        await line.tap(card, action)
        return await line.says(card, start)

    return bring


def offering(action: str, brought: Bring) -> Bring:
    """… and has this to tap."""

    async def bring(line: World) -> Message:
        card = await brought(line)
        await line.slack.wait_until(lambda: action in line.shown(card).action_ids, 10)
        return line.shown(card)

    return bring


async def restated(line: World) -> Message:
    card = await line.ask("order.refunded")
    forget_a_key(line)
    await line.tap(card)
    await told(line, MAYA)
    await line.slack.wait_until(lambda: ":2" in value_of(line.shown(card)), 10)
    return card


async def edited(line: World) -> Message:
    card = await line.ask("order.created.twice")
    await send(line, await choose(line, card, "edit"), **{"body.amount": {"value": "5.00"}})
    await line.slack.wait_until(lambda: ":2" in value_of(line.shown(card)), 10)
    return card


async def first_yes(line: World) -> Message:
    card = await line.ask("order.paid")
    await line.tap(card)
    await told(line, MAYA)
    return await line.says(card, "One more yes: ")


def chosen(name: str, said: str, **entered: Any) -> Bring:
    """Something of the menu was chosen, filled in and sent."""

    async def bring(line: World) -> Message:
        card = await line.ask("order.paid")
        await send(line, await choose(line, card, name), **entered)
        await in_thread(line, card, said)
        return card

    return bring


async def on_hold(line: World) -> Message:
    card = await line.ask("order.paid")
    line.slack.say(MAYA, f"{BOT} hold", thread_ts=card.ts)
    await line.says(card, "On hold: ")
    return card


async def being_decided(line: World) -> Message:
    card = await line.ask("order.paid")
    line.polar.fail_next("slow", only="orders:get", seconds=30)
    # Slack is answered once the tap is on disk, long before Polar answers.
    await line.tap(card)
    return await line.says(card, "Deciding: ")


async def put_off(line: World) -> Message:
    line.polar.fail_next("429", 50, only=INVOICE, seconds=3_600)
    return await offering("undo", after("approve", "Approved: "))(line)


async def running(line: World) -> Message:
    card = await line.ask("order.paid")
    line.polar.fail_next("slow", only=INVOICE, seconds=0.7)
    await line.tap(card)
    await line.polar.wait_for_request(lambda each: each.operation == INVOICE)
    return card


async def undone(line: World) -> Message:
    card = await offering("undo", after("approve", "Done: ", "order.refunded"))(line)
    await line.tap(card, "undo")
    return await line.says(card, "Undone: ")


async def refused(line: World) -> Message:
    card = await offering("retry", after("approve", "Failed: ", "order.paid.bare"))(line)
    order = list(line.polar.shop.tables["orders"].values())[-1]
    line.polar.shop.change(order, billing_name="Ada", billing_address={"country": "DE"})
    return card


async def in_doubt(line: World) -> Message:
    line.polar.fail_next("drop-before", only=INVOICE)
    return await offering("check", after("approve", "No answer: "))(line)


async def withdrawn(line: World) -> Message:
    card = await line.ask("order.paid")
    order = list(line.polar.shop.tables["orders"].values())[-1]
    line.polar.shop.change(order, is_invoice_generated=True)
    await line.tap(card)
    await told(line, MAYA)
    return await line.says(card, "Withdrawn: ")


async def bundled(line: World) -> Message:
    for _ in range(9):
        line.play("order.paid")
    card = await line.slack.wait_for_message(lambda each: "review" in each.action_ids, 30)
    await line.slack.wait_until(lambda: _asked_about(line) == 9, 30)
    while True:  # until it is noted that the card is there: a moment later than it is
        await line.tap(card, "review")
        view = await filled(line)
        await line.slack.close(MAYA, view.id)
        if "Own card for" in str(view.content):
            return card


def _asked_about(line: World) -> int:
    """How many proposals have a card, alone or with others."""
    alone = sum("approve" in each.action_ids for each in line.cards)
    together = [int(each.text.split()[0]) for each in line.cards if "review" in each.action_ids]
    return alone + sum(together)


async def home_open(line: World) -> Message:
    card = await line.ask("order.paid")
    line.slack.open_home(MAYA)
    await line.slack.wait_until(lambda: "approve" in str(line.slack.home(MAYA)), 10)
    return card


def modal_open(name: str, case: str = "order.paid") -> Bring:
    async def bring(line: World) -> Message:
        card = await line.ask(case)
        await choose(line, card, name)
        return card

    return bring


async def reason_open(line: World) -> Message:
    card = await offering("reason", after("decline", "Declined: "))(line)
    value = value_of_option(card, "reason").rpartition(":")[0] + ":other"
    await line.slack.click(MAYA, card.channel, card.ts, "reason", value=value)
    await filled(line)
    return card


async def review_open(line: World) -> Message:
    card = await bundled(line)
    await line.tap(card, "review")
    await line.slack.wait_until(lambda: line.slack.modals(MAYA), 10)
    return card


async def form_open(line: World) -> Message:
    card = await line.ask("order.paid")
    assert (await line.slack.command(MAYA, "/polar", "propose customer")).acked
    assert "What should be done" in words_in(await filled(line))
    return card


async def rules_shown(line: World) -> Message:
    card = await line.ask("order.paid")
    assert (await line.slack.command(MAYA, "/polar", "rules")).acked
    await line.slack.wait_until(lambda: line.slack.ephemerals(MAYA), 10)
    return card


# --- What is tapped then ------------------------------------------------------------------------------------


def tapped(action: str, start: str, user: str = MAYA) -> Tap:
    """Tap a button, and then the card says so."""

    async def tap(line: World, card: Message) -> None:
        await line.tap(card, action, user)
        await line.says(card, start)

    return tap


def told_on(action: str, part: str, user: str = JONAS) -> Tap:
    """Tap a button, as it stood on the card a moment ago; the person is told in words."""

    async def tap(line: World, card: Message) -> None:
        known = len(line.slack.ephemerals(user))
        await line.tap(card, action, user)
        assert part in await told(line, user, known + 1)

    return tap


async def overtaken(line: World, card: Message) -> None:
    """An open tap is seen to by itself; whoever taps beside it is told, and it runs once."""
    await line.tap(card, "approve", JONAS)
    await line.slack.wait_until(lambda: line.slack.ephemerals(JONAS) or line.slack.ephemerals(MAYA), 10)
    [said] = [*line.slack.ephemerals(JONAS), *line.slack.ephemerals(MAYA)]
    assert " was first. " in said.text or said.text.startswith("Somebody has just approved")
    await line.says(card, "Done: ")


async def beside_the_run(line: World, card: Message) -> None:
    await told_on("approve", f"<@{MAYA}> was first. ")(line, card)
    await line.says(card, "Done: ")


async def details(line: World, card: Message) -> None:
    assert "The question" in words_in(await choose(line, card, "details"))


async def why(line: World, card: Message) -> None:
    await line.tap(card, "why")
    assert "Had it been on for 90 days" in words_in(await filled(line))


async def preset(line: World, card: Message) -> None:
    value = value_of_option(line.shown(card), "reason")
    assert (await line.slack.click(MAYA, card.channel, card.ts, "reason", value=value)).acked
    await line.slack.wait_until(lambda: "They do not want one" in words_of(line.shown(card)), 10)


async def review(line: World, card: Message) -> None:
    await line.tap(card, "review")
    assert "Own card for…" in str((await filled(line)).content)


async def bundle_declined(line: World, card: Message) -> None:
    many = card.text.split()[0]
    await line.tap(card, "decline_all")
    await line.slack.wait_until(lambda: f"{many} declined" in line.shown(card).text, 15)


async def home_tap(line: World, card: Message) -> None:
    view = line.slack.home(MAYA)
    assert view is not None
    assert (await line.slack.view_click(MAYA, view.id, "approve")).acked
    await line.says(card, "Done: ")


async def snoozed(line: World, card: Message) -> None:
    await send(line, line.slack.modals(MAYA)[-1])
    await in_thread(line, card, "put this aside until")


async def amount_changed(line: World, card: Message) -> None:
    await send(line, line.slack.modals(MAYA)[-1], **{"body.amount": {"value": "5.00"}})
    await in_thread(line, card, "needs a decision of its own")


async def said_why(line: World, card: Message) -> None:
    await send(line, line.slack.modals(MAYA)[-1], text={"value": "They moved away"})
    await line.slack.wait_until(lambda: "They moved away" in words_of(line.shown(card)), 10)


async def reviewed(line: World, _: Message) -> None:
    view = line.slack.modals(MAYA)[-1]
    assert (await line.slack.submit(MAYA, view.id)).acked
    await line.slack.wait_until(lambda: words_in(line.slack.modals(MAYA)[-1]).startswith("Approved: "), 10)


async def turned_page(line: World, _: Message) -> None:
    view = line.slack.modals(MAYA)[-1]
    assert (await line.slack.view_click(MAYA, view.id, "details.next")).acked
    await line.slack.wait_until(lambda: line.slack.modals(MAYA)[-1].hash != view.hash, 5)
    assert "Back" in words_in(line.slack.modals(MAYA)[-1])


async def told_in_the_form(line: World, _: Message) -> None:
    """What was entered there lived in the program that is gone."""
    view = line.slack.modals(MAYA)[-1]
    [asks] = [block for block in view.content["blocks"] if block["type"] == "input"]
    option = asks["element"]["option_groups"][0]["options"][0]
    await send(line, view, **{asks["block_id"]: {"selected_option": option}})
    assert "Nothing was proposed" in words_in(line.slack.modals(MAYA)[-1])


async def next_rules(line: World, _: Message) -> None:
    shown = line.slack.ephemerals(MAYA)[-1]
    assert (await line.slack.click(MAYA, line.slack.channel, shown.ts, "rules.on")).acked
    await line.slack.wait_until(lambda: "page 2" in line.slack.ephemerals(MAYA)[-1].text, 5)


def value_of_option(card: Message, action: str) -> str:
    [element] = [
        each for block in card.blocks for each in block.get("elements", ()) if each.get("action_id") == action
    ]
    return str(element["options"][0]["value"])


# --- What is written to the database itself -----------------------------------------------------------------


def past_its_end(connection: Connection) -> None:
    """Nobody decided it in time."""
    now = datetime.now(UTC)
    for each in list(all_proposals(connection)):
        touch(connection, each.id, now, expires_at=now - timedelta(seconds=1))
    assert len(expire(connection, now=now)) == 1


def earned(connection: Connection) -> None:
    """A kind of case has met its bar: the program asks whether it may run on its own."""
    now = datetime.now(UTC)
    fields = {
        "action": [["POST", "/v1/orders/{id}/invoice", []]],
        "trigger": ["order.paid", "purchase"],
        "customer": {"dispute": False},
        "amount": None,
    }
    note_shape(connection, NewShape("a" * 64, "b" * 64, fields, "Generate the invoice", "R1"), now)
    counted = {"n": 200, "k": 0, "customers": 40, "first_at": now - timedelta(days=90), "clean_tail": 200}
    connection.execute(update(shapes).values(**counted))
    shape = get_shape(connection, "a" * 64)
    assert shape is not None
    offer = Assessor(Policy()).offer(shape, Rehearsal(40, 0, {}, None), now)
    assert propose_by_hand(connection, offer)


async def offered(line: World) -> Message:
    return await line.slack.wait_for_message(lambda each: "why" in each.action_ids, 10)


CASES = {
    "pending, approved": Case(asked(), tapped("approve", "Done: ")),
    "pending, declined": Case(asked(), tapped("decline", "Declined: ")),
    "restated": Case(restated, tapped("approve", "Done: ")),
    "edited": Case(edited, tapped("approve", "Approved: ", JONAS)),
    "first yes of two": Case(first_yes, tapped("approve", "Done: ", JONAS), TWO),
    "first yes of two, again": Case(first_yes, told_on("approve", "counts already", MAYA), TWO),
    "snoozed": Case(
        chosen("snooze", "put this aside", span={"selected_option": {"value": "4h"}}),
        tapped("approve", "Done: "),
    ),
    "assigned": Case(
        chosen("assign", "please decide", whom={"selected_user": JONAS}), tapped("approve", "Done: ", JONAS)
    ),
    "on hold, declined": Case(on_hold, tapped("decline", "Declined: ")),
    "on hold, approved": Case(on_hold, told_on("approve", f"on hold by <@{MAYA}>")),
    "being decided": Case(being_decided, overtaken),
    "approved with a hold": Case(
        offering("undo", after("approve", "Approved: ")), tapped("undo", "Undone: "), HOLD
    ),
    "approved, tried later": Case(put_off, tapped("undo", "Undone: ")),
    "running": Case(running, beside_the_run),
    "done": Case(after("approve", "Done: "), details),
    "done, decided again": Case(after("approve", "Done: "), told_on("decline", f"<@{MAYA}> was first. ")),
    "done, can be undone": Case(
        offering("undo", after("approve", "Done: ", "order.refunded")), tapped("undo", "Undone: ", JONAS)
    ),
    "undone": Case(undone, told_on("undo", "nothing to undo")),
    "failed": Case(refused, tapped("retry", "Done: ")),
    "unknown, checked": Case(in_doubt, told_on("check", "Nothing was ")),
    "unknown, marked": Case(in_doubt, tapped("mark_not_done", "Failed: ")),
    "declined": Case(offering("reason", after("decline", "Declined: ")), preset),
    "declined, decided again": Case(
        after("decline", "Declined: "), told_on("approve", f"<@{MAYA}> was first. It has been declined.")
    ),
    "expired": Case(asked(), told_on("approve", "It has expired."), meanwhile=past_its_end),
    "withdrawn": Case(withdrawn, told_on("approve", "It has been withdrawn.")),
    "bundle, declined": Case(bundled, bundle_declined),
    "bundle, reviewed": Case(bundled, review),
    "graduation, turned on": Case(offered, tapped("approve", "Turned on: "), first=earned),
    "graduation, why": Case(offered, why, first=earned),
    "Home tab open": Case(home_open, home_tap),
    "snooze open": Case(modal_open("snooze"), snoozed),
    "edit open": Case(modal_open("edit", "order.created.twice"), amount_changed),
    "details open": Case(modal_open("details"), turned_page),
    "reason open": Case(reason_open, said_why),
    "review open": Case(review_open, reviewed),
    "propose open": Case(form_open, told_in_the_form),
    "rules shown": Case(rules_shown, next_rules),
}


@pytest.mark.parametrize(("name", "end"), [(name, end) for name, case in CASES.items() for end in case.ends])
async def test_the_first_tap_after_a_restart_works(
    line: World, program: Killable, tmp_path: Path, name: str, end: str
) -> None:
    case = CASES[name]
    if case.rules:
        policy(line, tmp_path, case.rules)
    await _write(line, case.first)
    program.start(line.environment)
    await line.reachable()
    card = await case.bring(line)
    if end == "killed":
        await program.kill()
    else:
        assert await program.kill(signal.SIGTERM) == 0
    await line.slack.wait_until(lambda: line.slack.connections == 0, 10)
    await _write(line, case.meanwhile)
    program.start(line.environment)
    await line.reachable()

    await case.tap(line, card)

    assert await program.kill(signal.SIGTERM) == 0


async def _write(line: World, change: Change | None) -> None:
    if change is not None:
        async with open_store(line.environment["DATABASE_URL"]) as store:
            await store.do(change)


def test_every_state_is_restarted_in() -> None:
    words = " ".join(CASES)
    special = {"pending": "pending", "approved": "approved", "executing": "running", "succeeded": "done"}
    assert [state for state in ProposalState if special.get(state, state) not in words] == []
