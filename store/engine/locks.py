"""The locks of PostgreSQL: one replica migrates, one has the turn, and claims leave what a rival has."""

from sqlalchemy import Connection, Select
from sqlalchemy.exc import DBAPIError

from store.engine.dialects import Columns

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_LOST = frozenset({"40001", "40P01"})


def take_migration_lock(connection: Connection) -> None:
    """One replica migrates PostgreSQL at a time; SQLite has its lock file."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265127)")


def advisory_lock(connection: Connection) -> None:
    """Take the turn until the transaction ends: one replica appends to the audit log and spends at a time.

    A transaction holds what several callers asked for, so the order of its row locks is nobody's choice:
    without the turn two busy replicas ran into a deadlock every other second, and each costs both a second.
    What a transaction reads of cap and log is then true until it ends.
    """
    if not connection.get_execution_options().get("read_only"):
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7265128)")


def lost_to_rival(error: DBAPIError) -> bool:
    """True for a deadlock or a serialization failure: nothing was written, and the same may succeed now."""
    return getattr(error.orig, "sqlstate", None) in _LOST


def skip_locked(query: Select[*Columns]) -> Select[*Columns]:
    """The query with its rows locked as an UPDATE would, without those that a rival has."""
    return query.with_for_update(skip_locked=True, key_share=True)
