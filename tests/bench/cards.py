"""From the webhook to its card, were Slack to take any pace: latency at three, and the highest kept up."""

import re

from tests.bench.deliveries import LISTENED
from tests.bench.load import send
from tests.bench.report import Row, at_least, at_most, milliseconds
from tests.bench.stage import Stage, on_stage, until

_PACES = ((1, 8), (10, 80), (50, 250))  # events a second, events
_CLIMB = (100, 150, 200, 250, 300, 350, 400)
_CLIMB_SECONDS = 3
_KEPT_UP_WITHIN = 0.5  # seconds after the last webhook: by then its card is there, so nothing piled up
_NAME = re.compile(r"Bench (\d{6})\.")


class Cards:
    """Sends at a pace and reads off the stand-in when each card was posted."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._sent = stage, 0

    async def at(self, rate: int, count: int) -> tuple[list[float], float]:
        """Seconds from each webhook to its card, and from the last webhook to the last card."""
        first, self._sent = self._sent, self._sent + count
        slack = self._stage.demo.slack
        result = await send(self._stage.job(LISTENED, most=count, rate=rate, first=first))
        complete = await until(lambda: len(slack.messages()) >= self._sent, within=30)
        posted = self._posted()
        if not complete or result.accepted != count or len(posted) != self._sent:
            raise RuntimeError(f"{self._sent} sent, {len(posted)} cards, answers {dict(result.statuses)}")
        due = result.sent_at
        return [posted[first + i] - at for i, at in enumerate(due)], max(posted.values()) - due[-1]

    def _posted(self) -> dict[int, float]:
        """When the card of each delivery was posted: the `ts` of a message is its time."""
        found = ((_NAME.search(message.text), message.ts) for message in self._stage.demo.slack.messages())
        return {int(name[1]): float(ts) for name, ts in found if name}


async def cards(rounds: int) -> list[Row]:
    """The lowest of `rounds` for each latency, and the highest pace kept up."""
    rows: list[Row] = []
    async with on_stage(unhurried=True) as stage:
        sender = Cards(stage)
        await sender.at(10, 5)  # the first cards load code and ask Slack who may decide
        for rate, count in _PACES:
            runs = [(await sender.at(rate, count))[0] for _ in range(rounds if rate > 1 else 1)]
            p50, p99 = (min(milliseconds(run, share) for run in runs) for share in (0.5, 0.99))
            rows += _latency(rate, p50, p99)
        rows.append(at_least("highest pace kept up", await _climb(sender), "/s", 200))
    return rows


def _latency(rate: int, p50: float, p99: float) -> list[Row]:
    name = f"webhook to card at {rate}/s"
    if rate == 10:
        return [at_most(f"{name}, p50", p50, "ms", 15), at_most(f"{name}, p99", p99, "ms", 60)]
    return [Row(f"{name}, p50", p50, "ms"), Row(f"{name}, p99", p99, "ms")]


async def _climb(sender: Cards) -> float:
    """The last pace at which every event has its card half a second after the last webhook."""
    kept = 0
    for rate in _CLIMB:
        _, late = await sender.at(rate, rate * _CLIMB_SECONDS)
        if late > _KEPT_UP_WITHIN:
            break
        kept = rate
    return kept
