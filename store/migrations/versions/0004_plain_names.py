"""Tables, columns and indexes take the field's standard names; reasons become codes with arguments.

The data comes first: what is renamed, old name: new name. Then the functions that carry rows over. Rows of the
audit log stay as they are: they are hashed, and `store.audit_log.log.normalize` reads them.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from store.audit_log.old_sentences import read_sentence, read_transition
from store.audit_log.old_trust import ALWAYS, LABELS, old_cause, old_gate
from store.models.reasons import LabelReason, Reason, ReasonCode, columns_of
from store.schema.columns import SafeJson, UtcDateTime

revision = "0004"
down_revision = "0003"

# Renamed first: what follows uses the new names.
TABLES = {
    "editions": "revisions",
    "firings": "rule_matches",
    "remarks": "proposal_comments",
    "taps": "pending_approvals",
    "notices": "outbox",
    "viewers": "home_tab_viewers",
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
    "transitions": {"version": "row_version", "told": "announced"},
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
    "outbox": {"claim": "lease_token", "claimed_until": "lease_expires_at"},
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
CONSTRAINTS = {
    "revisions": {"pk_editions": "pk_revisions", "fk_editions_proposal_id": "fk_revisions_proposal_id"},
    "rule_matches": {
        "pk_firings": "pk_rule_matches",
        "ck_firings_state_known": "ck_rule_matches_state_known",
        "fk_firings_event_id": "fk_rule_matches_event_id",
        "fk_firings_rule_version": "fk_rule_matches_rule_version",
    },
    "proposal_comments": {
        "pk_remarks": "pk_proposal_comments",
        "uq_remarks_proposal_id": "uq_proposal_comments_proposal_id",
        "ck_remarks_kind_known": "ck_proposal_comments_kind_known",
        "fk_remarks_proposal_id": "fk_proposal_comments_proposal_id",
    },
    "pending_approvals": {
        "pk_taps": "pk_pending_approvals",
        "fk_taps_proposal_id": "fk_pending_approvals_proposal_id",
    },
    "outbox": {"pk_notices": "pk_outbox", "fk_notices_proposal_id": "fk_outbox_proposal_id"},
    "home_tab_viewers": {"pk_viewers": "pk_home_tab_viewers"},
    "case_kinds": {"pk_shapes": "pk_case_kinds", "ck_shapes_state_known": "ck_case_kinds_state_known"},
    "case_labels": {
        "pk_labels": "pk_case_labels",
        "fk_labels_proposal_id": "fk_case_labels_proposal_id",
        "fk_labels_shape": "fk_case_labels_case_kind",
    },
    "cap_usage": {"pk_spending": "pk_cap_usage"},
    "audit_log": {"pk_ledger": "pk_audit_log"},
}
SEQUENCES = {"remarks_id_seq": "proposal_comments_id_seq"}  # PostgreSQL's
# old name: (new name, table, columns, condition)
INDEXES: dict[str, tuple[str, str, list[str], str | None]] = {
    "ix_firings_rule": ("ix_rule_matches_rule", "rule_matches", ["rule", "state", "matched_at"], None),
    "ix_firings_waiting": ("ix_rule_matches_waiting", "rule_matches", ["due_at"], "state = 'waiting'"),
    "ix_remarks_proposal_id": (
        "ix_proposal_comments_proposal_id",
        "proposal_comments",
        ["proposal_id", "at"],
        None,
    ),
    "ix_taps_open": ("ix_pending_approvals_open", "pending_approvals", ["at"], "closed_at IS NULL"),
    "ix_taps_proposal_id": (
        "ix_pending_approvals_proposal_id",
        "pending_approvals",
        ["proposal_id"],
        None,
    ),
    "ix_notices_unsent": ("ix_outbox_unsent", "outbox", ["due_at"], "sent_at IS NULL"),
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
# Of the marks: the single values. The others become rows of tables of their own.
SETTINGS = {
    "ledger": "audit_log_head",
    "audit_secret": "draw_secret",
    "human_at": "last_human_at",
    "assess:read": "learned_row",
    "assess:ripe": "learned_at",
}


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for old, (new, table, names, where) in INDEXES.items():
        op.drop_index(old, table_name=table)
        condition = None if where is None else sa.text(where)
        op.create_index(new, table, names, sqlite_where=condition, postgresql_where=condition)
    for table, constraints in CONSTRAINTS.items():
        _rename_constraints(table, constraints)
    if _is_postgresql():
        for old, new in SEQUENCES.items():
            op.execute(f"ALTER SEQUENCE {old} RENAME TO {new}")
    _carry_marks()
    _carry_has_card()
    _carry_reasons(op.get_bind())
    _carry_graduation(op.get_bind())


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _rename_constraints(table: str, names: Mapping[str, str]) -> None:
    if _is_postgresql():
        for old, new in names.items():
            op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    else:
        _rebuild(table, names)


def _rebuild(table: str, names: Mapping[str, str]) -> None:
    """Copy a table of SQLite, which cannot rename constraints, into one whose constraints have other names.

    Foreign keys are off while migrating, so that dropping the old one touches no other table.
    """
    look = sa.text(
        "SELECT sql FROM sqlite_master WHERE tbl_name = :table AND type = :type AND sql IS NOT NULL"
    )
    (created,) = op.get_bind().execute(look, {"table": table, "type": "table"}).scalars().all()
    indexes = op.get_bind().execute(look, {"table": table, "type": "index"}).scalars().all()
    for old, new in names.items():
        created, count = re.subn(rf"\b{old}\b", new, created)
        assert count == 1, (table, old)  # noqa: S101 - a schema that 0003 did not make
    copy = f"_new_{table}"
    op.execute(re.sub(rf'^CREATE TABLE "?{table}"?', f"CREATE TABLE {copy}", created, count=1))
    op.execute(f"INSERT INTO {copy} SELECT * FROM {table}")  # noqa: S608 - our own names
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {copy} RENAME TO {table}")
    for index in indexes:
        op.execute(index)


def _carry_marks() -> None:
    """Give each mark ("name", "value") a row of its own kind."""
    polls, welcomes, pause, settings = _tables_of_marks()
    marks = sa.table("marks", sa.column("name", sa.Text), sa.column("value", sa.Text))
    cursors: dict[str, dict[str, Any]] = {}
    rows: dict[sa.Table, list[dict[str, Any]]] = {welcomes: [], pause: [], settings: []}
    for name, value in op.get_bind().execute(sa.select(marks)).all():
        if name.startswith("poll:"):
            _, poll, what = name.split(":")
            moment = datetime.fromisoformat(value)
            cursors.setdefault(poll, {})["due_at" if what == "due" else "read_until"] = moment
        elif name.startswith("greeted "):
            channel = name.removeprefix("greeted ")
            rows[welcomes].append({"channel": channel, "at": datetime.fromisoformat(value)})
        elif name == "paused":
            said = json.loads(value)
            at = datetime.fromisoformat(said["at"])
            rows[pause].append({"id": 1, "paused_by": said["by"], "paused_at": at, "reason": said["why"]})
        else:
            rows[settings].append({"name": SETTINGS.get(name, name), "value": value})
    rows[polls] = [
        {"name": poll, "due_at": known.get("due_at", known.get("read_until"))}
        | {"read_until": known.get("read_until")}
        for poll, known in cursors.items()
    ]
    for table, made in rows.items():
        op.bulk_insert(table, made)
    op.drop_table("marks")


def _tables_of_marks() -> tuple[sa.Table, sa.Table, sa.Table, sa.Table]:
    return (
        op.create_table(
            "poll_cursors",
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("due_at", UtcDateTime(), nullable=False),
            sa.Column("read_until", UtcDateTime(), nullable=True),
            sa.PrimaryKeyConstraint("name", name=op.f("pk_poll_cursors")),
        ),
        op.create_table(
            "channel_welcomes",
            sa.Column("channel", sa.Text(), nullable=False),
            sa.Column("at", UtcDateTime(), nullable=False),
            sa.PrimaryKeyConstraint("channel", name=op.f("pk_channel_welcomes")),
        ),
        op.create_table(
            "pause",
            sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("paused_by", sa.Text(), nullable=False),
            sa.Column("paused_at", UtcDateTime(), nullable=False),
            sa.Column("reason", sa.Text(), nullable=False),
            sa.CheckConstraint("id = 1", name=op.f("ck_pause_single_row")),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_pause")),
        ),
        op.create_table(
            "settings_kv",
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("value", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("name", name=op.f("pk_settings_kv")),
        ),
    )


def _carry_has_card() -> None:
    """Say which proposals have a card instead of which have none (`quiet`)."""
    op.add_column("proposals", sa.Column("has_card", sa.Integer(), server_default="1", nullable=False))
    op.execute("UPDATE proposals SET has_card = 0 WHERE quiet = 1")
    op.execute("ALTER TABLE proposals DROP COLUMN quiet")


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
    proposals = sa.table("proposals", sa.column("always_asks"))
    known = {old: code.value for old, code in ALWAYS.items()}
    codes = sa.case(known, value=proposals.c.always_asks, else_=proposals.c.always_asks)
    connection.execute(sa.update(proposals).values(always_asks=codes))
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
