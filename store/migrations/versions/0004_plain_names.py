"""Tables, columns and indexes take the field's standard names; reasons become codes with arguments.

The data comes first: what is renamed, old name: new name. Then the functions that carry rows over. Rows of the
audit log stay as they are: they are hashed, and `store.audit_log.log.normalize` reads them.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from store.audit_log.old_sentences import DELETED, read_sentence, read_transition
from store.audit_log.old_trust import ALWAYS, LABELS, old_cause, old_gate
from store.engine.dialects import SafeJson, UtcDateTime
from store.migrations.tables import add_columns, key, optional, required
from store.models.reasons import LabelReason, Reason, ReasonCode

revision = "0004"
down_revision = "0003"

_Renamed = Callable[[re.Match[str]], str]
_LEASE = {"claim": "lease_token", "claimed_until": "lease_expires_at"}
_CARD = {
    "version": "row_version",
    "drawn": "rendered_version",
    "card_at": "first_shown_at",
    "card_claim": "card_lease_token",
    "card_claimed_until": "card_lease_expires_at",
}

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
    "events": _LEASE,
    "rule_matches": _LEASE | {"fired_at": "matched_at"},
    "proposals": {
        **_CARD,
        **_LEASE,
        "looks": "verify_attempts",
        "edition": "revision",
        "digest": "content_hash",
        "deciding_by": "approval_checking_by",
        "held_until": "cancellable_until",
        "on_hold_by": "held_by",
        "undoes": "undo_of_id",
        "undone_by": "undo_id",
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
    "pending_approvals": _LEASE | {"came": "result", "edition": "revision", "tap": "interaction_id"},
    "revisions": {
        "edition": "revision",
        "ended_by": "superseded_by",
        "ended_at": "superseded_at",
        "because": "reasons",
    },
    "bundles": _CARD,
    "outbox": _LEASE,
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
    for table in sa.inspect(op.get_bind()).get_table_names():
        _rename_parts(table)
    if _is_postgresql():
        op.execute("ALTER SEQUENCE remarks_id_seq RENAME TO proposal_comments_id_seq")
    _carry_marks()
    _carry_has_card()
    _carry_deleted()
    _carry_one_by_one()
    _carry_reasons(op.get_bind())
    _carry_graduation(op.get_bind())


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _rename_parts(table: str) -> None:
    """Call constraints and indexes after the new names of their table and column: they are kind_table_column."""
    before = {new: old for old, new in TABLES.items()}.get(table, table)
    columns = COLUMNS.get(table, {})

    def renamed(found: re.Match[str]) -> str:
        kind, of = found.groups()
        return f"{kind}_{table}" if of is None else f"{kind}_{table}_{columns.get(of, of)}"

    names = re.compile(rf"\b(pk|uq|ck|fk|ix)_{before}(?:_(\w+))?\b")
    if _is_postgresql():
        _rename_on_postgresql(table, names, renamed)
    else:
        _rename_on_sqlite(table, names, renamed)


def _rename_on_postgresql(table: str, names: re.Pattern[str], renamed: _Renamed) -> None:
    constraints = "SELECT conname FROM pg_constraint WHERE conrelid = CAST(:table AS regclass)"
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :table"
    rename = f"ALTER TABLE {table} RENAME CONSTRAINT {{}} TO {{}}"
    for look, change in ((constraints, rename), (indexes, "ALTER INDEX {} RENAME TO {}")):
        for old in op.get_bind().execute(sa.text(look), {"table": table}).scalars().all():
            new = names.sub(renamed, old)
            if new != old:
                op.execute(change.format(old, new))


def _rename_on_sqlite(table: str, names: re.Pattern[str], renamed: _Renamed) -> None:
    """Make them anew: SQLite renames neither. For its constraints a table is copied.

    Foreign keys are off while migrating, so that dropping the old one touches no other table.
    """
    look = sa.text(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = :table AND type = :type AND sql > ''"
    )
    (created,) = op.get_bind().execute(look, {"table": table, "type": "table"}).all()
    indexes = op.get_bind().execute(look, {"table": table, "type": "index"}).all()
    made, copy = names.sub(renamed, created.sql), f"_new_{table}"
    if made != created.sql:
        op.execute(re.sub(rf'^CREATE TABLE "?{table}"?', f"CREATE TABLE {copy}", made, count=1))
        op.execute(f"INSERT INTO {copy} SELECT * FROM {table}")  # noqa: S608 - our own names
        op.execute(f"DROP TABLE {table}")
        op.execute(f"ALTER TABLE {copy} RENAME TO {table}")
    for index in indexes:
        if made != created.sql or names.sub(renamed, index.sql) != index.sql:
            op.execute(f"DROP INDEX IF EXISTS {index.name}")
            op.execute(names.sub(renamed, index.sql))


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
    poll, moments = (
        key(sa.Text, "name"),
        [*required(UtcDateTime, "due_at"), *optional(UtcDateTime, "read_until")],
    )
    return (
        op.create_table("poll_cursors", *poll, *moments),
        op.create_table("channel_welcomes", *key(sa.Text, "channel"), *required(UtcDateTime, "at")),
        op.create_table(
            "pause",
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            *required(sa.Text, "paused_by"),
            *required(UtcDateTime, "paused_at"),
            *required(sa.Text, "reason"),
            sa.CheckConstraint("id = 1", name="single_row"),
        ),
        op.create_table("settings_kv", *key(sa.Text, "name"), *required(sa.Text, "value")),
    )


def _carry_has_card() -> None:
    """Say which proposals have a card instead of which have none (`quiet`)."""
    op.add_column("proposals", sa.Column("has_card", sa.Integer(), server_default="1", nullable=False))
    op.execute("UPDATE proposals SET has_card = 0 WHERE quiet = 1")
    op.execute("ALTER TABLE proposals DROP COLUMN quiet")


def _carry_deleted() -> None:
    """Mark the comments whose Slack message was deleted in a column: their text said so."""
    op.add_column("proposal_comments", sa.Column("deleted", sa.Integer(), server_default="0", nullable=False))
    own = sa.table("proposal_comments", sa.column("kind"), sa.column("text"), sa.column("deleted"))
    text = sa.func.substr(own.c.text, len(DELETED) + 1)
    marked = (own.c.kind == "thread", own.c.text.startswith(DELETED, autoescape=True))
    op.execute(sa.update(own).where(*marked).values(deleted=1, text=text))


def _carry_one_by_one() -> None:
    """Say in a column which bundles are reviewed one by one: their key began with "each|", others with "all|"."""
    op.add_column("bundles", sa.Column("one_by_one", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE bundles SET one_by_one = 1, key = substr(key, 6) WHERE key LIKE 'each|%'")
    op.execute("UPDATE bundles SET key = substr(key, 5) WHERE key LIKE 'all|%' AND one_by_one = 0")


def _carry_reasons(connection: sa.Connection) -> None:
    """Where a sentence was stored, a code and its arguments: read once, and kept as a text if not recognised."""
    for table, (old, keys, query, read) in _SENTENCES.items():
        add_columns(table, *optional(sa.Text, "reason_code"), *optional(SafeJson, "reason_args"))
        columns = (*map(sa.column, keys), sa.column("reason_code"), sa.column("reason_args", SafeJson()))
        own = sa.table(table, *columns)
        change = (
            sa.update(own)
            .where(*(own.c[key] == sa.bindparam(f"old_{key}") for key in keys))
            .values(reason_code=sa.bindparam("code"), reason_args=sa.bindparam("args", type_=SafeJson()))
        )
        for rows in connection.execute(sa.text(query)).partitions(1_000):
            made = [
                {f"old_{key}": getattr(row, key) for key in keys} | {"code": why.code, "args": dict(why.args)}
                for row, why in ((row, read(row)) for row in rows)
            ]
            connection.execute(change, made)
        op.execute(f"ALTER TABLE {table} DROP COLUMN {old}")


def _as_text(row: Any) -> Reason:
    return Reason.of(ReasonCode.TEXT, text=row.said)


def _as_transition(row: Any) -> Reason:
    return read_transition(row.from_state, row.to_state, row.said)


# By table: its column of sentences, its key, and how one is read. A proposal's is of its newest transition.
_SENTENCES: dict[str, tuple[str, tuple[str, ...], str, Callable[[Any], Reason]]] = {
    "proposals": (
        "note",
        ("id",),
        """SELECT p.id, p.note AS said, p.state AS to_state,
             (SELECT t.from_state FROM transitions t WHERE t.proposal_id = p.id
              ORDER BY t.row_version DESC LIMIT 1) AS from_state
           FROM proposals p WHERE p.note IS NOT NULL""",
        _as_transition,
    ),
    "transitions": (
        "reason",
        ("proposal_id", "row_version"),
        """SELECT proposal_id, row_version, reason AS said, from_state, to_state
           FROM transitions WHERE reason IS NOT NULL""",
        _as_transition,
    ),
    "calls": (
        "error",
        ("proposal_id", "number"),
        "SELECT proposal_id, number, error AS said FROM calls WHERE error IS NOT NULL",
        lambda row: read_sentence(row.said),
    ),
    "events": ("note", ("id",), "SELECT id, note AS said FROM events WHERE note IS NOT NULL", _as_text),
    "rule_matches": (
        "note",
        ("fact_key", "rule"),
        "SELECT fact_key, rule, note AS said FROM rule_matches WHERE note IS NOT NULL",
        _as_text,
    ),
}


def _carry_graduation(connection: sa.Connection) -> None:
    """Graduation's sentences become codes, and what it kept as JSON takes the names of today."""
    cause = [*optional(sa.Text, "cause_code"), *optional(SafeJson, "cause_args")]
    add_columns("case_kinds", *cause, *optional(sa.Integer, "offered_generation", "offered_cases"))
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
    change = sa.text(
        "UPDATE case_kinds SET offered_generation = :now, offered_cases = :cases WHERE hash = :own"
    )
    for case_kind, (generation, cases) in newest.items():
        connection.execute(change, {"now": int(generation), "cases": int(cases), "own": case_kind})


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
