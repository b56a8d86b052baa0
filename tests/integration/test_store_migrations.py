"""The schema: migrations make what store/schema says, once, and never on a database from the future."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.pool import QueuePool

from store import open_store
from store.engine import migrate
from store.engine.engines import make_engine
from store.engine.errors import StoreTooNew
from store.schema.graduation import metadata

ROOT = Path(__file__).parents[2]

OPEN = """
import asyncio, sys
from store import open_store

async def main():
    async with open_store(sys.argv[1]) as store:
        await store.ping()

asyncio.run(main())
print("alembic" in sys.modules)
"""


async def _execute(url: str, statement: str) -> None:
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(statement))
    await engine.dispose()


def _difference(connection: Connection) -> list[object]:
    return compare_metadata(MigrationContext.configure(connection), metadata)


def _schema(connection: Connection) -> list[tuple[str, ...]]:
    rows = connection.execute(
        text("SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    )
    return sorted(tuple(row) for row in rows)


async def test_a_new_database_is_what_the_tables_say(database_url: str) -> None:
    async with open_store(database_url) as store:
        assert await store.do(_difference) == []


async def test_a_migrated_empty_database_is_what_a_new_one_is(tmp_path: Path) -> None:
    migrated, new = (f"sqlite+aiosqlite:///{tmp_path / name}" for name in ("migrated.db", "new.db"))
    engine = make_engine(migrated)
    async with engine.connect() as connection:
        await connection.run_sync(migrate._upgrade)
        assert await connection.run_sync(_difference) == []
        schema = await connection.run_sync(_schema)
    await engine.dispose()
    async with open_store(migrated) as store, open_store(new) as other:
        assert await store.do(_schema) == schema == await other.do(_schema)


def _names(connection: Connection) -> set[tuple[str, str, str | None]]:
    """The name of every constraint and index, by table and sort."""
    look = inspect(connection)
    found: set[tuple[str, str, str | None]] = set()
    for table in metadata.tables:
        found.add((table, "pk", look.get_pk_constraint(table)["name"]))
        found |= {(table, "fk", one["name"]) for one in look.get_foreign_keys(table)}
        found |= {(table, "uq", one["name"]) for one in look.get_unique_constraints(table)}
        found |= {(table, "ck", one["name"]) for one in look.get_check_constraints(table)}
        found |= {(table, "ix", one["name"]) for one in look.get_indexes(table)}
    return found


async def test_a_migrated_database_names_its_constraints_as_a_new_one_does(database_url: str) -> None:
    async with open_store(database_url) as store:
        new = await store.do(_names)
    assert all(name is not None and name.startswith((sort, "uq")) for _, sort, name in new)
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))
    async with engine.connect() as connection:
        await connection.run_sync(migrate._upgrade)
        assert await connection.run_sync(_names) == new
    await engine.dispose()


async def test_constraints_and_partial_indexes_are_those_of_the_tables(database_url: str) -> None:
    def names(connection: Connection) -> set[tuple[str, str | None]]:
        look = inspect(connection)
        found: set[tuple[str, str | None]] = set()
        for table in metadata.tables:
            found |= {(table, one["name"]) for one in look.get_check_constraints(table)}
            found |= {(table, one["name"]) for one in look.get_indexes(table) if one["name"][:3] == "ix_"}
        return found

    wanted = {
        (table.name, one.name)
        for table in metadata.tables.values()
        for one in (*table.indexes, *(c for c in table.constraints if str(c.name).startswith("ck_")))
    }
    async with open_store(database_url) as store:
        assert await store.do(names) == wanted


def test_head_is_the_newest_revision_and_the_history_is_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "store" / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [migrate.HEAD]
    assert all(not revision.is_branch_point for revision in script.walk_revisions())


async def test_a_database_from_the_future_is_refused_and_left_alone(sqlite_url: str) -> None:
    await _execute(sqlite_url, "UPDATE alembic_version SET version_num = '9999'")
    engine = make_engine(sqlite_url)
    with pytest.raises(StoreTooNew):
        await migrate.migrate(engine)
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        assert found.scalars().all() == ["9999"]
    await engine.dispose()


async def test_a_refused_start_leaves_no_connection_open(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _execute(sqlite_url, "UPDATE alembic_version SET version_num = '9999'")
    engine = make_engine(sqlite_url)
    monkeypatch.setattr("store.engine.store.make_engine", lambda _url: engine)
    pool = engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    with pytest.raises(StoreTooNew):
        async with open_store(sqlite_url):
            pass
    left_open = engine.sync_engine.pool is pool and pool.checkedin() > 0
    await engine.dispose()
    assert not left_open


def test_alembic_is_loaded_neither_for_a_new_database_nor_for_one_that_is_there(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"
    loaded = [
        subprocess.run(  # noqa: S603 - this interpreter, our own program
            [sys.executable, "-c", OPEN, url],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert loaded == ["False", "False"]


async def test_foreign_keys_are_off_while_tables_are_rewritten_and_on_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    upgrade = command.upgrade

    def look(config: Config, revision: str) -> None:
        connection: Connection = config.attributes["connection"]
        seen.append(connection.exec_driver_sql("PRAGMA foreign_keys").scalar())
        upgrade(config, revision)

    monkeypatch.setattr(command, "upgrade", look)
    engine = make_engine(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}")
    async with engine.connect() as connection:
        await connection.run_sync(migrate._upgrade)
        seen.append((await connection.exec_driver_sql("PRAGMA foreign_keys")).scalar())
    await engine.dispose()
    assert seen == [0, 1]


@pytest.mark.postgres
async def test_replicas_that_start_together_migrate_once(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
        await connection.execute(text("DROP TABLE alembic_version"))
    await engine.dispose()

    async def start() -> None:
        async with open_store(postgres_url) as store:
            await store.ping()

    await asyncio.gather(*(start() for _ in range(3)))
