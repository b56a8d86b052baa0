"""The yardstick for the store: one plain sqlite3 thread that inserts webhooks with executemany and commits."""

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from store import open_store
from tests.bench.deliveries import UNLISTENED, Deliveries

_INSERT = (
    "INSERT INTO events (id, type, body, signature, sent_at, received_at, due_at, state, attempts)"
    " VALUES (?, ?, ?, '', 0, 0, 0, 'done', 0)"
)


async def commits(count: int, at_once: int) -> list[float]:
    """The seconds of each of `count` transactions of `at_once` webhooks, as durable as those of the program."""
    with tempfile.TemporaryDirectory(prefix="polar-approvals-bench-") as folder:
        path = Path(folder) / "plain.db"
        async with open_store(f"sqlite+aiosqlite:///{path}"):
            pass  # the same table with the same indexes
        return _commit(path, _batches(count, at_once))


def _batches(count: int, at_once: int) -> list[Sequence[tuple[str, str, bytes]]]:
    bodies = list(Deliveries("", "", UNLISTENED).bodies(count * at_once))
    rows = [(f"plain-{number}", UNLISTENED, body) for number, body in enumerate(bodies)]
    return [rows[start : start + at_once] for start in range(0, len(rows), at_once)]


def _commit(path: Path, batches: Sequence[Sequence[tuple[str, str, bytes]]]) -> list[float]:
    took = []
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        for batch in batches:
            begun = time.perf_counter()
            database.execute("BEGIN IMMEDIATE")
            database.executemany(_INSERT, batch)
            database.execute("COMMIT")
            took.append(time.perf_counter() - begun)
    return took
