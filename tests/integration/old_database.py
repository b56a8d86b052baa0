"""A database as the program of commit ee7edf9 left it, schema revision 0003, for tests of later migrations.

    await load_old_database(url)   # url: an empty database, SQLite or PostgreSQL

tests/payloads/database-0003.jsonl holds its rows. For each table there is one line {table: [columns]}, then one
line [table, values…] a row, as stored: JSON columns as JSON, the bytes of a webhook's body as their UTF-8 text.
tests/payloads/export-0003-*.jsonl is what `python -m bot export WHAT --format jsonl` of that commit printed.

The rows were written by the program, not by hand: in a checkout of ee7edf9, between the stand-ins for Slack and
Polar and with the demo's clock, in this order:

1. The program of b488aea (revision 0002) writes four proposals, one of them withdrawn with the rule's condition
   in its note, as later versions no longer write it. ee7edf9 migrates that database and goes on with it.
2. A week and a half in December: ten new customers, for each a gift and a link, approved one by one, so that
   two kinds of case may run on their own; scenes of the demo's month (undo, edit, retry, snooze, a dispute, a
   reminder, an escalation, an expiry).
3. A rules file with a 20 s wait before every run: what changes between card, tap and call; calls that are
   refused, made in part, already so, not answered; taps that do not count; threads; forms; the command line.
4. Kinds that run on their own: audits, caps, a pause, and every way to lose trust. A bundle approved by one tap.
5. Everything takes two people. Then Polar cannot be reached, the token is wrong, a scope is missing. The
   database is copied while a call is being sent, and the program starts again on the copy.
6. Half a year later: a kind begins anew. The last evening leaves something in every state, and the database is
   copied while the program runs: a call is being sent, a tap is being checked, messages wait, all is paused.

Of each case that depends on the draw for an audit, the filling program knows the draw beforehand. It passes
`python -m bot verify-log`. All names, secrets and tokens are made up.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import create_async_engine

import store

REVISION = "0003"
_PAYLOADS = Path(__file__).parents[1] / "payloads"
_ROWS = _PAYLOADS / "database-0003.jsonl"
_MIGRATIONS = Path(store.__file__).parent / "migrations"

Row = dict[str, Any]


def old_rows() -> dict[str, list[Row]]:
    """Every row by table, its columns with the values that SQLAlchemy takes."""
    found: dict[str, list[Row]] = {}
    columns: dict[str, list[str]] = {}
    for line in _lines(_ROWS):
        if isinstance(line, dict):
            columns |= line
            found |= {table: [] for table in line}
        else:
            table, *values = line
            found[table].append(dict(zip(columns[table], values, strict=True)))
    for event in found["events"]:
        event["body"] = event["body"].encode()
    return found


def old_export(what: str) -> list[Row]:
    """What the old program's `export` printed of this database: "proposals" or "decisions"."""
    return list(_lines(_PAYLOADS / f"export-0003-{what}.jsonl"))


async def load_old_database(url: str) -> None:
    """Fill a database with the old program's rows, at its revision. Whatever is in the database is dropped."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_load)
    finally:
        await engine.dispose()


def _load(connection: sa.Connection) -> None:
    there = sa.MetaData()
    there.reflect(connection)
    there.drop_all(connection)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)
    tables, rows = _reflected(connection), old_rows()
    for table in tables.sorted_tables:
        if rows.get(table.name):
            connection.execute(sa.insert(table), rows[table.name])
        _count_on(connection, table)


def _reflected(connection: sa.Connection) -> sa.MetaData:
    """The tables as the migrations made them; None is NULL in their JSON columns too."""
    tables = sa.MetaData()

    @sa.event.listens_for(tables, "column_reflect")
    def _none_is_null(_inspector: Any, _table: Any, column: Any) -> None:
        if isinstance(column["type"], sa.JSON):
            column["type"].none_as_null = True

    tables.reflect(connection)
    return tables


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number new rows after those that came with their numbers."""
    for column in table.primary_key:
        if connection.dialect.name == "postgresql" and column.server_default is not None:
            sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
            newest = sa.select(sa.func.max(column)).scalar_subquery()
            connection.execute(sa.select(sa.func.setval(sequence, newest)))


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
