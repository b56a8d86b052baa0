"""The worker: a lane for each step, which runs its rows side by side and sleeps when there are none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from bot.pipeline import announce, confirm, delayed, execute, learn, outbox, poll, propose, reconcile
from bot.services import Services
from store.engine.errors import StoreClosed

log = logging.getLogger(__name__)

Row = TypeVar("Row")

# What waits for Slack's pace is looked at often: room comes about once a second, and none is to be lost.
_SOON = 0.25
# How long a stopping program lets running steps finish: a Polar call under way is worth waiting for.
_DRAIN_SECONDS = 20.0


@dataclass(eq=False)
class Lane(Generic[Row]):
    """Claims rows and handles up to `width` of them at once; looks again when woken, or after `idle` s."""

    name: str
    claim: Callable[[int], Awaitable[Sequence[Row]]]
    handle: Callable[[Row], Awaitable[None]]
    width: int
    idle: float = 1.0
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """There is work, or there may be."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled, then let what runs finish."""
        try:
            while True:
                await self._turn()
        finally:
            await self._drain()

    async def _turn(self) -> None:
        self._woken.clear()
        if not await self._start_rows():
            # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with a wake-up, and
            # the program would never stop.
            with suppress(TimeoutError):
                async with asyncio.timeout(self.idle):
                    await self._woken.wait()

    async def _start_rows(self) -> bool:
        """Claim what there is room for; whether there was any."""
        room = self.width - len(self._running)
        if room <= 0:
            return False
        try:
            rows = await self.claim(room)
        except StoreClosed:
            raise
        except Exception:
            log.exception("lane %s cannot look for work; trying again", self.name)
            return False
        for row in rows:
            task = asyncio.create_task(self._one(row), name=f"{self.name} {row!r:.60}")
            self._running.add(task)
            task.add_done_callback(self._finished)
        return bool(rows)

    async def _one(self, row: Row) -> None:
        try:
            await self.handle(row)
        except Exception:
            # The row stays claimed and is tried again when the claim runs out.
            log.exception("lane %s failed on a row", self.name)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._woken.set()

    async def _drain(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=_DRAIN_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class Worker:
    """All lanes. Built from the parts and told the parts' `wake`."""

    def __init__(self, speed: float = 1.0) -> None:
        """`speed`: how much faster than real time the clock runs by which rows become due."""
        self._speed = speed
        self._lanes: dict[str, Lane[Any]] = {}
        self._more: list[Lane[Any]] = []

    def add(self, lane: Lane[Any]) -> None:
        """A lane of something that needs more than the parts; before `run`."""
        self._more.append(lane)

    def wake(self, lane: str) -> None:
        """Tell a lane that it has work."""
        if lane in self._lanes:
            self._lanes[lane].wake()

    async def run(self, services: Services) -> None:
        """Run every lane until cancelled."""
        self._lanes = {lane.name: lane for lane in [*_lanes(services), *self._more]}
        for lane in self._lanes.values():
            lane.idle = min(lane.idle, max(lane.idle / self._speed, _SOON))
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run(), name=f"lane {lane.name}")


def _lanes(services: Services) -> list[Lane[Any]]:
    return [
        Lane("propose", partial(propose.claim, services), partial(propose.propose, services), width=32),
        Lane(
            "ask again",
            partial(delayed.claim, services),
            partial(delayed.ask_again, services),
            width=4,
            idle=5.0,
        ),
        Lane("confirm", partial(confirm.claim, services), partial(confirm.confirm, services), width=16),
        Lane("announce", partial(announce.claim, services), partial(announce.announce, services), 32, _SOON),
        Lane("notices", partial(outbox.claim, services), partial(outbox.send, services), 8, _SOON),
        Lane("execute", partial(execute.claim, services), partial(execute.execute, services), width=16),
        Lane("assess", partial(learn.claim, services), learn.handle, width=1, idle=2.0),
        Lane(
            "look", partial(reconcile.claim, services), partial(reconcile.look, services), width=4, idle=5.0
        ),
        Lane("poll", partial(poll.claim, services), partial(poll.poll, services), width=2, idle=60.0),
        Lane("recover", partial(_recover, services), _nothing, width=1, idle=15.0),
    ]


async def _recover(services: Services, _room: int) -> Sequence[None]:
    await reconcile.recover(services)
    return ()


async def _nothing(_row: None) -> None:
    return None
