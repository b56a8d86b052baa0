"""From a tap to its acknowledgement and to Polar, over Socket Mode, one at a time as people tap."""

import asyncio
import time

from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.demo.server import Demo
from tests.bench.report import Row, at_most, milliseconds
from tests.bench.stage import on_stage, until

_TAPS = 30
# Each tap costs two calls, and Polar allows 500 a minute: faster would measure the waiting for its limit.
_APART = 0.3
CALL = "orders:generate_invoice"


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


async def taps(rounds: int) -> list[Row]:
    """The best of `rounds`, each of thirty taps."""
    runs = []
    async with on_stage(unhurried=True) as stage:
        for number in range(rounds):
            runs.append([await _tap(stage.demo, f"Tap {number} {i:03d}.") for i in range(_TAPS)])
    acked, called = ([[each[part] for each in run] for run in runs] for part in (0, 1))
    best = [
        min(milliseconds(run, share) for run in kind) for kind in (acked, called) for share in (0.5, 0.99)
    ]
    return [
        Row("tap to acknowledged, p50", best[0], "ms"),
        at_most("tap to acknowledged, p99", best[1], "ms", 50),
        at_most("tap to Polar called, p50", best[2], "ms", 40),
        Row("tap to Polar called, p99", best[3], "ms"),
    ]


async def _tap(demo: Demo, name: str) -> tuple[float, float]:
    """Seconds until acknowledged, and until Polar was asked for the invoice."""
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
    return clicked.ms / 1_000, received.at.timestamp() - tapped
