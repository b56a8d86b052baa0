"""Statements, column types and rows as values, written once for SQLite and PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar, TypeVarTuple, get_args, get_origin, get_type_hints

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    CursorResult,
    Dialect,
    Executable,
    Index,
    Row,
    Select,
    Subquery,
    Table,
    Text,
    TypeDecorator,
    UnaryExpression,
    bindparam,
    literal,
    select,
    tuple_,
    union,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from store.engine.errors import StoreFailed
from store.models.reasons import ChangeCause, Reason, read_cause, read_reason

T = TypeVar("T")
Columns = TypeVarTuple("Columns")
# SQLite takes 500 parts of a UNION.
_MOST = 128


def insert_new(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *returning: Column[Any]
) -> CursorResult[Any]:
    """INSERT … ON CONFLICT DO NOTHING: rows whose key is already there are left as they are."""
    return connection.execute(_insert_new(connection.dialect.name, table, *returning), list(rows))


def insert_new_by_driver(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], spell: "Spell"
) -> None:
    """As `insert_new`, through the driver's own `executemany`: half the time for many rows. Each row has the
    same columns. `spell` changes the statement. Raises StoreFailed for a value that its column cannot hold.
    """
    statement, columns = _for_driver(connection.dialect, table, tuple(rows[0]), spell)
    try:
        given = [tuple(bind(row.get(name, default)) for name, bind, default in columns) for row in rows]
    except ValueError as error:
        raise StoreFailed from error
    connection.exec_driver_sql(statement, given)


Spell = Callable[[str, str, Sequence[str]], str]  # of the dialect's name, the text, and its columns


@cache
def _for_driver(
    dialect: Dialect, table: Table, names: tuple[str, ...], spell: Spell
) -> tuple[str, Sequence[tuple[str, Callable[[Any], Any], Any]]]:
    """The text, and for each of its parameters the column, what makes its value, and its default."""
    made: Any = _insert_new(dialect.name, table)
    compiled = made.compile(dialect=dialect, column_keys=list(names))
    columns = [table.c[name] for name in compiled.positiontup]
    return spell(dialect.name, str(compiled), compiled.positiontup), [
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


def upsert_increment(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *sums: str
) -> None:
    """Insert rows; where the key is there, the columns `sums` grow by the new values."""
    connection.execute(_upsert_increment(connection.dialect.name, table, sums), list(rows))


@cache
def _upsert_increment(name: str, table: Table, sums: tuple[str, ...]) -> Executable:
    statement = insert_into(name, table)
    grown = {column: table.c[column] + statement.excluded[column] for column in sums}
    made: Executable = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=grown)
    return made


def upsert_newer(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *by: str) -> None:
    """Insert rows; where the key is there, a row that is older `by` these columns is replaced."""
    connection.execute(_upsert_newer(connection.dialect.name, table, by), list(rows))


@cache
def _upsert_newer(name: str, table: Table, by: tuple[str, ...]) -> Executable:
    statement, key = insert_into(name, table), list(table.primary_key)
    new = {one.name: statement.excluded[one.name] for one in table.c if not one.primary_key}
    older = tuple_(*(table.c[each] for each in by)) < tuple_(*(new[each] for each in by))
    made: Executable = statement.on_conflict_do_update(index_elements=key, set_=new, where=older)
    return made


def spelled(column: Column[Any], state: StrEnum) -> ColumnElement[bool]:
    """The column holds this state, spelled out: the index of that state then answers without the rows."""
    return column == literal(state.value, literal_execute=True)


def skip_locked(query: Select[*Columns]) -> Select[*Columns]:
    """The query with its rows locked as an UPDATE would, without those that a rival has."""
    return query.with_for_update(skip_locked=True, key_share=True)


def stream_rows(query: Select[*Columns]) -> Select[*Columns]:
    """The query with its rows fetched as they are needed: PostgreSQL's driver would load all of them."""
    return query.execution_options(yield_per=500)


def given(size: int, **columns: TypeEngine[Any]) -> Subquery:
    """A table of `size` rows with these columns, whose values are parameters; equal rows are one row."""
    rows: list[Select[Any]] = [
        select(*(bindparam(f"{name}_{number}", type_=type_).label(name) for name, type_ in columns.items()))
        for number in range(size)
    ]
    return union(*rows).subquery("given") if size > 1 else rows[0].subquery("given")


def ask(
    connection: Connection,
    statement: Callable[[int], Executable],
    rows: Sequence[Mapping[str, Any]],
    **more: Any,
) -> list[Row[Any]]:
    """The rows that a statement finds for these rows of parameters. `statement` builds it over `given(size)`;
    it keeps what it has built, and is asked for few sizes: the last row is repeated up to a power of two.
    `more` are its other parameters.
    """
    found: list[Row[Any]] = []
    for start in range(0, len(rows), _MOST):
        part = rows[start : start + _MOST]
        size = 1 << (len(part) - 1).bit_length()
        filled = [*part, *[part[-1]] * (size - len(part))]
        values = {f"{name}_{number}": one[name] for number, one in enumerate(filled) for name in one}
        found += connection.execute(statement(size), values | more).all()
    return found


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


def values_of(
    connection: Connection, query: Select[*Columns], kind: Callable[..., T], **read: Any
) -> list[T]:
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
