"""The conversation around a proposal, bundles and notices, and what graduation is decided by."""

import sqlalchemy as sa
from alembic import op

from store.engine.dialects import SafeJson, UtcDateTime
from store.migrations.tables import add_columns, index, key, optional, refers, required

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "bundles",
        *key(sa.Text, "id"),
        *required(sa.Text, "key"),
        *required(UtcDateTime, "created_at"),
        *optional(UtcDateTime, "closed_at"),
        *required(sa.Integer, "version"),
        *optional(sa.Text, "channel", "card_ts"),
        *optional(UtcDateTime, "card_at"),
        *required(sa.Integer, "drawn"),
        *required(UtcDateTime, "card_due_at"),
        *optional(UtcDateTime, "card_sent_at"),
        *optional(sa.Text, "card_claim"),
        *optional(UtcDateTime, "card_claimed_until"),
    )
    index("ix_bundles_card_ts", "bundles", "card_ts")
    index("ix_bundles_open", "bundles", "created_at", where="closed_at IS NULL")
    index("ix_bundles_undrawn", "bundles", "card_due_at", where="drawn < version")
    op.create_table(
        "ledger",
        sa.Column("seq", sa.Integer, autoincrement=False, primary_key=True),
        *required(UtcDateTime, "at"),
        *required(sa.Text, "kind"),
        *optional(sa.Text, "subject"),
        *required(sa.Text, "body", "hash"),
    )
    index("ix_ledger_subject", "ledger", "subject", "seq")
    op.create_table(
        "shapes",
        *key(sa.Text, "hash"),
        *required(sa.Text, "family"),
        *required(sa.JSON, "fields"),
        *required(sa.Text, "words", "risk", "state"),
        *required(sa.Integer, "decree", "epoch"),
        *required(UtcDateTime, "epoch_at"),
        *required(sa.Integer, "n", "k", "customers"),
        *optional(UtcDateTime, "first_at"),
        *required(sa.Integer, "clean_tail", "audits_agreed", "audits"),
        *required(sa.JSON, "seen"),
        *optional(UtcDateTime, "offered_at"),
        *required(UtcDateTime, "used_at"),
        *optional(UtcDateTime, "changed_at"),
        *optional(sa.Text, "cause"),
        sa.CheckConstraint("state IN ('asking', 'graduated', 'paused')", name="state_known"),
    )
    index("ix_shapes_family", "shapes", "family")
    index("ix_shapes_state", "shapes", "state", "used_at")
    op.create_table(
        "spending",
        *key(sa.Text, "scope", "day", "currency"),
        *required(sa.Integer, "count"),
        *required(sa.BigInteger, "amount"),
    )
    op.create_table(
        "viewers",
        *key(sa.Text, "user_id"),
        *required(UtcDateTime, "opened_at"),
        *optional(UtcDateTime, "drawn_at"),
    )
    op.create_table(
        "editions",
        *key(sa.Text, "proposal_id"),
        *key(sa.Integer, "edition"),
        *required(sa.Text, "title"),
        *required(sa.JSON, "because", "facts", "calls"),
        *required(sa.Text, "ended_by"),
        *required(UtcDateTime, "ended_at"),
        refers("proposal_id", "proposals.id"),
    )
    op.create_table(
        "labels",
        *key(sa.Text, "proposal_id"),
        *required(sa.Text, "shape"),
        *required(sa.Integer, "epoch", "bad", "counted"),
        *required(sa.Text, "why"),
        *required(sa.Integer, "audit"),
        *required(UtcDateTime, "decided_at", "matures_at"),
        refers("proposal_id", "proposals.id"),
        refers("shape", "shapes.hash"),
    )
    index("ix_labels_matures_at", "labels", "matures_at")
    index("ix_labels_shape", "labels", "shape", "epoch", "decided_at")
    op.create_table(
        "notices",
        *key(sa.Text, "id"),
        *required(sa.Text, "kind"),
        *optional(sa.Text, "proposal_id"),
        *required(sa.JSON, "message"),
        *required(UtcDateTime, "created_at", "due_at"),
        *required(sa.Integer, "attempts"),
        *optional(sa.Text, "ts"),
        *optional(UtcDateTime, "sent_at"),
        *optional(sa.Text, "note", "claim"),
        *optional(UtcDateTime, "claimed_until"),
        refers("proposal_id", "proposals.id"),
    )
    index("ix_notices_unsent", "notices", "due_at", where="sent_at IS NULL")
    op.create_table(
        "outcomes",
        *key(sa.Integer, "id"),
        *required(sa.Text, "proposal_id", "kind", "source"),
        *required(UtcDateTime, "at"),
        sa.CheckConstraint("kind IN ('undone', 'reversed', 'disputed', 'failed')", name="kind_known"),
        refers("proposal_id", "proposals.id"),
        sa.UniqueConstraint("proposal_id", "kind", "source"),
    )
    op.create_table(
        "remarks",
        *key(sa.Integer, "id"),
        *required(sa.Text, "proposal_id", "kind", "author", "text"),
        *optional(sa.Text, "preset", "channel", "ts"),
        *required(UtcDateTime, "at"),
        sa.CheckConstraint("kind IN ('reason', 'thread', 'act')", name="kind_known"),
        refers("proposal_id", "proposals.id"),
        sa.UniqueConstraint("proposal_id", "channel", "ts"),
    )
    index("ix_remarks_proposal_id", "remarks", "proposal_id", "at")
    op.create_table(
        "taps",
        *key(sa.Text, "id"),
        *required(sa.Text, "proposal_id"),
        *required(sa.Integer, "edition"),
        *required(sa.Text, "actor", "via"),
        *optional(sa.Text, "tap", "reason", "channel"),
        *required(UtcDateTime, "at"),
        *optional(UtcDateTime, "closed_at"),
        *optional(sa.Text, "came", "claim"),
        *optional(UtcDateTime, "claimed_until"),
        refers("proposal_id", "proposals.id"),
    )
    index("ix_taps_open", "taps", "at", where="closed_at IS NULL")
    index("ix_taps_proposal_id", "taps", "proposal_id")
    add_columns("calls", *optional(sa.JSON(none_as_null=True), "before"))
    add_columns(
        "decisions",
        sa.Column("edition", sa.Integer, server_default="1", nullable=False),
        *optional(sa.Text, "tap"),
        *optional(UtcDateTime, "seen_at", "pressed_at"),
    )
    add_columns(
        "proposals",
        sa.Column("kind", sa.Text, server_default="calls", nullable=False),
        sa.Column("edition", sa.Integer, server_default="1", nullable=False),
        *optional(sa.Text, "digest"),
        *optional(sa.JSON(none_as_null=True), "changes"),
        *optional(sa.Text, "edited_by", "deciding_by"),
        *optional(UtcDateTime, "held_until"),
        *optional(sa.Text, "on_hold_by"),
        *optional(UtcDateTime, "snoozed_until"),
        *optional(sa.Text, "snoozed_by", "assignee"),
        *optional(UtcDateTime, "deadline", "expires_at", "reminded_at", "escalated_at"),
        *optional(sa.BigInteger, "amount"),
        *optional(sa.Text, "currency", "customer_id", "customer", "bundle_id", "undoes", "undone_by"),
        *optional(UtcDateTime, "undone_at", "card_at"),
        sa.Column("quiet", sa.Integer, server_default="0", nullable=False),
        sa.Column("mode", sa.Text, server_default="asked", nullable=False),
        *optional(sa.Text, "shape"),
        *optional(sa.JSON(none_as_null=True), "gate", "reads"),
    )
    index("ix_proposals_assignee", "proposals", "assignee", where="state = 'pending'")
    index("ix_proposals_bundle_id", "proposals", "bundle_id")
    index("ix_proposals_card_ts", "proposals", "card_ts")
    index("ix_proposals_customer", "proposals", "customer", "created_at")
    index("ix_proposals_customer_id", "proposals", "customer_id", "created_at")
    index("ix_proposals_decided_at", "proposals", "decided_at")
    index("ix_proposals_decided_by", "proposals", "decided_by", "decided_at")
    index("ix_proposals_expires_at", "proposals", "expires_at", where="state = 'pending'")
    index("ix_proposals_rule", "proposals", "rule", "created_at")
    index("ix_proposals_shape", "proposals", "shape", "decided_at")
    index("ix_proposals_undoes", "proposals", "undoes")
    ordered = ("state", "created_at", "deadline", "expires_at", "amount", "currency", "snoozed_until", "id")
    index("ix_proposals_waiting", "proposals", *ordered, where="state = 'pending'")
    index("ix_proposals_proposer", "proposals", "proposer", "created_at", where="proposer IS NOT NULL")
    index("ix_decisions_actor", "decisions", "actor", "at")
    index("ix_events_failed", "events", "received_at", where="state = 'failed'")
    index("ix_decisions_tap", "decisions", "tap")
    add_columns("subjects", *optional(sa.Text, "customer_id"))
    index("ix_subjects_customer_id", "subjects", "customer_id", "subject")
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("subjects", "subject", type_=sa.Text(collation="C"))
        _make_readable()
        told = "state->>'customer_id'"
    else:
        told = "json_extract(state, '$.customer_id')"
    # Whose it is, for what was seen before this column was.
    op.execute(f"UPDATE subjects SET customer_id = {told}")  # noqa: S608 - our own words


def _make_readable() -> None:
    """PostgreSQL stops at the first state with a NUL or a lone surrogate that it is to read from."""
    subjects = sa.table("subjects", sa.column("subject", sa.Text), sa.column("state", SafeJson))
    escaped = sa.cast(subjects.c.state, sa.Text).regexp_match(r"\\u(0000|d[89a-f])")
    for row in op.get_bind().execute(sa.select(subjects).where(escaped)).all():
        same = sa.update(subjects).where(subjects.c.subject == row.subject)
        op.execute(same.values(state=row.state))
