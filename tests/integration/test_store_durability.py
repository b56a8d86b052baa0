"""What outlives the process: every acknowledged webhook. And who may open the file meanwhile."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from store import Store, open_store
from store.engine.errors import StoreFailed, StoreLocked, StoreUnreachable
from store.engine.settings_kv import Setting, read
from store.events.events import all_events, count_events, get_event
from store.models import NewEvent

ROOT = Path(__file__).parents[2]

# Records webhooks from 16 tasks at once and prints each id once `record` has returned.
RECORD_FOR_EVER = """
import asyncio, itertools, sys
from datetime import UTC, datetime
from store import open_store
from store.models import NewEvent

async def record(store, task):
    for n in itertools.count():
        now = datetime.now(UTC)
        await store.record(NewEvent(f"evt_{task}_{n}", "order.paid", b"{}" * 500, "v1,", now, now))
        sys.stdout.write(f"evt_{task}_{n}\\n")
        sys.stdout.flush()

async def main():
    async with open_store(sys.argv[1]) as store:
        await asyncio.gather(*(record(store, task) for task in range(16)))

asyncio.run(main())
"""

HOLD = """
import asyncio, sys
from store import open_store

async def main():
    async with open_store(sys.argv[1]):
        print("open", flush=True)
        sys.stdin.readline()

asyncio.run(main())
"""


def _start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - this interpreter, our own program
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("acknowledged", [1, 137, 600])
def test_what_was_acknowledged_is_there_after_kill_9(sqlite_url: str, acknowledged: int) -> None:
    with _start(RECORD_FOR_EVER, sqlite_url) as child:
        assert child.stdout is not None
        printed = [child.stdout.readline().strip() for _ in range(acknowledged)]
        child.kill()
        rest = child.stdout.read()
    # A last line without its end was cut off in the pipe, not in the store.
    printed += rest.split("\n")[:-1]
    kept = asyncio.run(_everything(sqlite_url))
    assert len(printed) >= acknowledged
    assert set(printed) <= kept


async def _everything(url: str) -> set[str]:
    async with open_store(url) as store:
        return await store.do(lambda connection: {event.id for event in all_events(connection)})


async def test_a_second_process_is_refused_and_a_reader_is_not(
    sqlite_url: str, new_event: Callable[..., NewEvent]
) -> None:
    with _start(HOLD, sqlite_url) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match="PostgreSQL"):
            async with open_store(sqlite_url):
                pass
        async with open_store(sqlite_url, exclusive=False) as reader:
            assert await reader.do(count_events) == {}
        child.kill()
    async with open_store(sqlite_url) as store:
        await store.record(new_event())


async def test_a_second_owner_in_the_same_process_is_refused_too(sqlite_url: str) -> None:
    async with open_store(sqlite_url):
        with pytest.raises(StoreLocked):
            async with open_store(sqlite_url):
                pass
    async with open_store(sqlite_url):
        pass


async def test_the_same_file_by_another_name_is_still_locked(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "other.db").symlink_to(tmp_path / "approvals.db")
    async with open_store(sqlite_url):
        with pytest.raises(StoreLocked):
            async with open_store(f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"):
                pass


async def test_a_reader_sees_what_is_recorded_while_it_is_open(
    sqlite_url: str, new_event: Callable[..., NewEvent]
) -> None:
    async with open_store(sqlite_url) as store, open_store(sqlite_url, exclusive=False) as reader:
        for expected in (1, 2):
            await store.record(new_event())
            assert await reader.do(count_events) == {"new": expected}


async def test_a_reader_keeps_nobody_from_writing(sqlite_url: str, tmp_path: Path) -> None:
    rival = sqlite3.connect(
        tmp_path / "approvals.db", timeout=0, isolation_level=None, check_same_thread=False
    )

    def write_meanwhile(_reading: object) -> None:
        rival.execute("BEGIN IMMEDIATE")
        rival.execute("ROLLBACK")

    try:
        async with open_store(sqlite_url, exclusive=False) as reader:
            await reader.do(write_meanwhile)
    finally:
        rival.close()


async def test_a_reader_of_a_database_that_is_not_there_is_told_and_makes_none(tmp_path: Path) -> None:
    path = tmp_path / "typo.db"
    with pytest.raises(StoreUnreachable):
        async with open_store(f"sqlite+aiosqlite:///{path}", exclusive=False) as reader:
            await reader.ping()
    assert not path.exists()


async def test_the_file_survives_a_power_cut_and_keeps_its_references(store: Store) -> None:
    if store._writer._engine.sync_engine.dialect.name != "sqlite":
        pytest.skip("pragmas are SQLite's")
    found = {
        name: await store.do(lambda c, name=name: c.exec_driver_sql(f"PRAGMA {name}").scalar())
        for name in ("journal_mode", "synchronous", "foreign_keys")
    }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_a_full_database_says_so_in_its_own_words(
    sqlite_url: str, new_event: Callable[..., NewEvent]
) -> None:
    big, small = new_event(body=b"x" * 1_000_000), new_event()
    async with open_store(sqlite_url) as store:
        await store.do(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 60").scalar())
        with pytest.raises(StoreFailed, match="nothing was written: database or disk is full"):
            await store.record(big)
        await store.record(small)
        assert await store.do(get_event, big.id) is None
        assert await store.do(get_event, small.id) is not None


async def test_after_a_failed_write_the_store_is_well_again_once_one_works(store: Store) -> None:
    async def tried() -> str | None:
        return await store.read(read, Setting.WRITE_TRIED)

    await store.ping()
    untried = await tried()
    with pytest.raises(StoreFailed):
        await store.do(lambda connection: connection.exec_driver_sql("SELECT nothing FROM nowhere"))
    await store.ping()

    assert (untried, await tried()) == (None, "")


async def test_an_iterator_of_everything_can_be_asked_for(
    store: Store, new_event: Callable[..., NewEvent]
) -> None:
    await store.record(new_event())
    assert await store.do(lambda connection: len(list(all_events(connection)))) == 1


@pytest.mark.parametrize("path", ["/proc/nowhere/a.db", "/dev/null/a.db"])
async def test_a_folder_that_cannot_be_written_is_named(path: str) -> None:
    with pytest.raises(StoreUnreachable, match=str(Path(path).parent)):
        async with open_store(f"sqlite+aiosqlite:///{path}"):
            pass


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "junk.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreUnreachable, match="DATABASE_URL"):
        async with open_store(f"sqlite+aiosqlite:///{path}"):
            pass


@pytest.mark.parametrize("url", ["nonsense", "postgres://h/db", "mysql://h/db", "sqlite+aiosqlite://"])
async def test_an_address_we_cannot_use_is_refused_in_our_words(url: str) -> None:
    with pytest.raises(StoreUnreachable, match="DATABASE_URL"):
        async with open_store(url) as store:
            await store.ping()
