"""The open store: locked, migrated, with its writer running and readers beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine.engines import is_file, is_of_database, make_engine, sole_owner
from store.engine.errors import refuse, refuse_to_open
from store.engine.migrate import migrate, require_current
from store.engine.settings_kv import try_to_write
from store.engine.writer import Turn, Writer
from store.events.events import insert_events
from store.models import NewEvent

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

_TRIED = 1 << 16  # characters that are written to see whether the disk has room again: what an event may take


class Store:
    """Everything is written through `do`; what only looks goes through `read`; webhooks through `record`."""

    def __init__(self, writer: Writer, reader: AsyncEngine, *, sole_owner: bool) -> None:
        self._writer, self._reader = writer, reader
        self._mended = 0  # how many writes had failed when one has worked again
        self.sole_owner = sole_owner  # no other process writes: an old lease is a dead process's

    async def do(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query function of this package in a transaction; what it wrote is durable on return.

        Query functions take a `Connection` and cannot await, so no network call fits into a transaction.
        Raises what the query raises, or a StoreError when the database does not take it.
        """
        return await self._writer.do(lambda connection: query(connection, *args, **kwargs), query=query)

    async def do_for_person(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `do`, before the program's own writes: a person waits, and Slack waits three seconds for it."""
        return await self._writer.do(lambda connection: query(connection, *args, **kwargs), Turn.PERSON)

    async def do_and_wake(
        self,
        then: Callable[[], None],
        query: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `do`; `then` wakes whoever works on what was written."""
        return await self._writer.do(
            lambda connection: query(connection, *args, **kwargs), query=query, then=then
        )

    async def do_together(
        self,
        query: Callable[[Connection, Sequence[Item]], Sequence[T]],
        item: Item,
        then: Callable[[], None] | None = None,
    ) -> T:
        """As `do`, with one run of `query` for all callers that wait with it at the same time. `query` gives
        one result for each item, in their order. `then` wakes whoever works on what was written.
        """
        return await self._writer.together(query, item, then)

    async def read(
        self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query that writes nothing beside the writer, however long it takes. It sees one moment, with
        everything that was written before. Raises what the query raises, or a StoreError.
        """
        try:
            async with self._reader.connect() as connection:
                return await connection.run_sync(query, *args, **kwargs)
        except Exception as error:
            if is_of_database(error):
                refuse(error)
            raise

    async def record(self, event: NewEvent, then: Callable[[], None] | None = None) -> None:
        """Store one webhook; returns once it is on disk. An id already stored changes nothing. `then` wakes
        whoever works on it.
        """
        await self._writer.arrive(insert_events, event, then)

    async def ping(self) -> None:
        """Raises when the database does not answer, and after a failed write as long as it takes none."""
        failures = self._writer.failures
        if failures == self._mended:
            await self.do(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
            return
        await self.do(try_to_write, _TRIED)
        await self.do(try_to_write, 0)
        self._mended = failures

    async def give_way(self) -> None:
        """Wait a little while webhooks arrive in a flood: they are answered first."""
        await self._writer.give_way()

    @property
    def on_this_machine(self) -> bool:
        """True for a SQLite file: every process that opens it goes by one clock, this machine's."""
        return self._reader.dialect.name == "sqlite"

    @property
    def backlog(self) -> int:
        """The number of writes that wait."""
        return self._writer.waiting


@asynccontextmanager
async def open_store(
    url: str, *, exclusive: bool = True, on_retry: Callable[[], None] = lambda: None
) -> AsyncIterator[Store]:
    """Open, migrate and serve the database until the block ends.

    `exclusive=False` is for commands that only look, also while the program runs: nothing is locked,
    migrated or written. `on_retry` is called when PostgreSQL has a transaction tried again. Raises
    StoreLocked, StoreTooNew, StoreUnreachable.
    """
    if not exclusive:
        looking = make_engine(url, read_only=True)
        async with _serving(looking, looking, sole_owner=False) as store:
            yield store
        return
    async with sole_owner(url):
        engine = make_engine(url)
        try:
            await _migrated(engine)
            reader = make_engine(url, read_only=True)
            async with _serving(engine, reader, sole_owner=is_file(url), on_retry=on_retry) as store:
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
    except BaseException as error:
        await looking.dispose()
        if isinstance(error, OSError | DBAPIError):
            refuse_to_open(error)
        raise
    async with _serving(make_engine(url), looking, sole_owner=False) as store:
        yield store


async def _migrated(engine: AsyncEngine) -> None:
    try:
        await migrate(engine)
    except (OSError, DBAPIError) as error:
        refuse_to_open(error)


@asynccontextmanager
async def _serving(
    engine: AsyncEngine,
    reader: AsyncEngine,
    *,
    sole_owner: bool,
    on_retry: Callable[[], None] = lambda: None,
) -> AsyncIterator[Store]:
    writer = Writer(engine, on_retry=on_retry)
    running = asyncio.create_task(writer.run(), name="store writer")
    try:
        yield Store(writer, reader, sole_owner=sole_owner)
    finally:
        # Closing, not cancelling: a commit under way is finished, and its callers are told the truth.
        writer.close()
        await running
        await reader.dispose()
        await engine.dispose()
