"""The one writer of a database: whatever waits to be written goes into one transaction (group commit).

On PostgreSQL it has three lanes, each with a connection of its own, and replicas write beside each other:

- Arrivals insert webhooks. They wait for nobody but rivals that insert the same webhook, and all insert in
  the order of ids, so never in a circle.
- Claims (`without_turn`) take rows with FOR UPDATE SKIP LOCKED. They wait for nobody.
- Every other write takes the turn (`advisory_lock`) first and its rows afterwards. Nearly all append to the
  audit log or spend a place under a cap, which needs the turn.

So there is no deadlock: who has the turn may wait for the rows of an arrival or a claim, and neither of these
waits for the turn or for a row that its holder has. The turn is taken once for all that waited together.
SQLite has one writer: there the three are one lane.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine.engines import is_of_database
from store.engine.errors import StoreBusy, StoreClosed, refuse
from store.engine.transactions import Awaited, OneThread

T = TypeVar("T")
Item = TypeVar("Item")

# Ten failures in a row make Polar disable the endpoint: a burst must find room. 20,000 are seconds of work.
QUEUE_SIZE = 20_000
_MOST_AT_ONCE = 256  # past this the transaction grows longer but not cheaper per write
_BESIDE_ARRIVALS = 4  # the others that join a transaction of webhooks, whose sender is answered first
# So many webhooks that wait at once are a flood, and so are the next ones within so many seconds.
_FLOOD, _FLOOD_SECONDS = 4, 0.05
_PATIENCE, _LONGEST_TURN = 1.55, 1.0  # seconds that work gives way to a flood, and then in turn with webhooks


class Turn(IntEnum):
    """The order in which waiting writes are taken."""

    ARRIVAL = 0  # a webhook: Polar waits for the answer
    PERSON = 1  # a click: Slack waits for the answer
    PROGRAM = 2


@dataclass(order=True, slots=True)
class _Write:
    """Something to run with the connection; `shared`: with the items of all that wait with the same work."""

    turn: Turn
    number: int
    work: Callable[..., Any] = field(compare=False)
    done: asyncio.Future[Any] = field(compare=False)
    item: Any = field(default=None, compare=False)
    shared: bool = field(default=False, compare=False)


class _Lane:
    """Writes that wait for one connection. Those that wait together go into one transaction."""

    def __init__(self, transaction: Callable[[Callable[[Connection], Any]], Awaitable[Any]]) -> None:
        self._transaction = transaction
        self._arrivals: deque[_Write] = deque()
        self._queue: list[_Write] = []  # the others, as a heap
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._arrivals) + len(self._queue)

    def add(self, write: _Write) -> None:
        if write.turn is Turn.ARRIVAL:
            self._arrivals.append(write)
        else:
            heappush(self._queue, write)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        for queue in (self._arrivals, self._queue):
            while queue:
                _fail(queue.pop(), StoreClosed())
        self._news.set()

    async def run(self) -> None:
        """Commit what comes until closed."""
        while not self._closed:
            await self._news.wait()
            self._news.clear()
            await asyncio.sleep(0)  # whom `then` has woken joins this transaction
            while batch := self._next_batch():
                await self._commit(batch)

    def _next_batch(self) -> list[_Write]:
        """The waiting writes, without those whose caller has gone away (Polar hung up)."""
        batch: list[_Write] = []
        while self._arrivals and len(batch) < _MOST_AT_ONCE - _BESIDE_ARRIVALS:
            _take(self._arrivals.popleft(), batch)
        others = set[Any]()  # what runs beside webhooks; writes that share their work are one
        room = _BESIDE_ARRIVALS if batch else _MOST_AT_ONCE
        while self._queue and len(batch) < _MOST_AT_ONCE and len(others) < room:
            write = heappop(self._queue)
            if _take(write, batch):
                others.add(write.work if write.shared else write.number)
        return batch

    async def _commit(self, batch: list[_Write]) -> None:
        has_run = False

        def work(connection: Connection) -> list[Any]:
            nonlocal has_run
            has_run = False
            found = _run(batch, connection)
            has_run = True
            return found

        try:
            results = await self._transaction(work)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the write
            # A bad write must not fail its neighbours: each is tried by itself. When the commit has failed,
            # nobody can say whether it was done, and a second run would find the traces of the first.
            for write in batch:
                if has_run or len(batch) == 1:
                    _fail(write, error)
                else:
                    await self._commit([write])
            return
        for write, result in zip(batch, results, strict=True):
            if not write.done.done():
                write.done.set_result(result)


def _take(write: _Write, batch: list[_Write]) -> bool:
    """Add a write whose caller still waits."""
    waits = not write.done.done()
    if waits:
        batch.append(write)
    return waits


_WITHOUT_TURN = set[Any]()
Query = TypeVar("Query", bound=Callable[..., Any])


def without_turn(query: Query) -> Query:
    """Mark a query that needs no turn: it waits for no row (it writes none, or `Leases` skips those that a
    rival has), appends nothing to the audit log and spends nothing.
    """
    _WITHOUT_TURN.add(query)
    return query


class Writer:
    """Drains its queues without a timer: alone, a write commits at once; many commit together."""

    def __init__(
        self, engine: AsyncEngine, queue_size: int = QUEUE_SIZE, on_retry: Callable[[], None] = lambda: None
    ) -> None:
        """`on_retry` is called each time that PostgreSQL has a transaction tried again."""
        if engine.dialect.name == "sqlite":
            self._engine: OneThread | Awaited = OneThread(engine)
            self._turns = self._claims = self._arrivals = _Lane(self._engine.run)
        else:
            self._engine = Awaited(engine, on_retry)
            self._turns = _Lane(partial(self._engine.run, in_turn=True))
            self._claims, self._arrivals = _Lane(self._engine.run), _Lane(self._engine.run)
        self._lanes = {self._turns, self._claims, self._arrivals}
        self._size, self._numbers, self._closed = queue_size, count(), False
        self.failures = 0  # writes that the database has not taken, so far
        self._arriving = 0  # webhooks that wait to be stored
        self._flood_at = float("-inf")  # the loop's time of the newest webhook that came in a flood
        self._gave_way_at = self._calm_at = 0.0  # when work went on last, and the newest webhook of no flood

    @property
    def waiting(self) -> int:
        """The number of writes that wait for their turn."""
        return sum(map(len, self._lanes))

    async def do(
        self,
        work: Callable[[Connection], T],
        turn: Turn = Turn.PROGRAM,
        *,
        query: Callable[..., Any] | None = None,
        then: Callable[[], None] | None = None,
    ) -> T:
        """Run `work` in a transaction when it is its turn; its value once that is committed. `query` is what
        `work` calls, if it may be one `without_turn`. `then` as in `together`.

        `work` may run twice (when a neighbour fails, each is tried again alone), so it only touches the
        database. Raises what `work` raises, StoreBusy when the queue is full, StoreClosed when stopping,
        StoreFailed when the database does not take it.
        """
        lane = self._claims if query in _WITHOUT_TURN else self._turns
        result: T = await self._enqueue(lane, turn, work, then=then)
        return result

    async def together(
        self,
        work: Callable[[Connection, Sequence[Item]], Sequence[T]],
        item: Item,
        then: Callable[[], None] | None = None,
    ) -> T:
        """Run `work` once for the items of all callers that wait with it; what it returns for this item.

        `work` gives one result for each item, in their order. `then` is called when whoever it wakes will
        find what was written: on SQLite at once, as its lane keeps the order, so that the next step claims it
        in the same transaction. Raises as `do` does; when `work` fails with several, each runs again alone.
        """
        lane = self._claims if work in _WITHOUT_TURN else self._turns
        result: T = await self._enqueue(lane, Turn.PROGRAM, work, item, shared=True, then=then)
        return result

    async def arrive(
        self,
        work: Callable[[Connection, Sequence[Item]], Sequence[None]],
        item: Item,
        then: Callable[[], None] | None = None,
    ) -> None:
        """As `together`, for a webhook: before everything else."""
        now = asyncio.get_running_loop().time()
        self._calm_at = self._calm_at if self._is_flooded(now) else now
        self._arriving += 1
        if self._arriving >= _FLOOD:
            self._flood_at = now
        try:
            await self._enqueue(self._arrivals, Turn.ARRIVAL, work, item, shared=True, then=then)
        finally:
            self._arriving -= 1

    async def give_way(self) -> None:
        """Wait while webhooks arrive in a flood, until it is a second and a half old.

        In an older flood, wait twice as long as the work took since the last call, at most a second: webhooks
        get two thirds, and both go on.
        """
        loop = asyncio.get_running_loop()
        worked = loop.time() - self._gave_way_at
        share = min(max(2 * worked, _FLOOD_SECONDS), _LONGEST_TURN)
        until = max(self._calm_at + _PATIENCE, loop.time() + share)
        while self._is_flooded(now := loop.time()) and now < until:  # noqa: ASYNC110 - time ends it
            await asyncio.sleep(_FLOOD_SECONDS / 5)
        self._gave_way_at = loop.time()

    def _is_flooded(self, now: float) -> bool:
        return now - self._flood_at < _FLOOD_SECONDS

    async def _enqueue(
        self,
        lane: _Lane,
        turn: Turn,
        work: Callable[..., Any],
        item: Any = None,
        *,
        shared: bool = False,
        then: Callable[[], None] | None = None,
    ) -> Any:
        if self._closed:
            raise StoreClosed
        if self.waiting >= self._size:
            raise StoreBusy
        done = asyncio.get_running_loop().create_future()
        lane.add(_Write(turn, next(self._numbers), work, done, item, shared))
        if then is not None and len(self._lanes) == 1:
            then()
        try:
            result = await done
        except Exception as error:
            if is_of_database(error):
                self.failures += 1
                refuse(error)
            raise
        if then is not None and len(self._lanes) > 1:
            then()
        return result

    def close(self) -> None:
        """Take no more writes; those that wait are told that nothing was stored, those begun are finished."""
        self._closed = True
        for lane in self._lanes:
            lane.close()

    async def run(self) -> None:
        """Commit what comes until closed."""
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(lane.run())
        finally:
            self.close()
            await self._engine.dispose()


def _run(batch: list[_Write], connection: Connection) -> list[Any]:
    """The results of a batch. Writes that share their work run where the first of them stands."""
    results: dict[int, Any] = {}
    for write in batch:
        if write.number in results:
            continue
        if write.shared:
            alike = [one for one in batch if one.shared and one.work == write.work]
            found = write.work(connection, [one.item for one in alike])
            results |= dict(zip((one.number for one in alike), found, strict=True))
        else:
            results[write.number] = write.work(connection)
    return [results[write.number] for write in batch]


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)
