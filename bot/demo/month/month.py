"""The month as the page knows it: started by a button, paused, stopped, and told as it goes."""

import asyncio
import logging
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

from bot.demo.month import scenes
from bot.demo.month.scenes import Cast, cast, play_steps
from bot.demo.month.stage import Stage, Stuck
from bot.demo.shared import Changes

log = logging.getLogger(__name__)

SCRIPT: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("script.toml").read_text(encoding="utf-8"))
DAYS = len(SCRIPT["days"])
_plays = count(1)
State = Literal["ready", "playing", "paused", "played", "stopped", "broken"]
_ORDERS: Mapping[str, tuple[State, ...]] = {
    "play": ("ready", "played", "stopped", "broken"),
    "pause": ("playing",),
    "resume": ("paused",),
    "stop": ("playing", "paused"),
}


def scene(name: str) -> Callable[[Stage, Cast], Awaitable[None]]:
    """The scene that the script calls so: steps, or else a function of scenes.py."""
    steps = SCRIPT["scenes"].get(name)
    return partial(play_steps, steps) if steps else getattr(scenes, name)


class Month(Changes):
    """Plays the script once each time it is started; `missed` holds what did not go as written."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.stage = stage
        self.state: State = "ready"
        self.day = 0
        self.told: list[dict[str, Any]] = []
        self.missed: list[str] = []
        self._playing: asyncio.Task[None] | None = None
        stage.tell, stage.moved = self._tell, self.changed

    # --- For the page -----------------------------------------------------------------------------------

    def snapshot(self, _viewer: str) -> dict[str, Any]:
        """The state of the month: it is the same for every viewer. `at` is the time of the story, in ISO."""
        moving = {"state": self.state, "day": self.day, "at": self.stage.clock.now().isoformat()}
        return {"kind": "month", "days": DAYS, "told": self.told, **moving}

    def order(self, name: str) -> dict[str, Any]:
        """Play, pause, resume or stop; the page's answer."""
        if self.state not in _ORDERS.get(name, ()):
            return {"ok": False, "error": f"The month cannot {name} now: it is {self.state}."}
        getattr(self, f"_{name}")()
        return {"ok": True}

    async def wait(self) -> None:
        """Until the month has been played or stopped."""
        if self._playing is not None:
            await asyncio.wait({self._playing})

    async def close(self) -> None:
        """Stop, if it plays."""
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)

    # --- Orders -----------------------------------------------------------------------------------------

    def _play(self) -> None:
        self.day, self.told, self.missed = 0, [], []
        self.stage.may_go_on.set()
        self._playing = asyncio.create_task(self._run(), name="play a month")
        self._become("playing")

    def _pause(self) -> None:
        self.stage.may_go_on.clear()
        self._become("paused")

    def _resume(self) -> None:
        self.stage.may_go_on.set()
        self._become("playing")

    def _stop(self) -> None:
        assert self._playing is not None  # noqa: S101 - it plays, or it could not be stopped
        self._playing.cancel()

    async def _run(self) -> None:
        try:
            await self._days()
        except asyncio.CancelledError:
            self._become("stopped")
        except Exception:
            log.exception("the month broke off")
            self._tell("The story broke off here. The program runs on, and everything can be tapped.")
            self._become("broken")
        else:
            self._become("played")

    async def _days(self) -> None:
        players = cast(self.stage.story, next(_plays), SCRIPT)
        for day in range(1, DAYS + 1):
            await self.stage.at(9, 1, days=1)
            self.day = day
            self.changed()
            await scenes.morning(self.stage)
            for name in SCRIPT["days"][str(day)]:
                await self._scene(scene(name)(self.stage, players))

    async def _scene(self, scene: Awaitable[None]) -> None:
        """One scene. Whoever acts on the page meanwhile may spoil it; the story goes on without it."""
        try:
            await scene
        except Stuck as stuck:
            log.warning("day %d: waited in vain for %s", self.day, stuck)
            self.missed.append(f"day {self.day}: {stuck}")
            self._tell("Something came otherwise than in the script (was it you?). The story goes on.")

    def _tell(self, text: str) -> None:
        self.told.append({"day": self.day, "at": self.stage.clock.now().isoformat(), "text": text})
        self.changed()

    def _become(self, state: State) -> None:
        self.state = state
        self.changed()
