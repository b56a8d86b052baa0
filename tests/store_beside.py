"""Other programs on the same database, for tests of rivals; and the PostgreSQL database they are run on."""

import os
from contextlib import AbstractAsyncContextManager

from sqlalchemy import Connection, text

from store import Store, open_store
from store.engine.dialects import make_engine
from store.engine.store import _serving
from store.schema.graduation import metadata

_MADE: set[str] = set()  # made anew in this run of the tests, whatever an older program had left there


def beside(url: str) -> AbstractAsyncContextManager[Store]:
    """A store that another program would have open: it writes, and takes no lock."""
    return _serving(make_engine(url), sole_owner=False)


async def emptied_postgres() -> str | None:
    """The address of POSTGRES_URL's database with empty tables as they are now; None where it is not set."""
    url = os.environ.get("POSTGRES_URL")
    if not url:
        return None
    engine = make_engine(url)
    if url not in _MADE:
        async with engine.begin() as connection:
            await connection.run_sync(_drop)
        _MADE.add(url)
    async with open_store(url):
        pass
    async with engine.begin() as connection:
        names = ", ".join(table.name for table in metadata.sorted_tables)
        await connection.exec_driver_sql(f"TRUNCATE {names} RESTART IDENTITY")
    await engine.dispose()
    return url


def _drop(connection: Connection) -> None:
    metadata.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
