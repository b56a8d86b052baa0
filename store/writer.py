"""Group commit: whatever waits to be written goes into one transaction, and returns once it is durable."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from store.errors import StoreBusy, StoreClosed

T = TypeVar("T")
Row = TypeVar("Row")

# Ten failures in a row make Polar disable the endpoint: a burst must find room. 20,000 waiting writes
# are a few seconds of work and some tens of megabytes.
QUEUE_SIZE = 20_000
# Past this the transaction grows longer but not cheaper per write.
_MOST_AT_ONCE = 256


@dataclass(slots=True)
class _Write:
    """Something to run with the connection, or (with `row`) one row of an insert of many."""

    work: Callable[..., Any]
    done: asyncio.Future[Any]
    row: Any = None


class Writer:
    """Drains its queue without a timer: alone, a write commits at once; in a crowd, together."""

    def __init__(self, engine: AsyncEngine, queue_size: int = QUEUE_SIZE) -> None:
        self._engine = engine
        self._queue: asyncio.Queue[_Write] = asyncio.Queue(queue_size)
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many writes wait for their turn."""
        return self._queue.qsize()

    async def do(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the next transaction and return its value once that is committed.

        `work` may run twice (when a neighbour fails, each is tried again alone), so it only touches the
        database. Raises what `work` raises, StoreBusy when the queue is full, StoreClosed when stopping.
        """
        result: T = await self._enqueue(_Write(work, asyncio.get_running_loop().create_future()))
        return result

    async def add(self, insert: Callable[[Connection, Sequence[Row]], None], row: Row) -> None:
        """Insert `row` in the next transaction, in one statement with the others that wait for `insert`."""
        await self._enqueue(_Write(insert, asyncio.get_running_loop().create_future(), row))

    async def _enqueue(self, write: _Write) -> Any:
        if self._closed:
            raise StoreClosed
        try:
            self._queue.put_nowait(write)
        except asyncio.QueueFull:
            raise StoreBusy from None
        return await write.done

    async def run(self) -> None:
        """Commit until cancelled; then nothing more is taken on, and what waits is told so."""
        try:
            while True:
                await self._commit(await self._next_batch())
        finally:
            self._closed = True
            while not self._queue.empty():
                _fail(self._queue.get_nowait(), StoreClosed())

    async def _next_batch(self) -> list[_Write]:
        batch = [await self._queue.get()]
        while len(batch) < _MOST_AT_ONCE and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        # A caller that has gone away (Polar hung up) no longer wants its write begun.
        return [write for write in batch if not write.done.done()]

    async def _commit(self, batch: list[_Write]) -> None:
        if not batch:
            return
        try:
            results = await self._transaction(batch)
        except asyncio.CancelledError:
            for write in batch:
                _fail(write, StoreClosed())
            raise
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the write
            await self._alone(batch, error)
            return
        for write, result in zip(batch, results, strict=True):
            if not write.done.done():
                write.done.set_result(result)

    async def _alone(self, batch: list[_Write], error: Exception) -> None:
        """A bad write must not fail its neighbours: after a failed batch each is tried by itself."""
        if len(batch) == 1:
            _fail(batch[0], error)
            return
        for write in batch:
            await self._commit([write])

    async def _transaction(self, batch: list[_Write]) -> list[Any]:
        async with self._engine.begin() as connection:
            return await connection.run_sync(_run, batch)


def _run(connection: Connection, batch: list[_Write]) -> list[Any]:
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
