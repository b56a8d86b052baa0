"""The first of two people who would have a proposal's calls sent again."""

import sqlalchemy as sa

from store.migrations.tables import add_columns

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    add_columns("proposals", sa.Column("retry_by", sa.Text))
