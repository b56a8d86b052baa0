"""Lets what is kept of a person be erased.

A row of the audit log keeps what it says of a person beside its body, which is hashed. Rows of before stay as
they are. A proposal and a customer say since when their texts are erased. Of a message that was sent, only that
is kept; of a rule's own key of a change that is no id or time, a hash.
"""

import hashlib
import re

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import UtcDateTime
from store.migrations.tables import add_columns, index, key, optional, required

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    add_columns("audit_log", *optional(sa.Text, "personal"))
    add_columns("proposals", *optional(UtcDateTime, "erased_at"))
    op.create_table("erased_customers", *key(sa.Text, "customer_id"), *required(UtcDateTime, "erased_at"))
    index("ix_rule_matches_event_id", "rule_matches", "event_id")
    op.execute("UPDATE outbox SET message = '{}' WHERE sent_at IS NOT NULL")
    _hash_keys(op.get_bind())


# What is no rule's own key, and what tells of nobody.
_OF_EVENT = re.compile(r"webhook\|.*|[a-z_]+\.[a-z_]+\|.*", re.DOTALL)
_PLAIN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9:.,TZ+ -]*|None|null"
_PLAIN_KEY = re.compile(rf"({_PLAIN})(\|({_PLAIN}))*", re.IGNORECASE)


def _hash_keys(connection: sa.Connection) -> None:
    """As `store.models.change_key` does it from now on."""
    matches = sa.table("rule_matches", sa.column("fact_key"), sa.column("rule"))
    proposals = sa.table("proposals", sa.column("fact_key"), sa.column("rule"), sa.column("event_id"))
    keys = connection.execute(sa.select(matches.c.fact_key).distinct()).scalars()
    own = [one for one in keys if not (_OF_EVENT.fullmatch(one) or _PLAIN_KEY.fullmatch(one))]
    for table, more in ((matches, ()), (proposals, (proposals.c.event_id.is_not(None),))):
        changed = sa.update(table).where(table.c.fact_key == sa.bindparam("old"), *more)
        if own:
            hashes = [{"old": one, "new": hashlib.sha256(one.encode()).hexdigest()} for one in own]
            rows = [{"old": one["old"], "new": f"key|{one['new']}"} for one in hashes]
            connection.execute(changed.values(fact_key=sa.bindparam("new")), rows)
