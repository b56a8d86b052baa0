"""The background worker: a queue worker for each queue, and the steps that take up what was left behind."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from bot.approvals.approve import CLI, settle
from bot.pipeline import announce, execute, learn, poll, propose, wishes
from bot.proposals.call_results import LOOK_AFTER, examine
from bot.results import ON_THE_CARD, DecisionResult, DecisionStatus
from bot.services import RENEWED_EVERY, Claimed, Queue, Services, claim_rows, keep_held
from bot.slack.client import SlackError
from bot.ui.ephemeral import decision
from polar.client import ANSWER_WITHIN
from store import Store
from store.engine.errors import StoreClosed, StoreError
from store.engine.leases import EXECUTION, HeldRow
from store.models import Proposal
from store.proposals.decisions import PendingApproval, claim_pending_approvals
from store.proposals.execution import claim_unknown, recover_stranded

log = logging.getLogger(__name__)

Row = TypeVar("Row")
Claim = Callable[[Services, int], Awaitable[Sequence[Any]]]
Handle = Callable[[Services, Any], Awaitable[Any]]

# Cards that wait for Slack's rate limit are looked at often: there is room about once a second.
_SOON = 0.25
# The time that a stopping program gives running rows: a Polar call that was sent should get its answer.
_DRAIN_SECONDS = 6.0


@dataclass(eq=False)
class QueueWorker(Generic[Row]):
    """Claims rows of one queue and handles up to `width` of them at once.

    It looks again when it is notified, after `idle` seconds, and when a row is finished after a claim that
    took all there was room for: only then may more rows be waiting.
    """

    queue: Queue
    claim: Callable[[int], Awaitable[Sequence[Row]]]
    handle: Callable[[Row], Awaitable[None]]
    width: int
    idle: float = 1.0
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _notified: asyncio.Event = field(default_factory=asyncio.Event)
    _took_all: bool = False  # the last claim found as many rows as there was room for

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
        await self._start_rows()
        # Not wait_for: on Python 3.11 it swallows a cancellation that comes together with a notification,
        # and the program would never stop.
        with suppress(TimeoutError):
            async with asyncio.timeout(self.idle):
                await self._notified.wait()

    async def _start_rows(self) -> None:
        """Claim as many rows as there is room for."""
        room = self.width - len(self._running)
        if room <= 0:
            return
        try:
            rows = await self.claim(room)
        except StoreClosed:
            raise
        except Exception:
            log.exception("queue %s: fetching work failed; retrying", self.queue)
            return
        self._took_all = len(rows) >= room
        for row in rows:
            task = asyncio.create_task(self._one(row), name=f"queue {self.queue}: one row")
            self._running.add(task)
            task.add_done_callback(self._finished)

    async def _one(self, row: Row) -> None:
        try:
            await self.handle(row)
        except Exception:
            # The row keeps its lease and is tried again when the lease expires.
            log.exception("queue %s: a row failed; retrying when its lease expires", self.queue)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._took_all:
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
        work = partial(_work, services, handle)
        return QueueWorker(queue, partial(_claim, services, claim), work, width, idle)

    return [
        of(Queue.PROPOSE, propose.claim, propose.propose, 32),
        of(Queue.DELAYED, propose.claim_delayed, propose.ask_again, 4, 5.0),
        of(Queue.CONFIRM, claim_approvals, confirm, 16),
        of(Queue.WISHES, wishes.claim, wishes.settle, 4),
        of(Queue.ANNOUNCE, announce.claim, announce.announce, 32, _SOON),
        of(Queue.OUTBOX, announce.claim_messages, announce.send, 8, _SOON),
        of(Queue.EXECUTE, execute.claim, execute.execute, 16),
        of(Queue.LEARN, learn.claim, _nothing, 1, 2.0),
        of(Queue.VERIFY, claim_unknown_results, examine, 4),
        of(Queue.POLL, poll.claim, poll.poll, 2, 60.0),
        of(Queue.RECOVER, recover, _nothing, 1, 5.0),
    ]


async def _claim(services: Services, claim: Claim, limit: int) -> Sequence[Any]:
    """Claim, with the leases renewed on what is already worked on."""
    await keep_held(services)
    return await claim(services, limit)


async def _work(services: Services, handle: Handle, row: Any) -> None:
    """Handle a row. Its lease, if it has one, is renewed meanwhile."""
    held: HeldRow | None = getattr(row, "held", None)
    with nullcontext() if held is None else services.held.working(held):
        await handle(services, row)


@asynccontextmanager
async def renewing(services: Services) -> AsyncIterator[None]:
    """Renew the leases on what this process works on every few seconds until the block ends."""
    task = asyncio.create_task(_again_and_again(services), name="leases")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _again_and_again(services: Services) -> None:
    while True:
        await asyncio.sleep(RENEWED_EVERY.total_seconds())
        try:
            await keep_held(services, timedelta(0))
        except StoreError as error:
            log.warning("leases could not be renewed: %s", error)


async def _nothing(_services: Services, _row: None) -> None:
    """The claim has done the work."""


# --- Steps that take up what another one began ------------------------------------------------------------


async def claim_approvals(services: Services, limit: int) -> list[Claimed[PendingApproval]]:
    """Take approvals that nobody sees to: of a program that was stopped, or of the command line."""
    return await claim_rows(services, claim_pending_approvals, limit)


async def confirm(services: Services, claimed: Claimed[PendingApproval]) -> None:
    """See to an approval whose approver no longer waits for the result, and tell them."""
    pending, result = claimed.row, await settle(services, claimed, live=False)
    if (
        result.status is DecisionStatus.POSTPONED
        or result.status in ON_THE_CARD
        or _was_theirs(result, pending)
    ):
        return
    if pending.channel is None or pending.via == CLI:
        return
    try:
        await services.slack.post_ephemeral(pending.channel, pending.actor, decision(result).content)
    except SlackError as error:
        log.warning("%s could not be told the result of an approval: %s", pending.actor, error)


def _was_theirs(result: DecisionResult, pending: PendingApproval) -> bool:
    """Tell whether this very approval was decided when the program was stopped: nothing is left to say."""
    if result.status is DecisionStatus.ALREADY_APPROVED:
        return True
    decided_by = None if result.proposal is None else result.proposal.decided_by
    return result.status is DecisionStatus.ALREADY_DECIDED and decided_by == pending.actor


async def claim_unknown_results(services: Services, limit: int) -> list[Claimed[Proposal]]:
    """Take proposals in doubt whose next look at Polar is due."""
    return await claim_rows(services, claim_unknown, limit, most_attempts=len(LOOK_AFTER) + 1)


async def recover(services: Services, _room: int = 0) -> Sequence[None]:
    """Close what is still `executing` though its worker is gone; never what this process works on."""
    mine = [row.key[0] for row in services.held.rows() if row.leases is EXECUTION]
    count = await services.store.do(
        recover_stranded, now=services.clock(), but=mine, answers_within=answers_within(services.store)
    )
    if count:
        log.warning("%s proposals were left running by a worker that died", count)
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)
    return ()


def answers_within(store: Store) -> timedelta | None:
    """The longest that a worker which seems dead may still wait for Polar's answer; None: it is dead, since
    no other process works on the database.
    """
    return None if store.sole_owner else timedelta(seconds=ANSWER_WITHIN)
