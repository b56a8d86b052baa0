"""The month, day by day: which scenes are played when. Days and scenes are written in `script.toml`."""

import tomllib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from bot.demo.month import trust
from bot.demo.month.cast import Cast, cast
from bot.demo.month.stage import Stage
from bot.demo.month.steps import play_steps

Scene = Callable[[Stage, Cast], Awaitable[None]]

SCRIPT: Mapping[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
DAYS = len(SCRIPT["days"])
_plays = count(1)


def scene(name: str) -> Scene:
    """The scene that the script calls so: steps, or else a function of trust.py."""
    steps = SCRIPT["scenes"].get(name)
    return partial(play_steps, steps) if steps else getattr(trust, name)


async def play(
    stage: Stage, opens: Callable[[int], None], perform: Callable[[Awaitable[None]], Awaitable[None]]
) -> None:
    """Thirty days, one after the other. `opens` is told of each day; `perform` sees to each scene."""
    players = cast(stage.story, next(_plays), SCRIPT)
    for day in range(1, DAYS + 1):
        await stage.at(9, 1, days=1)
        opens(day)
        await trust.morning(stage)
        for name in SCRIPT["days"][str(day)]:
            await perform(scene(name)(stage, players))
