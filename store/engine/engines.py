"""Engines: SQLite and PostgreSQL as they are opened, with their settings and the lock of a file."""

import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from store.engine.errors import StoreLocked, StoreUnreachable

# A transaction is over in milliseconds: a client silent for so long in the middle of one has vanished.
VANISHED = "30s"
_DRIVERS = frozenset({"sqlite+aiosqlite", "postgresql+asyncpg"})
# Readers of other processes (`export`, a backup) may hold the file for a moment: milliseconds.
_BUSY = "busy_timeout=5000"
_READING = (_BUSY, "query_only=ON")
# FULL: an acknowledged webhook survives a power cut.
_WRITING = (_BUSY, "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")


def make_engine(url: str, *, read_only: bool = False) -> AsyncEngine:
    """The engine for `url` (`sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`). Raises StoreUnreachable."""
    parsed = _parsed(url)
    # Parameters hold what customers wrote; an error must not carry them into the log.
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed, read_only=read_only)
    # A long query sees one moment, however much is written meanwhile: on SQLite every transaction does.
    level = "REPEATABLE READ" if read_only else "READ COMMITTED"
    # No ping before a write: it is a transaction of its own, and `Writer` tries again.
    pool = {"pool_size": 4, "max_overflow": 0, "pool_pre_ping": read_only}
    rights = {"read_only": read_only, "postgresql_readonly": read_only}
    engine = create_async_engine(
        parsed, hide_parameters=True, isolation_level=level, execution_options=rights, **pool
    )
    if not read_only:
        _end_vanished(engine.sync_engine)
    return engine


def _end_vanished(engine: Engine) -> None:
    """Let a client that vanishes within a transaction lose its locks: the server would wait for two hours."""

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{VANISHED}'")
        cursor.close()
        connection.commit()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("unreadable")
    if parsed.drivername not in _DRIVERS or (parsed.drivername == "sqlite+aiosqlite" and not _path(parsed)):
        msg = "DATABASE_URL must be sqlite:///path/of/a/file or postgresql://user:password@host/name."
        raise StoreUnreachable(msg)
    return parsed


def _path(url: URL) -> Path | None:
    """The file of a SQLite database; None for one in memory, which could not keep anything."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return None
    return Path(url.database).resolve()


def _sqlite_engine(url: URL, *, read_only: bool) -> AsyncEngine:
    path = _path(url)
    if read_only and path is not None and not path.exists():
        msg = f"There is no database at {path} yet. Start the program once, or check DATABASE_URL."
        raise StoreUnreachable(msg)
    options = {"hide_parameters": True, "execution_options": {"read_only": read_only}}
    # One connection that writes: SQLite has one writer, and a pool of several only makes them wait for each
    # other (measured: a p99 of 0.4 s with the default pool). Readers wait for nobody.
    size = 4 if read_only else 1
    engine = create_async_engine(url, pool_size=size, max_overflow=0, pool_timeout=None, **options)
    _set_up_sqlite(engine.sync_engine)
    return engine


def in_process_engine(engine: AsyncEngine) -> Engine:
    """The same SQLite file with the same settings through the standard library's driver, for one thread."""
    options = {"hide_parameters": True, "execution_options": engine.get_execution_options()}
    own = engine.url.set(drivername="sqlite+pysqlite")
    made = create_engine(own, pool_size=1, max_overflow=0, pool_timeout=None, **options)
    _set_up_sqlite(made)
    return made


def _set_up_sqlite(engine: Engine) -> None:
    read_only = engine.get_execution_options()["read_only"]

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred; ours is below
        for pragma in _READING if read_only else _WRITING:
            _pragma(connection, pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that starts by reading must not fail when it comes to write.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _pragma(connection: Any, pragma: str) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def is_of_database(error: Exception) -> bool:
    """True for an error of the database, of its driver or of the way there, which SQLAlchemy does not wrap
    while it connects.
    """
    return isinstance(error, SQLAlchemyError | OSError) or type(error).__module__.startswith("asyncpg")


def is_file(url: str) -> bool:
    """True for a SQLite file, which one process owns."""
    return _parsed(url).get_backend_name() == "sqlite"


@asynccontextmanager
async def sole_owner(url: str) -> AsyncIterator[None]:
    """Hold the lock file beside a SQLite database; PostgreSQL needs none.

    Raises StoreLocked when another process holds it, StoreUnreachable when the folder cannot be written.
    """
    path = _path(_parsed(url)) if is_file(url) else None
    if path is None:
        yield
        return
    lock = _take_lock(path.with_name(f"{path.name}.lock"))
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


@contextmanager
def foreign_keys_off(connection: Connection) -> Iterator[None]:
    """While migrating SQLite: Alembic rewrites whole tables, which would cascade to their children. Set on
    the driver's connection: SQLite ignores the pragma inside a transaction.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection
    _pragma(driver, "foreign_keys=OFF")
    try:
        yield
    finally:
        _pragma(driver, "foreign_keys=ON")
