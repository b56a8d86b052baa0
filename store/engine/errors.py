"""The errors of the database, in words for the person who runs the program."""

import sqlite3
from typing import NoReturn


class StoreError(Exception):
    """The database could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class StoreBusy(StoreError):
    """The database is behind: nothing was stored. Try again in a moment."""


class StoreClosed(StoreError):
    """The program is stopping: nothing was stored."""


class StoreFailed(StoreError):
    """The database refused it, and nothing was written. The log says why."""


class StoreClockOff(StoreError):
    """The clocks of this machine and of the database differ by seconds. Set both by NTP, and start again."""


class StoreLocked(StoreError):
    """Another process has this database open. Stop it, or use PostgreSQL for several replicas."""


class StoreOutdated(StoreError):
    """The database was last used by an older version. Start the program once; it brings it up to date."""


class StoreTooNew(StoreError):
    """The database was written by a newer version. Run that version, or restore a backup."""


class StoreUnreachable(StoreError):
    """The database cannot be opened. Check DATABASE_URL and the rights on its folder."""


def refuse(error: Exception) -> NoReturn:
    """Raise StoreFailed in SQLite's own words. Those of PostgreSQL may hold what customers wrote."""
    said = getattr(error, "orig", error)
    if not isinstance(said, sqlite3.Error):
        raise StoreFailed from error
    msg = f"The database refused it, and nothing was written: {said}."
    raise StoreFailed(msg) from error


def refuse_to_open(error: Exception) -> NoReturn:
    """Raise StoreUnreachable in the words of the database or of the system."""
    said = getattr(error, "orig", None) or error
    spoilt = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
    todo = "Check the rights on its folder"
    if getattr(said, "sqlite_errorcode", 0) & 0xFF in spoilt:
        todo = "Restore a copy"
    msg = f"The database cannot be opened ({said}). {todo}, or check DATABASE_URL."
    raise StoreUnreachable(msg) from error
