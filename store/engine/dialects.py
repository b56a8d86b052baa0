"""SQLite and PostgreSQL: engines, upserts, column types, rows as values. Only this and `locks` know them."""

import fcntl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, TypeVar, TypeVarTuple, get_args, get_origin, get_type_hints

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Executable,
    Index,
    Select,
    Table,
    Text,
    TypeDecorator,
    UnaryExpression,
    create_engine,
    event,
    literal,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.types import TypeEngine

from store.engine.errors import StoreFailed, StoreLocked, StoreUnreachable
from store.models.reasons import ChangeCause, Reason, read_cause, read_reason

Row = TypeVarTuple("Row")
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


def insert_new(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *returning: Column[Any]
) -> CursorResult[Any]:
    """INSERT … ON CONFLICT DO NOTHING: rows whose key is already there are left as they are."""
    return connection.execute(_insert_new(connection.dialect.name, table, *returning), list(rows))


def insert_new_by_driver(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """As `insert_new`, through the driver's own `executemany`: half the time for many rows. Each row has the
    same columns. Raises StoreFailed for a value that its column cannot hold.
    """
    statement, columns = _for_driver(connection.dialect, table, tuple(rows[0]))
    try:
        given = [tuple(bind(row.get(name, default)) for name, bind, default in columns) for row in rows]
    except ValueError as error:
        raise StoreFailed from error
    connection.exec_driver_sql(statement, given)


@cache
def _for_driver(
    dialect: Dialect, table: Table, names: tuple[str, ...]
) -> tuple[str, Sequence[tuple[str, Callable[[Any], Any], Any]]]:
    """The text of the statement, and for each of its parameters the column, what makes its value, and its
    default.
    """
    statement: Any = _insert_new(dialect.name, table)
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    columns = [table.c[name] for name in compiled.positiontup]
    return str(compiled), [
        (one.name, one.type.bind_processor(dialect) or _as_it_is, getattr(one.default, "arg", None))
        for one in columns
    ]


def _as_it_is(value: Any) -> Any:
    return value


@cache  # a gate decision needs several of these, and building one costs more than the database's part
def _insert_new(name: str, table: Table, *returning: Column[Any]) -> Executable:
    statement = insert_into(name, table).on_conflict_do_nothing()
    made: Executable = statement.returning(*returning) if returning else statement
    return made


def insert_into(name: str, table: Table) -> Any:
    """INSERT of the dialect of this name, which knows ON CONFLICT."""
    return (postgresql if name == "postgresql" else sqlite).insert(table)


def spelled(column: Column[Any], state: StrEnum) -> ColumnElement[bool]:
    """The column holds this state, spelled out: the index of that state then answers without the rows."""
    return column == literal(state.value, literal_execute=True)


def stream_rows(query: Select[*Row]) -> Select[*Row]:
    """The query with its rows fetched as they are needed: PostgreSQL's driver would load all of them."""
    return query.execution_options(yield_per=500)


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


T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime kept as microseconds since 1970 UTC: one integer compares alike on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a naive datetime cannot be stored: {value!r}"
            raise ValueError(msg)
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else _EPOCH + value * _MICROSECOND


class SafeText(TypeDecorator[str]):
    """Text without the two things a database may refuse: NUL (PostgreSQL) and lone surrogates (both)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as above
        return None if value is None else _readable(value)


class KeyText(SafeText):
    """SafeText in the order of its codes, so that a prefix is a range: PostgreSQL may put ";" before ":"."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[str]:
        return Text(collation="C" if dialect.name == "postgresql" else None)


class SafeJson(TypeDecorator[Any]):
    """JSON of which queries read a part: PostgreSQL refuses to where a NUL or a lone surrogate is in it."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return readable(value)

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        return self.impl_instance.coerce_compared_value(op, value)


def readable(value: Any) -> Any:
    """The same JSON value with texts as SafeText keeps them."""
    if isinstance(value, str):
        return _readable(value)
    if isinstance(value, dict):
        return {_readable(name): readable(each) for name, each in value.items()}
    return [readable(each) for each in value] if isinstance(value, list) else value


def _readable(value: str) -> str:
    return value.replace("\0", "").encode("utf-8", "replace").decode()


def one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    """The column holds one of these states."""
    allowed = ", ".join(f"'{state}'" for state in states)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


def partial_index(
    name: str, *columns: Column[Any] | UnaryExpression[Any], where: ColumnElement[bool]
) -> Index:
    """An index of the rows that meet `where` alone."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def values_of(connection: Connection, query: Select[*Row], kind: Callable[..., T], **read: Any) -> list[T]:
    """The rows that a query finds, each as a value."""
    return [value_of(kind, row, **read) for row in connection.execute(query)]


def value_of(kind: Callable[..., T], row: Any, **read: Any) -> T:
    """The value in a row: each field is the column of its name, but for those that `read` gives."""
    return kind(**{name: read_off(row) for name, read_off in _readers(kind) if name not in read}, **read)


@cache
def _readers(kind: Any) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    return tuple((name, _reader(name, hint)) for name, hint in _hints(kind).items())


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


# Kept in two columns: its code and its arguments.
_CODED: Mapping[Any, Callable[..., Any]] = {Reason | None: read_reason, ChangeCause | None: read_cause}


def _reader(name: str, hint: Any) -> Callable[[Any], Any]:
    """Read a field of this type: states are kept as texts, flags as integers, tuples as JSON lists."""
    if hint in _CODED:
        kept = name.removeprefix("status_")  # a proposal's reason is that of its state
        return lambda row: _CODED[hint](getattr(row, f"{kept}_code"), getattr(row, f"{kept}_args"))
    if isinstance(hint, type) and issubclass(hint, (StrEnum, bool)):
        return lambda row: hint(getattr(row, name))
    if get_origin(hint) is not tuple:
        return attrgetter(name)
    if get_origin(get_args(hint)[0]) is tuple:
        return lambda row: tuple(tuple(one) for one in getattr(row, name) or ())
    return lambda row: tuple(getattr(row, name) or ())


def row_of(value: Any) -> dict[str, Any]:
    """The columns of a value, as `value_of` reads them."""
    row: dict[str, Any] = {}
    for name, hint in _hints(value.__class__).items():
        held = getattr(value, name)
        if hint in _CODED:
            row |= {f"{name}_code": held and held.code, f"{name}_args": held and dict(held.args)}
        elif isinstance(held, Mapping):
            row[name] = dict(held)
        else:
            row[name] = int(held) if isinstance(held, bool) else held
    return row
