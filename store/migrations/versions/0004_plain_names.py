"""Tables, columns and indexes take the field's standard names; reasons become codes with arguments."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from store.audit_log.old_sentences import read_sentence, read_transition
from store.audit_log.old_trust import LABELS, old_cause, old_gate
from store.models.reasons import Reason, ReasonCode, columns_of
from store.models.trust_codes import LabelReason
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
    "labels": "case_labels",
    "spending": "cap_usage",
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
        "came": "result",
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
        "n": "cases",
        "k": "rejections",
        "seen": "approved_values",
        "used_at": "last_case_at",
        "words": "label",
        "audits": "spot_checks",
        "audits_agreed": "spot_checks_agreed",
    },
    "case_labels": {
        "shape": "case_kind",
        "epoch": "generation",
        "bad": "is_rejection",
        "counted": "is_counted",
        "why": "reason_code",
        "audit": "is_spot_check",
    },
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
    "ix_shapes_state": ("ix_case_kinds_state", "case_kinds", ["state", "last_case_at"], None),
    "ix_labels_shape": (
        "ix_case_labels_case_kind",
        "case_labels",
        ["case_kind", "generation", "decided_at"],
        None,
    ),
    "ix_labels_matures_at": ("ix_case_labels_matures_at", "case_labels", ["matures_at"], None),
    "ix_ledger_subject": ("ix_audit_log_subject", "audit_log", ["subject", "seq"], None),
}


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    _carry_reasons(op.get_bind())
    _carry_graduation(op.get_bind())
    for old, (new, table, names, where) in INDEXES.items():
        op.drop_index(old, table_name=table)
        condition = None if where is None else sa.text(where)
        op.create_index(new, table, names, sqlite_where=condition, postgresql_where=condition)


def _carry_reasons(connection: sa.Connection) -> None:
    """Where a sentence was stored, a code and its arguments: read once, and kept as a text if not recognised."""
    for table, old in (
        ("proposals", "note"),
        ("transitions", "reason"),
        ("calls", "error"),
        ("events", "note"),
        ("rule_matches", "note"),
    ):
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


def _as_text(row: Any) -> Reason:
    return Reason.of(ReasonCode.TEXT, text=row.said)


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
    "events": (("id",), "SELECT id, note AS said FROM events WHERE note IS NOT NULL", _as_text),
    "rule_matches": (
        ("fact_key", "rule"),
        "SELECT fact_key, rule, note AS said FROM rule_matches WHERE note IS NOT NULL",
        _as_text,
    ),
}


def _carry_graduation(connection: sa.Connection) -> None:
    """Graduation's sentences become codes, and what it kept as JSON takes the names of today."""
    new = (("cause_code", sa.Text()), ("cause_args", SafeJson()))
    for name, kind in (*new, ("offered_generation", sa.Integer()), ("offered_cases", sa.Integer())):
        op.add_column("case_kinds", sa.Column(name, kind, nullable=True))
    _carry_causes(connection)
    _carry_offers(connection)
    op.execute("ALTER TABLE case_kinds DROP COLUMN cause")
    labels = sa.table("case_labels", sa.column("reason_code"))
    known = {old: code.value for old, code in LABELS.items()}
    codes = sa.case(known, value=labels.c.reason_code, else_=LabelReason.TEXT.value)
    connection.execute(sa.update(labels).values(reason_code=codes))
    _carry_gates(connection)
    op.execute("UPDATE proposals SET mode = 'spot_check' WHERE mode = 'audit'")
    op.execute("UPDATE cap_usage SET scope = 'case_kind:' || substr(scope, 7) WHERE scope LIKE 'shape:%'")


def _carry_causes(connection: sa.Connection) -> None:
    """Why each kind of case is trusted as it is."""
    kinds = sa.table(
        "case_kinds", sa.column("hash"), sa.column("cause_code"), sa.column("cause_args", SafeJson())
    )
    rows = connection.execute(sa.text("SELECT hash, cause FROM case_kinds WHERE cause IS NOT NULL"))
    for row in rows.all():
        cause = old_cause(row.cause)
        values = {"cause_code": cause.code.value, "cause_args": dict(cause.args)}
        connection.execute(sa.update(kinds).where(kinds.c.hash == row.hash).values(values))


def _carry_offers(connection: sa.Connection) -> None:
    """The newest offer of each kind: its change was "graduation|KIND|GENERATION|CASES"."""
    offers = connection.execute(
        sa.text("SELECT case_kind, fact_key FROM proposals WHERE kind = 'graduation' ORDER BY created_at")
    )
    newest = {row.case_kind: row.fact_key.rsplit("|", 2)[1:] for row in offers}
    for case_kind, (generation, cases) in newest.items():
        connection.execute(
            sa.text(
                "UPDATE case_kinds SET offered_generation = :generation, offered_cases = :cases "
                "WHERE hash = :case_kind"
            ),
            {"generation": int(generation), "cases": int(cases), "case_kind": case_kind},
        )


def _carry_gates(connection: sa.Connection) -> None:
    """What the policy said of each case; the log keeps it in the old names, and is read in the new ones."""
    own = sa.table("proposals", sa.column("id"), sa.column("gate", SafeJson()))
    query = sa.select(own.c.id, own.c.gate).where(own.c.gate.is_not(None))
    change = (
        sa.update(own)
        .where(own.c.id == sa.bindparam("own"))
        .values(gate=sa.bindparam("new", type_=SafeJson()))
    )
    for rows in connection.execute(query).partitions(1_000):
        connection.execute(change, [{"own": row.id, "new": old_gate(row.gate)} for row in rows])
