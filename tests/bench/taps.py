"""From a tap to its acknowledgement and to Polar, over Socket Mode, one at a time as people tap."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.demo.server import Demo
from tests.bench.report import Row, amount, at_most, milliseconds
from tests.bench.stage import on_stage, until
from tests.bench.yardstick import Yardstick

_TAPS = 30
_APART = 0.1
CALL = "orders:generate_invoice"


@dataclass(frozen=True, slots=True)
class Tap:
    """Seconds until it was acknowledged, and until Polar was asked for the invoice."""

    acknowledged: float
    called: float


def order(demo: Demo, name: str) -> str:
    """Somebody pays for something; the webhook is on its way. The order's id."""
    customer = demo.story.customer(name, demo.story.address())
    bought = stock.add_order(demo.polar.shop, customer, demo.story.catalog["pro"])
    tell_order(demo.polar.shop, "order.paid", bought)
    demo.polar.send_pending("a sale of the benchmark")
    return str(bought["id"])


def card_of(demo: Demo, name: str) -> str | None:
    """The ts of the card that names this customer."""
    return next((message.ts for message in demo.slack.messages() if name in message.text), None)


async def taps(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """The best of `rounds`, each of thirty taps."""
    beside = f"an answer and a commit {amount(await yardstick.step() * 1_000, 'ms')}"
    async with on_stage() as stage:
        runs = [await several(stage.demo, _TAPS, f"Tap {number}") for number in range(rounds)]
    acknowledged = [[each.acknowledged for each in run] for run in runs]
    called = [[each.called for each in run] for run in runs]
    for what, kind, aim in (("acknowledged", acknowledged, 4), ("Polar called", called, 15)):
        for share in (0.5, 0.99):
            value, name = min(milliseconds(run, share) for run in kind), f"tap to {what}, p{share * 100:.0f}"
            yield at_most(name, value, "ms", aim, beside) if share == 0.5 else Row(name, value, "ms", beside)


async def several(demo: Demo, count: int, name: str) -> list[Tap]:
    """So many taps one after the other, each on a card of its own that is named so."""
    return [await _tap(demo, f"{name} {number:03d}.") for number in range(count)]


async def _tap(demo: Demo, name: str) -> Tap:
    bought = order(demo, name)
    if not await until(lambda: card_of(demo, name), within=10):
        raise RuntimeError(f"There is no card for {name}")
    await asyncio.sleep(_APART)
    slack, tapped = demo.slack, time.time()
    clicked = await slack.click(slack.people[0], slack.channel, str(card_of(demo, name)), "approve")
    if not clicked.acked:
        raise RuntimeError(f"The tap was not acknowledged: {clicked.error}")
    received = await demo.polar.wait_for_request(
        lambda request: request.operation == CALL and bought in request.path, 10
    )
    return Tap(clicked.ms / 1_000, received.at.timestamp() - tapped)
