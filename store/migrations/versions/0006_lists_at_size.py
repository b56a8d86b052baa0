"""Lists, queues and timers that do not grow with history: the order of what waits stands in indexes."""

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import UtcDateTime
from store.migrations.tables import add_columns

revision = "0006"
down_revision = "0005"

_RATES = (
    "WHEN 'aud' THEN 150.0 WHEN 'brl' THEN 550.0 WHEN 'cad' THEN 140.0 WHEN 'chf' THEN 80.0 "
    "WHEN 'clp' THEN 950.0 WHEN 'cny' THEN 710.0 WHEN 'cop' THEN 400000.0 WHEN 'czk' THEN 2100.0 "
    "WHEN 'dkk' THEN 640.0 WHEN 'eur' THEN 86.0 WHEN 'gbp' THEN 75.0 WHEN 'hkd' THEN 780.0 "
    "WHEN 'huf' THEN 34000.0 WHEN 'idr' THEN 1650000.0 WHEN 'ils' THEN 330.0 WHEN 'inr' THEN 8800.0 "
    "WHEN 'jpy' THEN 150.0 WHEN 'krw' THEN 1400.0 WHEN 'mxn' THEN 1850.0 WHEN 'myr' THEN 420.0 "
    "WHEN 'ngn' THEN 145000.0 WHEN 'nok' THEN 1000.0 WHEN 'nzd' THEN 175.0 WHEN 'php' THEN 5800.0 "
    "WHEN 'pln' THEN 365.0 WHEN 'sek' THEN 940.0 WHEN 'sgd' THEN 130.0 WHEN 'thb' THEN 3250.0 "
    "WHEN 'try' THEN 4200.0 WHEN 'twd' THEN 3050.0 WHEN 'usd' THEN 100.0 WHEN 'vnd' THEN 26000.0 "
    "WHEN 'zar' THEN 1750.0"
)
_WORTH = f"abs(coalesce(amount, 0)) / (CASE lower(currency) {_RATES} ELSE 100.0 END)"
_PENDING = "state = 'pending'"
_REST = ("created_at", "id", "snoozed_until")


def upgrade() -> None:
    # SQLite adds to a table that exists only what it computes when it is asked; PostgreSQL can index only what
    # is stored. In a new database both store it.
    stored = op.get_bind().dialect.name == "postgresql"
    add_columns(
        "proposals",
        sa.Column("ends_at", UtcDateTime, sa.Computed("coalesce(deadline, expires_at)", persisted=stored)),
        sa.Column("worth", sa.Float, sa.Computed(_WORTH, persisted=stored)),
    )
    for name in ("waiting", "expires_at", "assignee", "proposer", "decided_by"):
        op.drop_index(f"ix_proposals_{name}", "proposals")
    most_first = sa.text("worth DESC")
    _index("worth", "state", most_first, *_REST, where=_PENDING)
    _index("ends_at", "state", "ends_at", most_first, *_REST, where=_PENDING)
    assigned = f"{_PENDING} AND assignee IS NOT NULL"
    _index("assignee", "state", "assignee", most_first, "created_at", "id", "ends_at", where=assigned)
    _index("expires_at", "state", "expires_at", where=_PENDING)
    for name in ("snoozed_until", "reminded_at"):
        _index(name, "state", name, where=f"{_PENDING} AND {name} IS NOT NULL")
    _index("proposer", "proposer", "state", "created_at", "id", where="proposer IS NOT NULL")
    op.create_index("ix_outcomes_at", "outcomes", ["at"])


def _index(name: str, *columns: str | sa.TextClause, where: str) -> None:
    some = sa.text(where)
    op.create_index(
        f"ix_proposals_{name}", "proposals", list(columns), sqlite_where=some, postgresql_where=some
    )
