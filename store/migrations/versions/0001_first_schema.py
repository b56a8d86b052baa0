"""The first schema: webhooks, rules, proposals, calls, decisions and their trail."""

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import UtcDateTime
from store.migrations.tables import index, key, optional, refers, required

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "events",
        *key(sa.Text, "id"),
        *required(sa.Text, "type"),
        *required(sa.LargeBinary, "body"),
        *required(sa.Text, "signature"),
        *required(UtcDateTime, "sent_at", "received_at"),
        *required(sa.Text, "state"),
        *optional(sa.Text, "note"),
        *required(sa.Integer, "attempts"),
        *required(UtcDateTime, "due_at"),
        *optional(sa.Text, "claim"),
        *optional(UtcDateTime, "claimed_until"),
        *optional(sa.Text, "subject"),
        *optional(UtcDateTime, "occurred_at"),
        sa.CheckConstraint("state IN ('new', 'done', 'failed')", name="state_known"),
    )
    index("ix_events_new", "events", "due_at", where="state = 'new'")
    index("ix_events_received_at", "events", "received_at")
    index("ix_events_subject", "events", "subject", "occurred_at")
    op.create_table("marks", *key(sa.Text, "name"), *required(sa.Text, "value"))
    op.create_table(
        "rule_versions",
        *key(sa.Text, "version"),
        *required(sa.Text, "name"),
        *required(sa.JSON, "source"),
        *required(UtcDateTime, "first_seen_at"),
    )
    op.create_table(
        "firings",
        *key(sa.Text, "fact_key", "rule"),
        *required(sa.Text, "rule_version", "event_id", "state"),
        *optional(UtcDateTime, "due_at"),
        *optional(sa.Text, "note"),
        *required(sa.Integer, "attempts"),
        *optional(sa.Text, "claim"),
        *optional(UtcDateTime, "claimed_until"),
        sa.CheckConstraint("state IN ('waiting', 'proposed', 'silent')", name="state_known"),
        refers("event_id", "events.id"),
        refers("rule_version", "rule_versions.version"),
    )
    index("ix_firings_waiting", "firings", "due_at", where="state = 'waiting'")
    op.create_table(
        "proposals",
        *key(sa.Text, "id"),
        *required(sa.Text, "fact_key"),
        *optional(sa.Text, "event_id", "rule", "rule_version", "proposer", "subject"),
        *required(sa.Text, "title"),
        *required(sa.JSON, "because", "facts"),
        *required(sa.Text, "risk"),
        *optional(sa.Text, "always_asks"),
        *required(UtcDateTime, "created_at"),
        *required(sa.Text, "state"),
        *required(sa.Integer, "version"),
        *optional(sa.Text, "note"),
        *required(sa.Integer, "attempts", "looks"),
        *optional(sa.Text, "decided_by"),
        *optional(UtcDateTime, "decided_at"),
        *required(UtcDateTime, "due_at"),
        *optional(sa.Text, "claim"),
        *optional(UtcDateTime, "claimed_until"),
        *optional(sa.Text, "channel", "card_ts"),
        *required(sa.Integer, "drawn"),
        *required(UtcDateTime, "card_due_at"),
        *optional(UtcDateTime, "card_sent_at"),
        *optional(sa.Text, "card_claim"),
        *optional(UtcDateTime, "card_claimed_until"),
        sa.CheckConstraint(
            "state IN ('pending', 'approved', 'declined', 'expired', 'withdrawn', 'executing', 'succeeded', 'failed', 'unknown')",
            name="state_known",
        ),
        refers("event_id", "events.id"),
        refers("rule_version", "rule_versions.version"),
        sa.UniqueConstraint("fact_key", "rule"),
    )
    index("ix_proposals_busy", "proposals", "due_at", where="state IN ('approved', 'executing', 'unknown')")
    index("ix_proposals_event_id", "proposals", "event_id")
    index("ix_proposals_state", "proposals", "state", "created_at")
    index("ix_proposals_undrawn", "proposals", "card_due_at", where="drawn < version")
    op.create_table(
        "subjects",
        *key(sa.Text, "subject"),
        *required(sa.Integer, "terminal"),
        *required(UtcDateTime, "occurred_at"),
        *required(sa.Integer, "rank"),
        *required(sa.Text, "event_id"),
        *required(sa.JSON, "state"),
        refers("event_id", "events.id"),
    )
    op.create_table(
        "calls",
        *key(sa.Text, "proposal_id"),
        *key(sa.Integer, "number"),
        *required(sa.Text, "operation"),
        *required(sa.JSON, "path", "query"),
        *optional(sa.JSON(none_as_null=True), "body"),
        *required(sa.Text, "state"),
        *optional(sa.Integer, "status"),
        *optional(sa.Text, "error"),
        *optional(sa.JSON(none_as_null=True), "answer"),
        *optional(UtcDateTime, "started_at", "finished_at"),
        sa.CheckConstraint(
            "state IN ('planned', 'sending', 'done', 'refused', 'unknown', 'skipped')", name="state_known"
        ),
        refers("proposal_id", "proposals.id"),
    )
    index("ix_calls_started_at", "calls", "started_at")
    op.create_table(
        "decisions",
        *key(sa.Integer, "id"),
        *required(sa.Text, "proposal_id", "actor", "verdict", "via"),
        *optional(sa.Text, "reason"),
        *required(UtcDateTime, "at"),
        sa.CheckConstraint("verdict IN ('approve', 'decline')", name="verdict_known"),
        refers("proposal_id", "proposals.id"),
    )
    index("ix_decisions_proposal_id", "decisions", "proposal_id")
    op.create_table(
        "transitions",
        *key(sa.Text, "proposal_id"),
        *key(sa.Integer, "version"),
        *optional(sa.Text, "from_state"),
        *required(sa.Text, "to_state", "actor"),
        *optional(sa.Text, "reason"),
        *required(UtcDateTime, "at"),
        *required(sa.Integer, "told"),
        refers("proposal_id", "proposals.id"),
    )
