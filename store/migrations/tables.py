"""Tables as the first migrations write them: columns of one type in a row, and indexes of some rows.

Constraints and indexes are named by the convention of `store.schema`, which `env.py` hands to Alembic.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

Kind = sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]


def key(kind: Kind, *names: str) -> list[sa.Column[Any]]:
    """The columns of the primary key."""
    return [sa.Column(name, kind, primary_key=True) for name in names]


def required(kind: Kind, *names: str) -> list[sa.Column[Any]]:
    """Columns that are never null."""
    return [sa.Column(name, kind, nullable=False) for name in names]


def optional(kind: Kind, *names: str) -> list[sa.Column[Any]]:
    """Columns that may be null."""
    return [sa.Column(name, kind) for name in names]


def add_columns(table: str, *columns: sa.Column[Any]) -> None:
    """Add columns to a table that is there, in this order."""
    for column in columns:
        op.add_column(table, column)


def index(name: str, table: str, *columns: str, where: str | None = None) -> None:
    """Make an index, with `where` of the rows that meet it alone."""
    some = None if where is None else sa.text(where)
    op.create_index(name, table, list(columns), sqlite_where=some, postgresql_where=some)


def refers(column: str, to: str) -> sa.ForeignKeyConstraint:
    """A foreign key."""
    return sa.ForeignKeyConstraint([column], [to])
