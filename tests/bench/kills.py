"""What is lost when the app is killed under load: events, cards, approved actions; it must be nothing."""

import asyncio
from collections import Counter

from bot.demo.server import Demo
from tests.bench.report import Row
from tests.bench.stage import Stage, on_stage, until
from tests.bench.taps import CALL, card_of, order

_EVENTS, _PACE = 150, 30  # a second; at the webhook the stand-in repeats as Polar does
_KILLS_AT = (1.2, 3.0, 4.6)  # seconds after the first event
_TAP_EVERY = 8  # of the cards: what Polar's rate limit lets through in good time
_SETTLE = 40.0  # seconds; a call in doubt is looked at after five


async def kills(rounds: int) -> list[Row]:
    """One run: 150 events at 30 a second, every eighth card approved, three kills."""
    del rounds  # a single loss counts, so no run is picked
    async with on_stage(unhurried=True) as stage:
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
        states = await stage.counts("proposals")
    calls = _called(demo)
    wanted = {orders[name] for name in chosen}
    return [
        _none("events acknowledged, not stored", len(lost)),
        _none("events never acknowledged", sum(not event.succeeded for event in sent.values())),
        _none("events without a card", sum(card_of(demo, name) is None for name in names)),
        _none("approved actions not carried out", sum(calls[each] == 0 for each in wanted)),
        _none("actions carried out twice", sum(count > 1 for count in calls.values())),
        _none("cards of approved actions that show no end", sum(not _shows_an_end(demo, n) for n in chosen)),
        Row(f"of {_EVENTS} events, {len(chosen)} approved: cards posted twice", _twice(demo, names), ""),
        Row("taps that had to be repeated", repeated, ""),
        Row("proposals in doubt at the end", states.get("unknown", 0), ""),
    ]


def _none(name: str, value: int) -> Row:
    return Row(name, value, "", "0", value == 0)


async def _sell(demo: Demo, names: list[str], orders: dict[str, str]) -> None:
    for name in names:
        orders[name] = order(demo, name)
        await asyncio.sleep(1 / _PACE)


async def _kill(stage: Stage) -> None:
    passed = 0.0
    for at in _KILLS_AT:
        await asyncio.sleep(at - passed)
        passed = at
        await stage.demo.app.kill()
        await stage.started()


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
