"""INSERT … ON CONFLICT DO UPDATE: rows that are added to what is there, or replace what is older."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Executable, Table, tuple_

from store.engine.dialects import insert_into


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
