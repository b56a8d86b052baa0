"""The errors of the database, in words for the person who runs the program."""


class StoreError(Exception):
    """The database could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class StoreBusy(StoreError):
    """The database is behind: nothing was stored. Try again in a moment."""


class StoreClosed(StoreError):
    """The program is stopping: nothing was stored."""


class StoreFailed(StoreError):
    """The database refused the write, and nothing was written. The log says why. Is the disk full?"""


class StoreLocked(StoreError):
    """Another process has this database open. Stop it, or use PostgreSQL for several replicas."""


class StoreOutdated(StoreError):
    """The database was last used by an older version. Start the program once; it brings it up to date."""


class StoreTooNew(StoreError):
    """The database was written by a newer version. Run that version, or restore a backup."""


class StoreUnreachable(StoreError):
    """The database cannot be opened. Check DATABASE_URL and the rights on its folder."""
