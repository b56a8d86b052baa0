"""The engine for either database, its settings and its lock: the only place that knows dialects."""

import fcntl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, CursorResult, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.errors import StoreLocked, StoreUnreachable

# Readers of other processes (`export`, a backup) may hold the file for a moment.
_BUSY_TIMEOUT_MS = 5_000


def make_engine(url: str) -> AsyncEngine:
    """The engine for `url` (`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`)."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    return create_async_engine(
        parsed, pool_size=4, max_overflow=0, pool_pre_ping=True, isolation_level="READ COMMITTED"
    )


def _sqlite_engine(url: URL) -> AsyncEngine:
    # One connection: SQLite has one writer, and a pool of several only makes them wait for each other
    # (measured: a p99 of 0.4 s with the default pool).
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=None)

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred; ours is below
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",  # an acknowledged webhook survives a power cut
            "foreign_keys=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that starts by reading must not fail when it comes to write.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> CursorResult[Any]:
    """INSERT … ON CONFLICT DO NOTHING: rows whose key is already there are left as they are."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing()
    return connection.execute(statement, list(rows))


def is_file(url: str) -> bool:
    """Whether the database is a SQLite file, which one process owns."""
    return make_url(url).get_backend_name() == "sqlite"


@asynccontextmanager
async def sole_owner(url: str) -> AsyncIterator[None]:
    """Hold the lock file beside a SQLite database; PostgreSQL needs none.

    Raises StoreLocked when another process holds it, StoreUnreachable when the folder cannot be written.
    """
    path = make_url(url).database
    if not is_file(url) or path in (None, "", ":memory:"):
        yield
        return
    lock = _take_lock(Path(f"{path}.lock"))
    try:
        yield
    finally:
        lock.close()


def _take_lock(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        msg = f"The database folder {path.parent} cannot be written ({error.strerror}). Check DATABASE_URL."
        raise StoreUnreachable(msg) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StoreLocked from error
    return file


def allow_foreign_key_rewrites(connection: Connection) -> None:
    """Before migrating SQLite: Alembic rewrites whole tables, which would cascade to their children."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")


def take_migration_lock(connection: Connection) -> None:
    """One replica migrates PostgreSQL at a time; SQLite has its lock file."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265127)")
