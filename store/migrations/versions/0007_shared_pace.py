"""Keeps the pace of calls to Slack and Polar where all replicas see it."""

import sqlalchemy as sa
from alembic import op

from store.migrations.tables import key, required

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table("shared_pace", *key(sa.Text, "key"), *required(sa.Float, "full_at"))
