"""Keeps the rules that failed on an event, so that they are asked again."""

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import SafeJson, SafeText, UtcDateTime
from store.migrations.tables import index, key, optional, refers, required

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "failed_matches",
        *key(sa.Text, "event_id", "rule"),
        *required(sa.Text, "rule_version"),
        *optional(SafeText, "fact_key"),
        *required(sa.Text, "reason_code"),
        *optional(SafeJson, "reason_args"),
        *required(UtcDateTime, "failed_at"),
        *required(sa.Integer, "attempts"),
        refers("event_id", "events.id"),
    )
    index("ix_failed_matches_failed_at", "failed_matches", "failed_at")
