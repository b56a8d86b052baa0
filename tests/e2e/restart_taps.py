"""What a person does with an old card, once; and what must come of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from bot.demo.slack.state import Message
from tests.e2e.app_harness import JONAS, MAYA, World, words_of
from tests.e2e.deciding import told
from tests.e2e.restart_ways import value_of_option
from tests.fixtures.conversation import choose, filled, in_thread, send, words_in

Tap = Callable[[World, Message], Awaitable[Any]]


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
    assert " was first. " in said.text
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
    await in_thread(line, card, "snoozed this until")


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
