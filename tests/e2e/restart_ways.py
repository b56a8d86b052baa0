"""Ways into every state of a card, over the wire; what a person does until it stands there."""

from collections.abc import Awaitable, Callable
from typing import Any

from bot.demo.slack.people import App
from bot.demo.slack.state import Message
from tests.e2e.app_harness import MAYA, World
from tests.e2e.deciding import forget_a_key, told, value_of
from tests.fixtures.conversation import choose, filled, in_thread, send, words_in

BOT = f"<@{App().bot_user_id}>"
INVOICE = "orders:generate_invoice"
Bring = Callable[[World], Awaitable[Message]]


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


async def offered(line: World) -> Message:
    return await line.slack.wait_for_message(lambda each: "why" in each.action_ids, 10)


def value_of_option(card: Message, action: str) -> str:
    [element] = [
        each for block in card.blocks for each in block.get("elements", ()) if each.get("action_id") == action
    ]
    return str(element["options"][0]["value"])
