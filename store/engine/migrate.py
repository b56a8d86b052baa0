"""Bring the schema up to date at start, without loading Alembic when there is nothing to do."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine.engines import foreign_keys_off
from store.engine.errors import StoreOutdated, StoreTooNew
from store.engine.transactions import take_migration_lock
from store.schema.graduation import metadata

# The newest revision in migrations/versions; a test compares them. Loading Alembic costs a fifth of a
# second and ten megabytes, so it is loaded only when there is something to upgrade.
HEAD = "0011"
_VERSIONS = "alembic_version"
_MIGRATIONS = Path(__file__).parents[1] / "migrations"


async def migrate(engine: AsyncEngine) -> None:
    """Upgrade the schema to HEAD. Raises StoreTooNew when a newer program has migrated it."""
    async with engine.connect() as connection:
        present = await connection.run_sync(_revision)
        await connection.rollback()
        if present is None:
            await connection.run_sync(_create)
        elif present != HEAD:
            await connection.run_sync(_upgrade)


def require_current(connection: Connection) -> None:
    """Raises StoreOutdated or StoreTooNew when the schema is not the one of this version."""
    present = _revision(connection)
    if present is None or present < HEAD:
        raise StoreOutdated
    if present > HEAD:
        raise StoreTooNew


def _revision(connection: Connection) -> str | None:
    """The revision the database is at; None for an empty one."""
    if not inspect(connection).has_table(_VERSIONS):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {_VERSIONS}")).scalar()  # noqa: S608 - our own name
    return found


def _create(connection: Connection) -> None:
    """An empty database gets the tables as they are now: a test compares them with the migrations'."""
    with connection.begin():
        take_migration_lock(connection)
        if _revision(connection) is None:  # nobody has been faster
            metadata.create_all(connection)
            connection.execute(
                text(f"CREATE TABLE {_VERSIONS} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
            )
            connection.execute(text(f"INSERT INTO {_VERSIONS} VALUES ('{HEAD}')"))  # noqa: S608 - our own names


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see HEAD
    from alembic.config import Config  # noqa: PLC0415 - see HEAD
    from alembic.util import CommandError  # noqa: PLC0415 - see HEAD

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    with foreign_keys_off(connection), connection.begin():
        take_migration_lock(connection)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreTooNew from error
