"""Keeps declines, undos, holds and pauses for which Slack has not said who wants them."""

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import SafeText, UtcDateTime
from store.migrations.tables import key, optional, refers, required

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "wishes",
        *key(sa.Text, "id"),
        *required(sa.Text, "kind"),
        *optional(sa.Text, "proposal_id"),
        *optional(sa.Integer, "revision"),
        *required(sa.Text, "actor", "via"),
        *optional(sa.Text, "interaction_id"),
        *optional(SafeText, "reason"),
        *optional(sa.Text, "channel"),
        *required(UtcDateTime, "at"),
        sa.Column("took_effect", sa.Integer, nullable=False, server_default="0"),
        *optional(UtcDateTime, "would_run_at"),
        *optional(sa.Text, "lease_token"),
        *optional(UtcDateTime, "lease_expires_at"),
        refers("proposal_id", "proposals.id"),
    )
