"""The open store: locked, migrated, with its writer running.

Group commit: whatever waits to be written goes into one transaction, and returns once it is durable.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine.dialects import advisory_lock, in_process_engine, is_file, make_engine, sole_owner
from store.engine.errors import StoreBusy, StoreClosed, StoreFailed, StoreUnreachable
from store.engine.migrate import migrate, require_current
from store.events.events import insert_events
from store.models import NewEvent

P = ParamSpec("P")
T = TypeVar("T")
Row = TypeVar("Row")

# Ten failures in a row make Polar disable the endpoint: a burst must find room. 20,000 waiting writes
# are a few seconds of work and some tens of megabytes.
QUEUE_SIZE = 20_000
# Past this the transaction grows longer but not cheaper per write.
_MOST_AT_ONCE = 256
# While webhooks arrive, only so many others join a transaction: in a flood the sender is answered first and
# the cards follow (64 connections, medians of eight: 2,500 webhooks a second without, 3,260 with).
_BESIDE_ARRIVALS = 4
# So many webhooks in one transaction only come together when Polar (or a benchmark) floods us.
_FLOOD = 8


class Turn(IntEnum):
    """The order in which waiting writes are taken."""

    ARRIVAL = 0  # a webhook: Polar waits for the answer
    PERSON = 1  # a click: Slack waits for the answer
    PROGRAM = 2


@dataclass(order=True, slots=True)
class _Write:
    """Something to run with the connection, or (with `row`) one row of an insert of many."""

    turn: Turn
    number: int
    work: Callable[..., Any] = field(compare=False)
    done: asyncio.Future[Any] = field(compare=False)
    row: Any = field(default=None, compare=False)


class Writer:
    """Drains its queue without a timer: alone, a write commits at once; many commit together."""

    def __init__(self, engine: AsyncEngine, queue_size: int = QUEUE_SIZE) -> None:
        self._engine = _OneThread(engine) if engine.dialect.name == "sqlite" else _Awaited(engine)
        self._size = queue_size
        self._queue: list[_Write] = []  # a heap
        self._numbers = count()
        self._news = asyncio.Event()
        self._closed = False
        self.arrivals = 0  # rows that arrived together in the last transaction

    @property
    def waiting(self) -> int:
        """The number of writes that wait for their turn."""
        return len(self._queue)

    async def do(self, work: Callable[[Connection], T], turn: Turn = Turn.PROGRAM) -> T:
        """Run `work` in a transaction when it is its turn; its value once that is committed.

        `work` may run twice (when a neighbour fails, each is tried again alone), so it only touches the
        database. Raises what `work` raises, StoreBusy when the queue is full, StoreClosed when stopping,
        StoreFailed when the database does not take it.
        """
        result: T = await self._enqueue(turn, work)
        return result

    async def add(self, insert: Callable[[Connection, Sequence[Row]], None], row: Row) -> None:
        """Insert `row` in the next transaction, in one statement with the others that wait for `insert`."""
        await self._enqueue(Turn.ARRIVAL, insert, row)

    async def _enqueue(self, turn: Turn, work: Callable[..., Any], row: Any = None) -> Any:
        if self._closed:
            raise StoreClosed
        if len(self._queue) >= self._size:
            raise StoreBusy
        done = asyncio.get_running_loop().create_future()
        heappush(self._queue, _Write(turn, next(self._numbers), work, done, row))
        self._news.set()
        try:
            return await done
        except SQLAlchemyError as error:
            raise StoreFailed from error

    def close(self) -> None:
        """Take no more writes; those that wait are told that nothing was stored, those begun are finished."""
        self._closed = True
        while self._queue:
            _fail(self._queue.pop(), StoreClosed())
        self._news.set()

    async def run(self) -> None:
        """Commit what comes until closed."""
        try:
            while not self._closed:
                await self._news.wait()
                self._news.clear()
                while batch := self._next_batch():
                    await self._commit(batch)
        finally:
            self.close()
            await self._engine.dispose()

    def _next_batch(self) -> list[_Write]:
        """The waiting writes, without those whose caller has gone away (Polar hung up)."""
        batch: list[_Write] = []
        flooded = bool(self._queue) and self._queue[0].turn is Turn.ARRIVAL
        room = _BESIDE_ARRIVALS if flooded else _MOST_AT_ONCE
        while self._queue and len(batch) < _MOST_AT_ONCE and room:
            write = heappop(self._queue)
            if not write.done.done():
                batch.append(write)
                room -= write.turn is not Turn.ARRIVAL
        self.arrivals = sum(write.turn is Turn.ARRIVAL for write in batch)
        return batch

    async def _commit(self, batch: list[_Write]) -> None:
        try:
            results = await self._engine.run(partial(_run, batch))
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the write
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            # A bad write must not fail its neighbours: each is tried by itself.
            for write in batch:
                await self._commit([write])
            return
        for write, result in zip(batch, results, strict=True):
            if not write.done.done():
                write.done.set_result(result)


def _run(batch: list[_Write], connection: Connection) -> list[Any]:
    rows: defaultdict[Callable[..., Any], list[Any]] = defaultdict(list)
    for write in batch:
        if write.row is not None:
            rows[write.work].append(write.row)
    for insert, many in rows.items():
        insert(connection, many)
    return [write.work(connection) if write.row is None else None for write in batch]


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)


class _OneThread:
    """SQLite on a thread of its own: a transaction is one hop there and back.

    aiosqlite hops three times for each statement, and each hop waits its turn for the interpreter. Measured
    once, on two busy cores, webhook to card at 50 a second: p50 494 ms with it, 9 ms so.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.sync_engine = in_process_engine(engine)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")

    async def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, once its transaction is committed. Raises what it raises, rolled back."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        with self.sync_engine.begin() as connection:
            return work(connection)

    async def dispose(self) -> None:
        """Wait for what is under way and close the connections."""
        await asyncio.to_thread(self._thread.shutdown)
        self.sync_engine.dispose()


class _Awaited:
    """PostgreSQL over its async driver."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.sync_engine = engine.sync_engine

    async def run(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            await connection.run_sync(advisory_lock)
            return await connection.run_sync(work)

    async def dispose(self) -> None:
        await self._engine.dispose()


class Store:
    """Everything is read and written through `do`; webhooks come in through `record`."""

    def __init__(self, writer: Writer, *, sole_owner: bool) -> None:
        self._writer = writer
        self.sole_owner = sole_owner  # no other process writes: an old lease is a dead process's

    async def do(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query function of this package in a transaction; what it wrote is durable on return.

        Query functions take a `Connection` and cannot await, so no network call fits into a transaction.
        Raises what the query raises, or a StoreError when the database does not take it.
        """
        return await self._writer.do(lambda connection: query(connection, *args, **kwargs))

    async def do_for_person(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `do`, before the program's own writes: a person waits, and Slack waits three seconds for it."""
        return await self._writer.do(lambda connection: query(connection, *args, **kwargs), Turn.PERSON)

    async def record(self, event: NewEvent) -> None:
        """Store one webhook; returns once it is on disk. An id already stored changes nothing."""
        await self._writer.add(insert_events, event)

    async def ping(self) -> None:
        """Raises when the database does not answer."""
        await self.do(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())

    async def backpressure(self) -> None:
        """Wait, a quarter of a second at most, while webhooks arrive in a flood: they are answered first."""
        for _ in range(25):
            if self._writer.arrivals < _FLOOD:
                return
            await asyncio.sleep(0.01)

    @property
    def backlog(self) -> int:
        """The number of writes that wait."""
        return self._writer.waiting


@asynccontextmanager
async def open_store(url: str, *, exclusive: bool = True) -> AsyncIterator[Store]:
    """Open, migrate and serve the database until the block ends.

    `exclusive=False` is for commands that only look, also while the program runs: nothing is locked,
    migrated or written. Raises StoreLocked, StoreTooNew, StoreUnreachable.
    """
    if not exclusive:
        async with _serving(make_engine(url, read_only=True), sole_owner=False) as store:
            yield store
        return
    async with sole_owner(url):
        engine = make_engine(url)
        try:
            await _migrated(engine)
            async with _serving(engine, sole_owner=is_file(url)) as store:
                yield store
        finally:
            await engine.dispose()


@asynccontextmanager
async def open_beside(url: str) -> AsyncIterator[Store]:
    """For a command that writes one thing, whether the program runs or not: nothing is locked or migrated.

    What it writes is guarded like everything else, so the program and the command cannot both win. Raises
    StoreUnreachable, StoreOutdated, StoreTooNew.
    """
    looking = make_engine(url, read_only=True)
    try:
        async with looking.connect() as connection:
            await connection.run_sync(require_current)
    finally:
        await looking.dispose()
    async with _serving(make_engine(url), sole_owner=False) as store:
        yield store


async def _migrated(engine: AsyncEngine) -> None:
    try:
        await migrate(engine)
    except (OSError, DBAPIError) as error:
        reason = getattr(error, "orig", None) or error
        msg = f"The database cannot be opened ({reason}). Check DATABASE_URL and the rights on its folder."
        raise StoreUnreachable(msg) from error


@asynccontextmanager
async def _serving(engine: AsyncEngine, *, sole_owner: bool) -> AsyncIterator[Store]:
    writer = Writer(engine)
    running = asyncio.create_task(writer.run(), name="store writer")
    try:
        yield Store(writer, sole_owner=sole_owner)
    finally:
        # Closing, not cancelling: a commit under way is finished, and its callers are told the truth.
        writer.close()
        await running
        await engine.dispose()
