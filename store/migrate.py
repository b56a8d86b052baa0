"""Bring the schema up to date at start, without loading Alembic when there is nothing to do."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from store.database import allow_foreign_key_rewrites, take_migration_lock
from store.errors import StoreTooNew

# The newest revision in migrations/versions; a test compares them. Loading Alembic costs a fifth of a
# second of every start, so it is loaded only when the database is not there yet.
HEAD = "0002"
_MIGRATIONS = Path(__file__).parent / "migrations"


async def migrate(engine: AsyncEngine) -> None:
    """Upgrade the schema to HEAD. Raises StoreTooNew when a newer program has migrated it."""
    async with engine.connect() as connection:
        present = await connection.run_sync(_revision)
        await connection.rollback()
        if present == HEAD:
            return
        await connection.run_sync(_upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see HEAD
    from alembic.config import Config  # noqa: PLC0415 - see HEAD
    from alembic.util import CommandError  # noqa: PLC0415 - see HEAD

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    allow_foreign_key_rewrites(connection)
    connection.rollback()
    with connection.begin():
        take_migration_lock(connection)
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise StoreTooNew from error
