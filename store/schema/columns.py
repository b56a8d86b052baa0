"""Column types, constraints and indexes that mean the same on every database; and rows as values."""

from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Dialect,
    Index,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine

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
    """SafeText in the order of its characters' codes, so that a prefix is a range.

    PostgreSQL sorts text as people do where nothing else is said, and may then put ";" before ":".
    """

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


def partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> Index:
    """An index of the rows that meet `where` alone."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def value_of(kind: Callable[..., T], row: Any, **read: Any) -> T:
    """The value in a row: each field is the column of its name, but for those that `read` gives."""
    own = {
        name: getattr(row, name) if read_as is None else read_as(getattr(row, name))
        for name, read_as in _readers(kind)
        if name not in read
    }
    return kind(**own, **read)


@cache
def _readers(kind: Any) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    hints = get_type_hints(kind)
    return tuple((one.name, _reader(hints[one.name])) for one in fields(kind))


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    """Read a field of this type: states are kept as texts, flags as integers, tuples as JSON lists.

    None: the column's value is the field's.
    """
    if isinstance(hint, type) and issubclass(hint, (StrEnum, bool)):
        return hint
    if get_origin(hint) is not tuple:
        return None
    if get_origin(get_args(hint)[0]) is tuple:
        return lambda found: tuple(tuple(one) for one in found or ())
    return lambda found: tuple(found or ())
