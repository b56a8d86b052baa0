"""The tables of graduation: kinds of case, what was learned of them, and the log that explains all of it."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from store.models import CaseKindState, OutcomeKind
from store.schema import metadata
from store.schema.columns import SafeText, UtcDateTime, one_of

__all__ = ["audit_log", "case_kinds", "labels", "metadata", "outcomes", "spending"]

# One kind of case, as far as trust goes. Tallies are sums of `labels`, kept here for the gate's one read.
case_kinds = Table(
    "case_kinds",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("family", SafeText, nullable=False),  # action and trigger: what is demoted together
    Column("fields", JSON, nullable=False),
    Column("words", SafeText, nullable=False),
    Column("risk", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("manual_override", Integer, nullable=False, default=0),  # 1: turned on below its bar
    Column("generation", Integer, nullable=False, default=0),
    Column("generation_at", UtcDateTime, nullable=False),
    Column("n", Integer, nullable=False, default=0),  # counted cases of this generation
    Column("k", Integer, nullable=False, default=0),  # of these, bad ones
    Column("customers", Integer, nullable=False, default=0),
    Column("first_at", UtcDateTime),  # the first counted case of this generation
    Column("approvals_since_rejection", Integer, nullable=False, default=0),  # cases since the last bad one
    Column("audits_agreed", Integer, nullable=False, default=0),
    Column("audits", Integer, nullable=False, default=0),
    Column("seen", JSON, nullable=False),  # the values approved so far
    Column("offered_at", UtcDateTime),
    Column("used_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime),
    Column("cause", SafeText),
    one_of("state", CaseKindState),
)
Index("ix_case_kinds_family", case_kinds.c.family)
Index("ix_case_kinds_state", case_kinds.c.state, case_kinds.c.used_at)

# What one decided case says for or against its kind of case. Derived: made again from the log at any time.
labels = Table(
    "labels",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("case_kind", Text, ForeignKey("case_kinds.hash"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("bad", Integer, nullable=False),
    Column("counted", Integer, nullable=False),
    Column("why", SafeText, nullable=False),
    Column("audit", Integer, nullable=False, default=0),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("matures_at", UtcDateTime, nullable=False),
)
Index("ix_labels_case_kind", labels.c.case_kind, labels.c.generation, labels.c.decided_at)
Index("ix_labels_matures_at", labels.c.matures_at)

# What later happened to something that was done: undone, reversed, disputed.
outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("proposal_id", Text, ForeignKey("proposals.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", SafeText, nullable=False),  # the event, proposal or transition that shows it
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("proposal_id", "kind", "source"),
    one_of("kind", OutcomeKind),
)

# How much ran, by what and day: the caps are held against these.
spending = Table(
    "spending",
    metadata,
    Column("scope", SafeText, primary_key=True),
    Column("day", Text, primary_key=True),  # 2026-11-21, UTC
    Column("currency", Text, primary_key=True),  # "" for what moves no money
    Column("count", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
)

# The log that everything is explained from: each row's hash covers the row before.
audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", SafeText),  # a proposal's id or a kind of case's hash
    Column("body", Text, nullable=False),  # canonical JSON
    Column("hash", Text, nullable=False),
)
Index("ix_audit_log_subject", audit_log.c.subject, audit_log.c.seq)
