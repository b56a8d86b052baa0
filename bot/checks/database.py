"""Check of the database: it opens, can be written and has this program's schema."""

from bot.checks.findings import Finding, ok, problem, warning
from bot.config.settings import WHERE, Settings


async def check_database(settings: Settings) -> Finding:
    """Open the database as `run` does: it is made and migrated when it is not there yet."""
    from store import open_store  # noqa: PLC0415 - SQLAlchemy is slow to load
    from store.engine.errors import StoreError, StoreLocked  # noqa: PLC0415 - see above

    url = settings.database_url.get_secret_value()
    try:
        async with open_store(url) as store:
            await store.ping()
    except StoreLocked:
        return warning(
            "The database is in use, probably by this program: it opens, but was not tested further.",
            "Nothing, if the program is running; else stop the other process.",
        )
    except StoreError as error:
        return problem(f"The database cannot be used: {str(error).splitlines()[0]}", WHERE["DATABASE_URL"])
    except ModuleNotFoundError as error:
        return problem(
            f"The database needs the Python package {error.name}.", "pip install 'polar-approvals[postgres]'"
        )
    return ok("The database opens, can be written and has this version's schema.")
