"""`make bench QUICK=1`: a few rows in under a minute, with floors that tell when the program got much slower.

A latency is a multiple of what a yardstick took a moment before on the same machine, so that a slow or busy
one does not fail.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.bench.accepting import flood
from tests.bench.bursts import CONNECTIONS, MOST_STATEMENTS, burst, warmed
from tests.bench.cards import PACE, Cards
from tests.bench.deliveries import LISTENED
from tests.bench.floors import Check, times
from tests.bench.report import Row, at_most, percentile
from tests.bench.stage import Stage, on_stage
from tests.bench.taps import several
from tests.bench.yardstick import Yardstick, yardstick

_ACCEPT_AT = 16  # connections
_EVENTS = 300
# A third to a quarter as fast as the program was on 2026-11-30 (README.md): of the accepted share 19 to 21 % (aim
# 50), a card in 17 steps (aim 11), a burst in 29 to 53 floods (aim 4.5), a tap in 5 and 31 steps (aims 4.5 and 17).
_ACCEPTED, _CARD, _BURST, _ACKNOWLEDGED, _CALLED = 6.0, 60.0, 150.0, 20.0, 100.0
_VERIFIED_FOR_A_CARD = 300  # a pace at which nothing queues: 20 cards a second where 6,000 are verified
_PACED, _TAPS = 80, 10


@asynccontextmanager
async def checks() -> AsyncIterator[Sequence[Check]]:
    """What is checked, on a stage of its own."""
    async with yardstick() as beside, on_stage() as stage:
        await warmed(stage)
        quick = _Quick(beside, stage)
        yield quick.accepting, quick.card, quick.burst, quick.tap


class _Quick:
    """The checks; cards are counted, so that each run finds its own."""

    def __init__(self, beside: Yardstick, stage: Stage) -> None:
        self._beside, self._stage = beside, stage

    @property
    def _cards(self) -> int:
        return len(self._stage.demo.slack.workspace.messages)

    async def accepting(self) -> Sequence[Row]:
        """Webhooks accepted while rules propose."""
        made = await flood(self._beside, _ACCEPT_AT, LISTENED)
        return [made.row(f"{_ACCEPT_AT} connections, a rule listens: share", _ACCEPTED)]

    async def card(self) -> Sequence[Row]:
        """From the webhook to its card, at a pace that this machine takes without a queue."""
        bare, step = await self._beside.flood(CONNECTIONS, most=_EVENTS), await self._beside.step()
        pace = max(1, min(PACE, round(bare.rate / _VERIFIED_FOR_A_CARD)))
        took, _ = await Cards(self._stage, self._cards).at(pace, _PACED)
        row = times("webhook to card at a steady pace, p50", percentile(took, 0.5), step, _CARD)
        return [replace(row, reference=f"{row.reference}, {pace}/s")]

    async def burst(self) -> Sequence[Row]:
        """A flood whose every event becomes a card."""
        bare = await self._beside.flood(CONNECTIONS, most=_EVENTS)
        made = await burst(self._stage, _EVENTS, self._cards)
        return [
            times(f"burst of {_EVENTS}, all concluded", made.concluded, bare.seconds, _BURST),
            at_most(f"burst of {_EVENTS}, statements an event", made.statements, "", MOST_STATEMENTS),
        ]

    async def tap(self) -> Sequence[Row]:
        """From a tap to its acknowledgement and to Polar."""
        step = await self._beside.step()
        made = await several(self._stage.demo, _TAPS, f"Tap {self._cards}")
        acknowledged, called = (
            percentile(each, 0.5)
            for each in ([one.acknowledged for one in made], [one.called for one in made])
        )
        return [
            times("tap to acknowledged, p50", acknowledged, step, _ACKNOWLEDGED),
            times("tap to Polar called, p50", called, step, _CALLED),
        ]
