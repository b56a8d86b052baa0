"""From the webhook to its card, were Slack to take any pace: latency at three, and the highest kept up."""

import re
from collections.abc import AsyncGenerator

from tests.bench.bursts import MOST_STATEMENTS
from tests.bench.deliveries import LISTENED
from tests.bench.load import send
from tests.bench.report import Row, amount, at_least, at_most, milliseconds
from tests.bench.stage import Stage, on_stage
from tests.bench.yardstick import Yardstick

PACE = 50  # events a second, the one with aims
_PACES = ((1, 8), (10, 80), (PACE, 250))  # events a second, events
_CLIMB = (100, 150, 200, 250, 300, 400, 500)  # together fewer cards than the stand-in keeps messages
_CLIMB_SECONDS = 3
_KEPT_UP_WITHIN = 0.5  # seconds after the last webhook: by then its card is there, so nothing piled up
_GIVE_UP = 30.0
_NAME = re.compile(r"Bench (\d{6})\.")


class Cards:
    """Sends at a pace and reads off the stand-in when each card was posted."""

    def __init__(self, stage: Stage, sent: int = 0) -> None:
        """`sent` are in Slack already."""
        self._stage, self._sent = stage, sent

    async def at(self, rate: int, count: int) -> tuple[list[float], float]:
        """Seconds from each webhook to its card, and from the last webhook to the last card."""
        first, self._sent = self._sent, self._sent + count
        result = await send(self._stage.job(LISTENED, most=count, rate=rate, first=first))
        complete = await self._stage.carded(self._sent, _GIVE_UP)
        posted = self._posted()
        if not complete or result.accepted != count or len(posted) != self._sent:
            raise RuntimeError(f"{self._sent} sent, {len(posted)} cards, answers {dict(result.statuses)}")
        due = result.sent_at
        return [posted[first + i] - at for i, at in enumerate(due)], max(posted.values()) - due[-1]

    async def statements(self, rate: int, count: int) -> float:
        """Statements an event at a pace."""
        before = await self._stage.statements()
        await self.at(rate, count)
        return (await self._stage.statements() - before) / count

    def _posted(self) -> dict[int, float]:
        """When the card of each delivery was posted: the `ts` of a message is its time."""
        found = ((_NAME.search(message.text), message.ts) for message in self._stage.demo.slack.messages())
        return {int(name[1]): float(ts) for name, ts in found if name}


async def cards(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """The lowest of `rounds` for each latency, and the highest pace kept up."""
    beside = f"an answer and a commit {amount(await yardstick.step() * 1_000, 'ms')}"
    async with on_stage() as stage:
        sender = Cards(stage)
        await sender.at(10, 10)  # the first cards load code and ask Slack who may decide
        for rate, count in _PACES:
            runs = [(await sender.at(rate, count))[0] for _ in range(rounds if rate > 1 else 1)]
            for share, aim in ((0.5, 10), (0.99, 40)):
                name = f"webhook to card at {rate}/s, p{share * 100:.0f}"
                value = min(milliseconds(run, share) for run in runs)
                yield (
                    at_most(name, value, "ms", aim, beside)
                    if rate == PACE
                    else Row(name, value, "ms", beside)
                )
        kept = await _climb(sender)
        yield at_least("highest pace kept up", kept, "/s", 250, "no card half a second late")
        for rate in {PACE, kept or _CLIMB[0]}:
            value = await sender.statements(rate, rate * _CLIMB_SECONDS)
            name = f"statements an event at {rate}/s"
            yield Row(name, value, "") if rate == PACE else at_most(name, value, "", MOST_STATEMENTS)


async def _climb(sender: Cards) -> int:
    """The last pace at which every event has its card half a second after the last webhook."""
    kept = 0
    for rate in _CLIMB:
        _, late = await sender.at(rate, rate * _CLIMB_SECONDS)
        if late > _KEPT_UP_WITHIN:
            break
        kept = rate
    return kept
