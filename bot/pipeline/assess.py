"""Step 7: what was decided and what came of it becomes trust, or the end of it."""

from collections.abc import Sequence

from bot.graduation.gate import Gate
from bot.pipeline.learn import Assessor
from bot.services import Parts
from polar.events import Event
from store.graduation.learn import assess as read_on


def gate(parts: Parts, event: Event) -> Gate:
    """The policy over the proposals of one event."""
    return Gate(parts.rules.policy, event, parts.polar.environment)


async def claim(parts: Parts, _limit: int) -> Sequence[None]:
    """Learn from what the log says since the last look; there are no rows to hand on."""
    more = True
    while more:
        found = await parts.store.do(read_on, Assessor(parts.rules.policy), parts.clock())
        more = found.more
        if found.cards:
            parts.wake("announce")
        if found.notices:
            parts.wake("notices")
    return ()


async def handle(_row: None) -> None:
    """Nothing is left to do for a row: `claim` has done it."""
