"""Rows of parameters as a table: one statement asks the same of many, however many they are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, Row, Select, Subquery, bindparam, select, union
from sqlalchemy.types import TypeEngine

# SQLite takes 500 parts of a UNION.
_MOST = 128


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
