"""When each rule fired, and an index that holds all that is asked about a rule's activity."""

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("firings", sa.Column("fired_at", UtcDateTime(), nullable=True))
    op.execute(
        "UPDATE firings SET fired_at = (SELECT received_at FROM events WHERE events.id = firings.event_id)"
    )
    op.create_index("ix_firings_rule", "firings", ["rule", "state", "fired_at"], unique=False)
