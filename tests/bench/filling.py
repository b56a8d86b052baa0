"""Makes a database large: copies of rows that the program has written, so that they are what it would write."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

# What is rebuilt at the end is built once, and not a row at a time.
_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"


class Filling:
    """A SQLite database that no program has open."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def copies(self, table: str, count: int, **changed: str) -> None:
        """Add `count` copies of the first row of a table.

        `changed` gives columns other values: SQL in which `n` is the number of the copy, from 1.
        """
        columns = [row[1] for row in self._database.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(changed.get(column, column) for column in columns)
        numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        first = f"(SELECT * FROM {table} ORDER BY rowid LIMIT 1)"  # noqa: S608 - the names of our own tables
        into = f"INSERT INTO {table} ({', '.join(columns)})"
        self._database.execute(f"{numbers} {into} SELECT {values} FROM numbers, {first}", (count,))  # noqa: S608 - as above


async def fill(path: Path, work: Callable[[Filling], None]) -> None:
    """Do the work on a thread; all of it is in the database afterwards. A cancellation ends it at once."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    running = asyncio.create_task(asyncio.to_thread(_work, database, work))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        database.interrupt()
        await asyncio.wait([running])
        raise
    finally:
        database.close()


def _work(database: sqlite3.Connection, work: Callable[[Filling], None]) -> None:
    for pragma in ("journal_mode=DELETE", "synchronous=OFF", "cache_size=-500000"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("BEGIN")
    indexes = database.execute(_INDEXES).fetchall()
    for name, _ in indexes:
        database.execute(f"DROP INDEX {name}")
    work(Filling(database))
    for _, made in indexes:
        database.execute(made)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode=WAL")
