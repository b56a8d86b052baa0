"""Tables, columns and indexes take the field's standard names; reasons become codes with arguments."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from store.audit_log.old_sentences import read_sentence, read_transition
from store.models.reasons import Reason, columns_of
from store.schema.columns import SafeJson

revision = "0004"
down_revision = "0003"

# Renamed first: what follows uses the new names.
TABLES = {
    "editions": "revisions",
    "firings": "rule_matches",
    "remarks": "comments",
    "taps": "pending_approvals",
    "shapes": "case_kinds",
    "ledger": "audit_log",
}
COLUMNS = {
    "events": {"claim": "lease_token", "claimed_until": "lease_expires_at"},
    "rule_matches": {
        "claim": "lease_token",
        "claimed_until": "lease_expires_at",
        "fired_at": "matched_at",
    },
    "proposals": {
        "version": "row_version",
        "drawn": "rendered_version",
        "looks": "verify_attempts",
        "claim": "lease_token",
        "claimed_until": "lease_expires_at",
        "card_claim": "card_lease_token",
        "card_claimed_until": "card_lease_expires_at",
        "edition": "revision",
        "digest": "content_hash",
        "deciding_by": "approval_checking_by",
        "held_until": "cancellable_until",
        "on_hold_by": "held_by",
        "undoes": "undo_of_id",
        "undone_by": "undo_id",
        "card_at": "first_shown_at",
        "shape": "case_kind",
        "because": "reasons",
    },
    "decisions": {
        "edition": "revision",
        "tap": "interaction_id",
        "seen_at": "shown_at",
        "pressed_at": "clicked_at",
    },
    "transitions": {"version": "row_version"},
    "pending_approvals": {
        "edition": "revision",
        "tap": "interaction_id",
        "claim": "lease_token",
        "claimed_until": "lease_expires_at",
    },
    "revisions": {
        "edition": "revision",
        "ended_by": "superseded_by",
        "ended_at": "superseded_at",
        "because": "reasons",
    },
    "bundles": {
        "version": "row_version",
        "card_at": "first_shown_at",
        "drawn": "rendered_version",
        "card_claim": "card_lease_token",
        "card_claimed_until": "card_lease_expires_at",
    },
    "notices": {"claim": "lease_token", "claimed_until": "lease_expires_at"},
    "case_kinds": {
        "decree": "manual_override",
        "epoch": "generation",
        "epoch_at": "generation_at",
        "clean_tail": "approvals_since_rejection",
    },
    "labels": {"shape": "case_kind", "epoch": "generation"},
}
# old name: (new name, table, columns, condition)
INDEXES: dict[str, tuple[str, str, list[str], str | None]] = {
    "ix_firings_rule": ("ix_rule_matches_rule", "rule_matches", ["rule", "state", "matched_at"], None),
    "ix_firings_waiting": ("ix_rule_matches_waiting", "rule_matches", ["due_at"], "state = 'waiting'"),
    "ix_remarks_proposal_id": ("ix_comments_proposal_id", "comments", ["proposal_id", "at"], None),
    "ix_taps_open": ("ix_pending_approvals_open", "pending_approvals", ["at"], "closed_at IS NULL"),
    "ix_taps_proposal_id": (
        "ix_pending_approvals_proposal_id",
        "pending_approvals",
        ["proposal_id"],
        None,
    ),
    "ix_decisions_tap": ("ix_decisions_interaction_id", "decisions", ["interaction_id"], None),
    "ix_proposals_shape": ("ix_proposals_case_kind", "proposals", ["case_kind", "decided_at"], None),
    "ix_proposals_undoes": ("ix_proposals_undo_of_id", "proposals", ["undo_of_id"], None),
    "ix_shapes_family": ("ix_case_kinds_family", "case_kinds", ["family"], None),
    "ix_shapes_state": ("ix_case_kinds_state", "case_kinds", ["state", "used_at"], None),
    "ix_labels_shape": ("ix_labels_case_kind", "labels", ["case_kind", "generation", "decided_at"], None),
    "ix_ledger_subject": ("ix_audit_log_subject", "audit_log", ["subject", "seq"], None),
}


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    _carry_reasons(op.get_bind())
    for old, (new, table, names, where) in INDEXES.items():
        op.drop_index(old, table_name=table)
        condition = None if where is None else sa.text(where)
        op.create_index(new, table, names, sqlite_where=condition, postgresql_where=condition)


def _carry_reasons(connection: sa.Connection) -> None:
    """Where a sentence was stored, a code and its arguments: read once, and kept as a text if not recognised."""
    for table, old in (("proposals", "note"), ("transitions", "reason"), ("calls", "error")):
        op.add_column(table, sa.Column("reason_code", sa.Text(), nullable=True))
        op.add_column(table, sa.Column("reason_args", SafeJson(), nullable=True))
        keys, query, read = _SENTENCES[table]
        target = sa.table(
            table,
            *(sa.column(key) for key in keys),
            sa.column("reason_code"),
            sa.column("reason_args", SafeJson()),
        )
        change = (
            sa.update(target)
            .where(*(target.c[key] == sa.bindparam(f"old_{key}") for key in keys))
            .values(reason_code=sa.bindparam("code"), reason_args=sa.bindparam("args", type_=SafeJson()))
        )
        for rows in connection.execute(sa.text(query)).partitions(1_000):
            found = [(row, columns_of(read(row))) for row in rows]
            connection.execute(
                change,
                [
                    {f"old_{key}": getattr(row, key) for key in keys}
                    | {"code": columns["reason_code"], "args": columns["reason_args"]}
                    for row, columns in found
                ],
            )
        op.execute(f"ALTER TABLE {table} DROP COLUMN {old}")


def _as_transition(row: Any) -> Reason:
    return read_transition(row.from_state, row.to_state, row.said)


# By table: its key, its sentences, and how one is read. A proposal's is that of its newest transition.
_SENTENCES: dict[str, tuple[tuple[str, ...], str, Callable[[Any], Reason]]] = {
    "proposals": (
        ("id",),
        """SELECT p.id, p.note AS said, p.state AS to_state,
             (SELECT t.from_state FROM transitions t WHERE t.proposal_id = p.id
              ORDER BY t.row_version DESC LIMIT 1) AS from_state
           FROM proposals p WHERE p.note IS NOT NULL""",
        _as_transition,
    ),
    "transitions": (
        ("proposal_id", "row_version"),
        """SELECT proposal_id, row_version, reason AS said, from_state, to_state
           FROM transitions WHERE reason IS NOT NULL""",
        _as_transition,
    ),
    "calls": (
        ("proposal_id", "number"),
        "SELECT proposal_id, number, error AS said FROM calls WHERE error IS NOT NULL",
        lambda row: read_sentence(row.said),
    ),
}
