"""The transactions that write: on SQLite in a thread of its own, on PostgreSQL with locks and new tries."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import uniform
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine.engines import in_process_engine

T = TypeVar("T")

# The longest pause in seconds before each further try of what was lost to a rival. At random within it, so
# that two who met do not meet again.
_PAUSES = (0.01, 0.02, 0.04, 0.08)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOST = frozenset({"40001", "40P01"})


def take_migration_lock(connection: Connection) -> None:
    """One replica migrates PostgreSQL at a time; SQLite has its lock file."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265127)")


def advisory_lock(connection: Connection) -> None:
    """Take the turn until the transaction ends: one replica appends to the audit log and spends at a time.

    A transaction holds what several callers asked for, so the order of its row locks is nobody's choice:
    without the turn two busy replicas ran into a deadlock every other second, and each costs both a second.
    What a transaction reads of cap and log is then true until it ends.
    """
    if not connection.get_execution_options().get("read_only"):
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265128)")


def _lost_to_rival(error: DBAPIError) -> bool:
    """True for a deadlock or a serialization failure: nothing was written, and the same may succeed now."""
    return getattr(error.orig, "sqlstate", None) in _LOST


class OneThread:
    """SQLite on a thread of its own: a transaction is one hop there and back.

    aiosqlite hops three times for each statement, and each hop waits its turn for the interpreter. Measured
    once, on two busy cores, webhook to card at 50 a second: p50 494 ms with it, 9 ms so.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.sync_engine = in_process_engine(engine)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._kept: Connection | None = None  # to take it from a pool costs a fifth of a small transaction

    async def run(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, once its transaction is committed. Raises what it raises, rolled back."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        self._kept = self._kept or self.sync_engine.connect()
        with self._kept.begin():
            return work(self._kept)

    async def dispose(self) -> None:
        """Wait for what is under way and close the connections."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._kept is not None:
            self._kept.close()
        self.sync_engine.dispose()


class _Undone(Exception):
    """The server has undone a transaction, or never had it: the same may succeed now."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__()
        self.error = error


class Awaited:
    """PostgreSQL over its async driver."""

    def __init__(self, engine: AsyncEngine, on_retry: Callable[[], None]) -> None:
        self._engine, self._on_retry = engine, on_retry
        self.sync_engine = engine.sync_engine

    async def run(self, work: Callable[[Connection], T], *, in_turn: bool = False) -> T:
        """The result of `work`, once its transaction is committed. Raises what it raises, rolled back.

        What was lost to a deadlock, a serialization failure or a closed connection is tried again, a few
        times. None of ours causes a deadlock, but a person's or another program's transaction may.
        """
        for pause in _PAUSES:
            try:
                return await self._once(work, in_turn=in_turn)
            except _Undone:
                self._on_retry()
                await asyncio.sleep(uniform(0, pause))  # noqa: S311 - no secret
        try:
            return await self._once(work, in_turn=in_turn)
        except _Undone as undone:
            raise undone.error from undone

    async def _once(self, work: Callable[[Connection], T], *, in_turn: bool) -> T:
        # While a transaction holds the turn each of its round trips is everybody's: the server waits for this
        # process to be given the CPU, and so does every other replica. So there are as few as there can be.
        async with self._engine.begin() as connection:
            try:
                if in_turn:
                    await connection.run_sync(advisory_lock)
                return await connection.run_sync(work)
            except DBAPIError as error:
                # Not the commit: whether that was done nobody can say when the connection is lost.
                if _lost_to_rival(error) or error.connection_invalidated:
                    raise _Undone(error) from error
                raise

    async def dispose(self) -> None:
        await self._engine.dispose()
