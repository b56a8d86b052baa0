"""The conversation around a proposal, bundles and notices, and what graduation is decided by."""

import sqlalchemy as sa
from alembic import op

from store.schema.columns import SafeJson, UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "bundles",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("card_ts", sa.Text(), nullable=True),
        sa.Column("card_at", UtcDateTime(), nullable=True),
        sa.Column("drawn", sa.Integer(), nullable=False),
        sa.Column("card_due_at", UtcDateTime(), nullable=False),
        sa.Column("card_sent_at", UtcDateTime(), nullable=True),
        sa.Column("card_claim", sa.Text(), nullable=True),
        sa.Column("card_claimed_until", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bundles")),
    )
    op.create_index("ix_bundles_card_ts", "bundles", ["card_ts"], unique=False)
    op.create_index(
        "ix_bundles_open",
        "bundles",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index(
        "ix_bundles_undrawn",
        "bundles",
        ["card_due_at"],
        unique=False,
        sqlite_where=sa.text("drawn < version"),
        postgresql_where=sa.text("drawn < version"),
    )

    op.create_table(
        "ledger",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_ledger")),
    )
    op.create_index("ix_ledger_subject", "ledger", ["subject", "seq"], unique=False)

    op.create_table(
        "shapes",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("risk", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("decree", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("epoch_at", UtcDateTime(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("k", sa.Integer(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("first_at", UtcDateTime(), nullable=True),
        sa.Column("clean_tail", sa.Integer(), nullable=False),
        sa.Column("audits_agreed", sa.Integer(), nullable=False),
        sa.Column("audits", sa.Integer(), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("offered_at", UtcDateTime(), nullable=True),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('asking', 'graduated', 'paused')", name=op.f("ck_shapes_state_known")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_shapes")),
    )
    op.create_index("ix_shapes_family", "shapes", ["family"], unique=False)
    op.create_index("ix_shapes_state", "shapes", ["state", "used_at"], unique=False)

    op.create_table(
        "spending",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("day", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "day", "currency", name=op.f("pk_spending")),
    )
    op.create_table(
        "viewers",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("drawn_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_viewers")),
    )
    op.create_table(
        "editions",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("because", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("calls", sa.JSON(), nullable=False),
        sa.Column("ended_by", sa.Text(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_editions_proposal_id")),
        sa.PrimaryKeyConstraint("proposal_id", "edition", name=op.f("pk_editions")),
    )
    op.create_table(
        "labels",
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("bad", sa.Integer(), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("audit", sa.Integer(), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.Column("matures_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_labels_proposal_id")),
        sa.ForeignKeyConstraint(["shape"], ["shapes.hash"], name=op.f("fk_labels_shape")),
        sa.PrimaryKeyConstraint("proposal_id", name=op.f("pk_labels")),
    )
    op.create_index("ix_labels_matures_at", "labels", ["matures_at"], unique=False)
    op.create_index("ix_labels_shape", "labels", ["shape", "epoch", "decided_at"], unique=False)

    op.create_table(
        "notices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=True),
        sa.Column("message", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("claimed_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_notices_proposal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
    )
    op.create_index(
        "ix_notices_unsent",
        "notices",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("sent_at IS NULL"),
        postgresql_where=sa.text("sent_at IS NULL"),
    )

    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('undone', 'reversed', 'disputed', 'failed')", name=op.f("ck_outcomes_kind_known")
        ),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_outcomes_proposal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcomes")),
        sa.UniqueConstraint("proposal_id", "kind", "source", name=op.f("uq_outcomes_proposal_id")),
    )
    op.create_table(
        "remarks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("preset", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("ts", sa.Text(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("kind IN ('reason', 'thread', 'act')", name=op.f("ck_remarks_kind_known")),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_remarks_proposal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remarks")),
        sa.UniqueConstraint("proposal_id", "channel", "ts", name=op.f("uq_remarks_proposal_id")),
    )
    op.create_index("ix_remarks_proposal_id", "remarks", ["proposal_id", "at"], unique=False)

    op.create_table(
        "taps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("proposal_id", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("via", sa.Text(), nullable=False),
        sa.Column("tap", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("came", sa.Text(), nullable=True),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("claimed_until", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["proposal_id"], ["proposals.id"], name=op.f("fk_taps_proposal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taps")),
    )
    op.create_index(
        "ix_taps_open",
        "taps",
        ["at"],
        unique=False,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_index("ix_taps_proposal_id", "taps", ["proposal_id"], unique=False)

    op.add_column("calls", sa.Column("before", sa.JSON(none_as_null=True), nullable=True))

    op.add_column("decisions", sa.Column("edition", sa.Integer(), server_default="1", nullable=False))
    op.add_column("decisions", sa.Column("tap", sa.Text(), nullable=True))
    op.add_column("decisions", sa.Column("seen_at", UtcDateTime(), nullable=True))
    op.add_column("decisions", sa.Column("pressed_at", UtcDateTime(), nullable=True))

    op.add_column("proposals", sa.Column("kind", sa.Text(), server_default="calls", nullable=False))
    op.add_column("proposals", sa.Column("edition", sa.Integer(), server_default="1", nullable=False))
    op.add_column("proposals", sa.Column("digest", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("changes", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("proposals", sa.Column("edited_by", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("deciding_by", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("held_until", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("on_hold_by", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("snoozed_until", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("snoozed_by", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("assignee", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("deadline", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("expires_at", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("reminded_at", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("escalated_at", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("amount", sa.BigInteger(), nullable=True))
    op.add_column("proposals", sa.Column("currency", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("customer_id", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("customer", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("bundle_id", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("undoes", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("undone_by", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("undone_at", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("card_at", UtcDateTime(), nullable=True))
    op.add_column("proposals", sa.Column("quiet", sa.Integer(), server_default="0", nullable=False))
    op.add_column("proposals", sa.Column("mode", sa.Text(), server_default="asked", nullable=False))
    op.add_column("proposals", sa.Column("shape", sa.Text(), nullable=True))
    op.add_column("proposals", sa.Column("gate", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("proposals", sa.Column("reads", sa.JSON(none_as_null=True), nullable=True))
    op.create_index(
        "ix_proposals_assignee",
        "proposals",
        ["assignee"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_proposals_bundle_id", "proposals", ["bundle_id"], unique=False)
    op.create_index("ix_proposals_card_ts", "proposals", ["card_ts"], unique=False)
    op.create_index("ix_proposals_customer", "proposals", ["customer", "created_at"], unique=False)
    op.create_index("ix_proposals_customer_id", "proposals", ["customer_id", "created_at"], unique=False)
    op.create_index("ix_proposals_decided_at", "proposals", ["decided_at"], unique=False)
    op.create_index("ix_proposals_decided_by", "proposals", ["decided_by", "decided_at"], unique=False)
    op.create_index(
        "ix_proposals_expires_at",
        "proposals",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_proposals_rule", "proposals", ["rule", "created_at"], unique=False)
    op.create_index("ix_proposals_shape", "proposals", ["shape", "decided_at"], unique=False)
    op.create_index("ix_proposals_undoes", "proposals", ["undoes"], unique=False)
    op.create_index(
        "ix_proposals_waiting",
        "proposals",
        ["state", "created_at", "deadline", "expires_at", "amount", "currency", "snoozed_until", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_proposals_proposer",
        "proposals",
        ["proposer", "created_at"],
        unique=False,
        sqlite_where=sa.text("proposer IS NOT NULL"),
        postgresql_where=sa.text("proposer IS NOT NULL"),
    )
    op.create_index("ix_decisions_actor", "decisions", ["actor", "at"], unique=False)
    op.create_index(
        "ix_events_failed",
        "events",
        ["received_at"],
        unique=False,
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )

    op.create_index("ix_decisions_tap", "decisions", ["tap"], unique=False)
    op.add_column("subjects", sa.Column("customer_id", sa.Text(), nullable=True))
    op.create_index("ix_subjects_customer_id", "subjects", ["customer_id", "subject"], unique=False)
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
