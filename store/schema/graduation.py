"""The tables of graduation: kinds of case, what was learned of them, and the log that explains all of it."""

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

from store.engine.dialects import SafeJson, SafeText, UtcDateTime, one_of, partial_index
from store.models import CaseKindState, OutcomeKind
from store.schema import metadata, proposal_indexes, waiting

# `metadata` as this module hands it on has every table and index.
__all__ = [
    "audit_log",
    "cap_usage",
    "case_kinds",
    "case_labels",
    "metadata",
    "outcomes",
    "pause",
    "proposal_indexes",
    "unlearned_cases",
    "waiting",
]

# One kind of case, as far as trust goes. The counts are sums of `case_labels`, kept here for the gate's one
# read, and moved by the difference whenever a label changes.
case_kinds = Table(
    "case_kinds",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("family", SafeText, nullable=False),  # action and trigger: what is demoted together
    Column("fields", JSON, nullable=False),
    Column("label", SafeText, nullable=False),
    Column("risk", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("manual_override", Integer, nullable=False, default=0),  # 1: turned on below its threshold
    Column("generation", Integer, nullable=False, default=0),
    Column("generation_at", UtcDateTime, nullable=False),
    Column("cases", Integer, nullable=False, default=0),  # counted, of this generation
    Column("rejections", Integer, nullable=False, default=0),  # among them
    Column("customers", Integer, nullable=False, default=0),
    Column("first_at", UtcDateTime),  # the first counted case of this generation
    Column("last_rejection_at", UtcDateTime),  # decided, of this generation
    Column("approvals_since_rejection", Integer, nullable=False, default=0),
    Column("spot_checks_agreed", Integer, nullable=False, default=0),
    Column("spot_checks", Integer, nullable=False, default=0),
    Column("approved_values", JSON, nullable=False),
    # the newest offer to let it run on its own: when, in which generation, and after how many cases
    Column("offered_at", UtcDateTime),
    Column("offered_generation", Integer),
    Column("offered_cases", Integer),
    Column("last_case_at", UtcDateTime, nullable=False),
    # the newest change of `state` or `generation`, and why: a `ChangeCode` with its arguments
    Column("changed_at", UtcDateTime),
    Column("cause_code", Text),
    Column("cause_args", SafeJson(none_as_null=True)),
    # its assessment failed, so it asks: why, since when, and when it is assessed again
    Column("set_aside_code", Text),
    Column("set_aside_args", SafeJson(none_as_null=True)),
    Column("set_aside_at", UtcDateTime),
    Column("retry_at", UtcDateTime),
    one_of("state", CaseKindState),
)
Index("ix_case_kinds_family", case_kinds.c.family)
Index("ix_case_kinds_state", case_kinds.c.state, case_kinds.c.last_case_at)
partial_index("ix_case_kinds_retry_at", case_kinds.c.retry_at, where=case_kinds.c.retry_at.is_not(None))

# What one decided case says for or against its kind of case. Derived: made again from the log at any time.
case_labels = Table(
    "case_labels",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("case_kind", Text, ForeignKey("case_kinds.hash"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("is_rejection", Integer, nullable=False),
    Column("is_counted", Integer, nullable=False),
    Column("reason_code", Text, nullable=False),  # a `LabelReason`
    Column("is_spot_check", Integer, nullable=False, default=0),
    Column("decided_at", UtcDateTime, nullable=False),
    Column("matures_at", UtcDateTime, nullable=False),
    Column("customer_id", SafeText),  # the proposal's, for whom it counts
    Column(
        "in_score", Integer, nullable=False, server_default="0"
    ),  # counts by now: a rejection, a mature approval
    Column("is_learnt", Integer, nullable=False, server_default="0"),  # its values are approved values
)
# Each answers one question about a kind by key: how much has counted since a moment; does this customer count
# already; which values are the newest; what was asked until a moment.
_OWN = (case_labels.c.case_kind, case_labels.c.generation)
Index(
    "ix_case_labels_counted",
    *_OWN,
    case_labels.c.is_counted,
    case_labels.c.is_rejection,
    case_labels.c.decided_at,
)
Index("ix_case_labels_customer_id", *_OWN, case_labels.c.in_score, case_labels.c.customer_id)
Index(
    "ix_case_labels_learnt",
    case_labels.c.case_kind,
    case_labels.c.is_learnt,
    case_labels.c.decided_at,
    case_labels.c.proposal_id,
)
Index("ix_case_labels_case_kind", case_labels.c.case_kind, case_labels.c.matures_at)
partial_index(
    "ix_case_labels_spot_checks",
    case_labels.c.case_kind,
    case_labels.c.is_rejection,
    where=and_(case_labels.c.is_counted == 1, case_labels.c.is_spot_check == 1),
)
Index("ix_case_labels_matures_at", case_labels.c.matures_at)

# Cases of the kinds that are set aside, to be learnt from when their kind is assessed again.
unlearned_cases = Table(
    "unlearned_cases",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("case_kind", Text, ForeignKey("case_kinds.hash"), nullable=False),
)
Index("ix_unlearned_cases_case_kind", unlearned_cases.c.case_kind, unlearned_cases.c.proposal_id)

# What later happened to something that was done: undone, reversed, disputed.
outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("proposal_id", Text, ForeignKey("proposals.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", SafeText, nullable=False),  # the event, proposal, state or person that shows it
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("proposal_id", "kind", "source"),
    one_of("kind", OutcomeKind),
)
Index("ix_outcomes_at", outcomes.c.at)

# How much ran, by what and day: the caps are held against these.
cap_usage = Table(
    "cap_usage",
    metadata,
    Column("scope", SafeText, primary_key=True),
    Column("day", Text, primary_key=True),  # 2026-11-21, UTC
    Column("currency", Text, primary_key=True),  # "" for what moves no money
    Column("count", Integer, nullable=False),
    Column("amount", BigInteger, nullable=False),
)

# The pause of everything that runs on its own: one row while it lasts, `id` always 1.
pause = Table(
    "pause",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("paused_by", Text, nullable=False),  # a Slack user, or the program
    Column("paused_at", UtcDateTime, nullable=False),
    Column("reason", SafeText, nullable=False),
    CheckConstraint("id = 1", name="single_row"),
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
    Column("personal", Text),  # canonical JSON with a salt, its hash is in `body`; NULL: nothing, or erased
)
Index("ix_audit_log_subject", audit_log.c.subject, audit_log.c.seq)
