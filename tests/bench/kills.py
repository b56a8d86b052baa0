"""What is lost when the app is killed under load: events, cards, approved actions; it must be nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

from bot.demo.server import Demo
from tests.bench.report import Row, none_of
from tests.bench.stage import Stage, on_stage, until
from tests.bench.taps import CALL, card_of, order
from tests.bench.yardstick import Yardstick

_EVENTS, _PACE = 150, 30  # a second; at the webhook the stand-in repeats as Polar does
_KILLS_AT = (1.2, 3.0, 4.6)  # seconds after the first event
_TAP_EVERY = 8  # of the cards: what Polar's rate limit lets through in good time
_SETTLE = 40.0  # seconds; a call in doubt is looked at after five


async def kills(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """One run: 150 events at 30 a second, every eighth card approved, three kills."""
    del yardstick, rounds  # a single loss counts, so no run is picked
    async with on_stage() as stage:
        demo = stage.demo
        names = [f"Kill {number:03d}." for number in range(_EVENTS)]
        orders: dict[str, str] = {}
        chosen = names[::_TAP_EVERY]
        async with asyncio.TaskGroup() as group:
            group.create_task(_sell(demo, names, orders))
            group.create_task(_kill(stage))
            tapping = [group.create_task(_approve(demo, name)) for name in chosen]
        repeated = sum(task.result() for task in tapping)
        await until(lambda: all(card_of(demo, name) for name in names), _SETTLE)
        await until(lambda: len(_called(demo)) >= len(chosen), _SETTLE)
        await until(lambda: all(_shows_an_end(demo, name) for name in chosen), _SETTLE)
        sent = demo.polar.webhooks.events
        await until(lambda: all(event.succeeded for event in sent.values()), _SETTLE)
        lost = {event.id for event in sent.values() if event.succeeded} - stage.stored()
        in_doubt = stage.ask("SELECT count(*) FROM proposals WHERE state = 'unknown'")
    calls = _called(demo)
    wanted = {orders[name] for name in chosen}
    yield none_of("events acknowledged, not stored", len(lost))
    yield none_of("events never acknowledged", sum(not event.succeeded for event in sent.values()))
    yield none_of("events without a card", sum(card_of(demo, name) is None for name in names))
    yield none_of("approved actions not carried out", sum(calls[each] == 0 for each in wanted))
    yield none_of("actions carried out twice", sum(count > 1 for count in calls.values()))
    unfinished = sum(not _shows_an_end(demo, name) for name in chosen)
    yield none_of("cards of approved actions that show no end", unfinished)
    yield Row(f"of {_EVENTS} events, {len(chosen)} approved: cards posted twice", _twice(demo, names), "")
    yield Row("taps that had to be repeated", repeated, "")
    yield Row("proposals in doubt at the end", in_doubt, "")


async def _sell(demo: Demo, names: list[str], orders: dict[str, str]) -> None:
    for name in names:
        orders[name] = order(demo, name)
        await asyncio.sleep(1 / _PACE)


async def _kill(stage: Stage) -> None:
    passed = 0.0
    for at in _KILLS_AT:
        await asyncio.sleep(at - passed)
        passed = at
        await stage.kill()
        await stage.start()


async def _approve(demo: Demo, name: str) -> int:
    """Tap until the card has no buttons, as a person would; how many taps were in vain."""
    taps = 0
    for _ in range(60):
        ts = card_of(demo, name)
        message = demo.slack.message(ts) if ts else None
        if message is not None and "approve" not in message.action_ids:
            return max(0, taps - 1)
        if message is not None:
            taps += 1
            await demo.slack.click(demo.slack.people[0], demo.slack.channel, message.ts, "approve")
        await asyncio.sleep(1.0)
    return taps


def _called(demo: Demo) -> Counter[str]:
    """How often Polar carried out the call for each order."""
    return Counter(
        request.path.split("/")[3]
        for request in demo.polar.requests
        if request.operation == CALL and request.status == 202
    )


def _shows_an_end(demo: Demo, name: str) -> bool:
    ts = card_of(demo, name)
    message = demo.slack.message(ts) if ts else None
    return message is not None and message.text.startswith(("Done: ", "Failed: ", "No answer: "))


def _twice(demo: Demo, names: list[str]) -> int:
    cards = Counter(
        name
        for message in demo.slack.messages()
        if not message.thread_ts
        for name in names
        if name in message.text
    )
    return sum(count > 1 for count in cards.values())
