"""The tables of graduation: kinds of case, what was learned of them, and the log that explains all of it."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Table, Text, UniqueConstraint

from store.models import OutcomeKind, ShapeState
from store.schema import metadata
from store.schema.columns import SafeText, UtcDateTime, one_of

__all__ = ["labels", "ledger", "metadata", "outcomes", "shapes", "spending"]

# One kind of case, as far as trust goes. Tallies are sums of `labels`, kept here for the gate's one read.
shapes = Table(
    "shapes",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("family", SafeText, nullable=False),  # action and trigger: what is demoted together
    Column("fields", JSON, nullable=False),
    Column("words", SafeText, nullable=False),
    Column("risk", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("decree", Integer, nullable=False, default=0),  # 1: turned on below its bar
    Column("epoch", Integer, nullable=False, default=0),
    Column("epoch_at", UtcDateTime, nullable=False),
    Column("n", Integer, nullable=False, default=0),  # counted cases of this epoch
    Column("k", Integer, nullable=False, default=0),  # of these, bad ones
    Column("customers", Integer, nullable=False, default=0),
    Column("first_at", UtcDateTime),  # the first counted case of this epoch
    Column("clean_tail", Integer, nullable=False, default=0),  # cases since the last bad one
    Column("audits_agreed", Integer, nullable=False, default=0),
    Column("audits", Integer, nullable=False, default=0),
    Column("seen", JSON, nullable=False),  # the values approved so far
    Column("offered_at", UtcDateTime),
    Column("used_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime),
    Column("cause", SafeText),
    one_of("state", ShapeState),
)
Index("ix_shapes_family", shapes.c.family)
Index("ix_shapes_state", shapes.c.state, shapes.c.used_at)

# What one decided case says for or against its shape. Derived: made again from the log at any time.
labels = Table(
    "labels",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("shape", Text, ForeignKey("shapes.hash"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("bad", Integer, nullable=False),
    Column("counted", Integer, nullable=False),
    Column("why", SafeText, nullable=False),
    Column("audit", Integer, nullable=False, default=0),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("matures_at", UtcDateTime, nullable=False),
)
Index("ix_labels_shape", labels.c.shape, labels.c.epoch, labels.c.decided_at)
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
ledger = Table(
    "ledger",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", SafeText),  # a proposal's id or a shape's hash
    Column("body", Text, nullable=False),  # canonical JSON
    Column("hash", Text, nullable=False),
)
Index("ix_ledger_subject", ledger.c.subject, ledger.c.seq)
