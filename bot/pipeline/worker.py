"""The background worker: one queue worker for each queue, which handles its rows side by side."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from bot.pipeline import announce, confirm, delayed, execute, learn, outbox, poll, propose, reconcile
from bot.services import Queue, Services
from store.engine.errors import StoreClosed

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Claim = Callable[[Services, int], Awaitable[Sequence[Any]]]
Handle = Callable[[Services, Any], Awaitable[None]]

# Cards that wait for Slack's rate limit are looked at often: there is room about once a second.
_SOON = 0.25
# The time that a stopping program gives running rows: a Polar call that was sent should get its answer.
_DRAIN_SECONDS = 20.0


@dataclass(eq=False)
class QueueWorker(Generic[Row]):
    """Claims rows of one queue and handles up to `width` of them at once.

    Without rows it looks again when it is notified, and after `idle` seconds.
    """

    queue: Queue
    claim: Callable[[int], Awaitable[Sequence[Row]]]
    handle: Callable[[Row], Awaitable[None]]
    width: int
    idle: float = 1.0
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _notified: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self) -> None:
        """There is work, or there may be."""
        self._notified.set()

    async def run(self) -> None:
        """Work until cancelled, then let the running rows finish."""
        try:
            while True:
                await self._turn()
        finally:
            await self._drain()

    async def _turn(self) -> None:
        self._notified.clear()
        if not await self._start_rows():
            # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with a notification,
            # and the program would never stop.
            with suppress(TimeoutError):
                async with asyncio.timeout(self.idle):
                    await self._notified.wait()

    async def _start_rows(self) -> bool:
        """Claim as many rows as there is room for; True if there were any."""
        room = self.width - len(self._running)
        if room <= 0:
            return False
        try:
            rows = await self.claim(room)
        except StoreClosed:
            raise
        except Exception:
            log.exception("queue %s: fetching work failed; retrying", self.queue)
            return False
        for row in rows:
            task = asyncio.create_task(self._one(row), name=f"{self.queue} {row!r:.60}")
            self._running.add(task)
            task.add_done_callback(self._finished)
        return bool(rows)

    async def _one(self, row: Row) -> None:
        try:
            await self.handle(row)
        except Exception:
            # The row keeps its lease and is tried again when the lease expires.
            log.exception("queue %s: a row failed; retrying when its lease expires", self.queue)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._notified.set()

    async def _drain(self) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=_DRAIN_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class Worker:
    """All queue workers. Its `notify` is the one of `Services`."""

    def __init__(self, speed: float = 1.0) -> None:
        """`speed`: how much faster than real time the clock runs by which rows become due."""
        self._speed = speed
        self._workers: dict[Queue, QueueWorker[Any]] = {}
        self._more: list[QueueWorker[Any]] = []

    def add(self, worker: QueueWorker[Any]) -> None:
        """A queue worker that needs more than the services; before `run`."""
        self._more.append(worker)

    def notify(self, *queues: Queue) -> None:
        """Tell queues that they have work. Before `run` nothing listens; each queue then looks by itself."""
        for queue in queues:
            if queue in self._workers:
                self._workers[queue].notify()

    async def run(self, services: Services) -> None:
        """Run every queue worker until cancelled."""
        self._workers = {worker.queue: worker for worker in [*_workers(services), *self._more]}
        for worker in self._workers.values():
            worker.idle = min(worker.idle, max(worker.idle / self._speed, _SOON))
        async with asyncio.TaskGroup() as group:
            for worker in self._workers.values():
                group.create_task(worker.run(), name=f"queue {worker.queue}")


def _workers(services: Services) -> list[QueueWorker[Any]]:
    def of(queue: Queue, claim: Claim, handle: Handle, width: int, idle: float = 1.0) -> QueueWorker[Any]:
        return QueueWorker(queue, partial(claim, services), partial(handle, services), width, idle)

    return [
        of(Queue.PROPOSE, propose.claim, propose.propose, 32),
        of(Queue.DELAYED, delayed.claim, delayed.ask_again, 4, 5.0),
        of(Queue.CONFIRM, confirm.claim, confirm.confirm, 16),
        of(Queue.ANNOUNCE, announce.claim, announce.announce, 32, _SOON),
        of(Queue.OUTBOX, outbox.claim, outbox.send, 8, _SOON),
        of(Queue.EXECUTE, execute.claim, execute.execute, 16),
        of(Queue.LEARN, learn.claim, _nothing, 1, 2.0),
        of(Queue.VERIFY, reconcile.claim, reconcile.look, 4, 5.0),
        of(Queue.POLL, poll.claim, poll.poll, 2, 60.0),
        of(Queue.RECOVER, _recover, _nothing, 1, 15.0),
    ]


async def _recover(services: Services, _room: int) -> Sequence[None]:
    await reconcile.recover(services)
    return ()


async def _nothing(_services: Services, _row: None) -> None:
    """The claim has done the work."""
