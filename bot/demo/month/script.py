"""The month, day by day: which scenes are played when."""

from collections.abc import Awaitable, Callable, Mapping
from itertools import count

from bot.demo.month import everyday, trust
from bot.demo.month.cast import Cast, cast
from bot.demo.month.stage import Stage

DAYS = 30

Scene = Callable[[Stage, Cast], Awaitable[None]]
_plays = count(1)

SCRIPT: Mapping[int, tuple[Scene, ...]] = {
    1: (trust.leftovers, trust.newsletter),
    2: (trust.busy_day, everyday.lost_key),
    3: (trust.busy_day, everyday.too_generous),
    4: (trust.busy_day, everyday.smaller_refund),
    5: (trust.busy_day, everyday.second_thoughts),
    6: (trust.busy_day, everyday.no_address),
    7: (trust.busy_day, everyday.not_today),
    8: (everyday.tomorrow, trust.busy_day, everyday.talked_over),
    9: (trust.busy_day, everyday.changed_meanwhile),
    10: (trust.quiet_day, everyday.no_answer),
    11: (trust.quiet_day, everyday.disputed),
    12: (everyday.reminded, trust.quiet_day, everyday.left_alone),
    13: (trust.quiet_day, everyday.called),
    14: (trust.quiet_day, everyday.expired),
    15: (trust.quiet_day,),
    16: (trust.graduation, trust.trusted_day),
    17: (trust.trusted_day,),
    18: (trust.trusted_day,),
    # What an audit is, chance decides: each of these days is played until it has come to that.
    **dict.fromkeys((19, 20, 21), (trust.capped_day,)),
    **dict.fromkeys(range(22, 28), (trust.bad_audit,)),
    28: (trust.asked_again,),
    29: (trust.asked_again,),
    30: (trust.last_day,),
}


async def play(
    stage: Stage, opens: Callable[[int], None], perform: Callable[[Awaitable[None]], Awaitable[None]]
) -> None:
    """Thirty days, one after the other. `opens` is told of each day; `perform` sees to each scene."""
    players = cast(stage.story, next(_plays))
    for day in range(1, DAYS + 1):
        await stage.at(9, 1, days=1)
        opens(day)
        await trust.morning(stage)
        for scene in SCRIPT.get(day, ()):
            await perform(scene(stage, players))
