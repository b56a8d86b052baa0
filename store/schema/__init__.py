"""The tables, for SQLite and PostgreSQL alike; those of graduation are in `store.schema.graduation`, those of
what waits for somebody's word in `store.schema.waiting`, the indexes of proposals in
`store.schema.proposal_indexes`.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from store.engine.dialects import KeyText, SafeJson, SafeText, UtcDateTime, one_of, partial_index
from store.models import CallState, EventState, Mode, ProposalKind, ProposalState, RuleMatchState, Verdict
from store.models.details import CommentKind
from store.models.worth import OTHERWISE, PER_DOLLAR

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A lease is a random token and the time it holds until: see `store.engine.leases`.
events = Table(
    "events",
    metadata,
    Column("id", Text, primary_key=True),  # the webhook-id
    Column("type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),  # the raw bytes that were signed
    Column("signature", Text, nullable=False),
    Column("sent_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False, default=EventState.NEW),
    Column("reason_code", Text),  # what came of it
    Column("reason_args", SafeJson(none_as_null=True)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_token", Text),
    Column("lease_expires_at", UtcDateTime),
    # known once the rules have looked at it: what it is about ("order:…") and when Polar says it happened
    Column("subject", SafeText),
    Column("occurred_at", UtcDateTime),
    one_of("state", EventState),
)
partial_index("ix_events_new", events.c.due_at, where=events.c.state == "new")
Index("ix_events_received_at", events.c.received_at)
partial_index("ix_events_failed", events.c.received_at, where=events.c.state == "failed")
Index("ix_events_subject", events.c.subject, events.c.occurred_at)

# The newest state of everything events have told of; a late event never replaces a newer one.
subjects = Table(
    "subjects",
    metadata,
    Column("subject", KeyText, primary_key=True),
    Column("terminal", Integer, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("event_id", Text, ForeignKey("events.id"), nullable=False),
    Column("state", SafeJson, nullable=False),  # the event's `data`
    Column("customer_id", SafeText),  # of whom it is, as far as the data says
)
Index("ix_subjects_customer_id", subjects.c.customer_id, subjects.c.subject)

# When Polar is next asked for what no webhook tells, and until when everything has been read.
poll_cursors = Table(
    "poll_cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("due_at", UtcDateTime, nullable=False),
    Column("read_until", UtcDateTime),
)

# Single values of the program, each written by one module: `store.engine.settings_kv.Setting` names them.
settings_kv = Table(
    "settings_kv", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)

# The pace of calls that replicas share. Seconds since 1970, not a time: they are added to and compared.
shared_pace = Table(
    "shared_pace", metadata, Column("key", Text, primary_key=True), Column("full_at", Float, nullable=False)
)

rule_versions = Table(
    "rule_versions",
    metadata,
    Column("version", Text, primary_key=True),  # hash of the content
    Column("name", Text, nullable=False),
    Column("source", JSON, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
)

rule_matches = Table(
    "rule_matches",
    metadata,
    Column("fact_key", SafeText, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("rule_version", Text, ForeignKey("rule_versions.version"), nullable=False),
    Column("event_id", Text, ForeignKey("events.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", UtcDateTime),
    Column("reason_code", Text),  # what came of it
    Column("reason_args", SafeJson(none_as_null=True)),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lease_token", Text),
    Column("lease_expires_at", UtcDateTime),
    Column("matched_at", UtcDateTime),
    one_of("state", RuleMatchState),
)
Index("ix_rule_matches_event_id", rule_matches.c.event_id)
# Holds all that is asked about a rule's activity, so that the rows themselves are not read.
Index("ix_rule_matches_rule", rule_matches.c.rule, rule_matches.c.state, rule_matches.c.matched_at)
partial_index("ix_rule_matches_waiting", rule_matches.c.due_at, where=rule_matches.c.state == "waiting")

_RATES = " ".join(f"WHEN '{code}' THEN {rate}" for code, rate in PER_DOLLAR.items())
_WORTH = f"abs(coalesce(amount, 0)) / (CASE lower(currency) {_RATES} ELSE {OTHERWISE} END)"
proposals = Table(
    "proposals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fact_key", SafeText, nullable=False),
    Column("event_id", Text, ForeignKey("events.id")),  # with a rule; a person's has a proposer instead
    Column("rule", Text),
    Column("rule_version", Text, ForeignKey("rule_versions.version")),
    Column("proposer", Text),
    Column("subject", SafeText),
    Column("title", SafeText, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("risk", Text, nullable=False),
    Column("always_asks", SafeText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False, default=ProposalState.PENDING),
    Column("row_version", Integer, nullable=False, default=1),
    Column("reason_code", Text),  # why it stands where it stands: see store.models.reasons
    Column("reason_args", SafeJson(none_as_null=True)),
    Column("attempts", Integer, nullable=False, default=0),
    # how often Polar was asked what became of it
    Column("verify_attempts", Integer, nullable=False, default=0),
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    # execution
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease_token", Text),
    Column("lease_expires_at", UtcDateTime),
    # the card: the same columns as in `bundles`, see `store.messages.cards`
    Column("channel", Text),
    Column("card_ts", Text),
    Column("rendered_version", Integer, nullable=False, default=0),
    Column("card_due_at", UtcDateTime, nullable=False),
    # written before the card is posted, cleared when it certainly was not: set without a card_ts, a card
    # may be in the channel that nobody has noted
    Column("card_sent_at", UtcDateTime),
    Column("card_lease_token", Text),
    Column("card_lease_expires_at", UtcDateTime),
    Column("kind", Text, nullable=False, server_default=ProposalKind.CALLS),
    # what it asks: grows when somebody edits it or Polar's state changes under it, and a button carries it
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("content_hash", Text),  # of what the card shows
    Column("changes", JSON(none_as_null=True)),  # [label, before, now] since the revision before
    Column("edited_by", Text),
    Column("approval_checking_by", Text),  # whose Approve is being checked
    Column("cancellable_until", UtcDateTime),  # approved, and can be taken back until then
    Column("held_by", Text),  # a person said: nobody approves or runs this now
    Column("snoozed_until", UtcDateTime),
    Column("snoozed_by", Text),
    Column("assignee", Text),
    Column("deadline", UtcDateTime),  # the business's: a period ends, evidence is due
    Column("expires_at", UtcDateTime),
    Column("reminded_at", UtcDateTime),
    Column("escalated_at", UtcDateTime),
    Column("amount", BigInteger),  # minor units of `currency`: the money at stake
    Column("currency", Text),
    Column("customer_id", SafeText),
    Column("customer", SafeText),  # their e-mail address in lower case, for whoever looks for it
    Column("bundle_id", Text),  # of `bundles`
    Column("undo_of_id", Text),  # the proposal whose calls this one takes back
    Column("undo_id", Text),  # the proposal that took this one back, or is about to
    Column("undone_at", UtcDateTime),
    Column("first_shown_at", UtcDateTime),  # when the current revision was first shown
    # 1: it has or gets a card; 0: it runs without one, as long as nothing goes wrong
    Column("has_card", Integer, nullable=False, server_default="1"),
    Column("mode", Text, nullable=False, server_default=Mode.ASKED),
    Column("case_kind", Text),
    Column("gate", SafeJson(none_as_null=True)),  # what the policy said of it, and why
    Column("reads", SafeJson(none_as_null=True)),  # of Polar, when it was made: by name, cut short
    Column("erased_at", UtcDateTime),  # since then its texts are not kept: see `store.erasure`
    # What lists are ordered by, computed by the database: when it ends, and how many dollars it is about.
    Column("ends_at", UtcDateTime, Computed("coalesce(deadline, expires_at)", persisted=True)),
    Column("worth", Float, Computed(_WORTH, persisted=True)),
    Column("retry_by", Text),  # the first of two who would have it sent again
    UniqueConstraint("fact_key", "rule"),
    one_of("state", ProposalState),
    # SQLite adds no constraint to a table that exists: `kind` and `mode` are checked where rows are read.
)

calls = Table(
    "calls",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("operation", Text, nullable=False),
    Column("path", JSON, nullable=False),
    Column("query", JSON, nullable=False),
    Column("body", JSON(none_as_null=True)),
    Column("state", Text, nullable=False, default=CallState.PLANNED),
    Column("status", Integer),
    Column("reason_code", Text),  # why it was refused
    Column("reason_args", SafeJson(none_as_null=True)),
    Column("answer", JSON(none_as_null=True)),
    Column("before", JSON(none_as_null=True)),  # the fields it changes as they were, to write them back
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    one_of("state", CallState),
)
Index("ix_calls_started_at", calls.c.started_at)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("proposal_id", Text, ForeignKey("proposals.id"), nullable=False),
    Column("actor", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("reason", SafeText),
    Column("at", UtcDateTime, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("interaction_id", Text),  # one press of a button, however many proposals it decided
    Column("shown_at", UtcDateTime),  # since when whoever decided could have looked at it
    Column("clicked_at", UtcDateTime),  # when they pressed, before Polar was looked at
    one_of("verdict", Verdict),
)
Index("ix_decisions_proposal_id", decisions.c.proposal_id)
Index("ix_decisions_interaction_id", decisions.c.interaction_id)
Index("ix_decisions_actor", decisions.c.actor, decisions.c.at)

transitions = Table(
    "transitions",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("row_version", Integer, primary_key=True),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason_code", Text),
    Column("reason_args", SafeJson(none_as_null=True)),
    Column("at", UtcDateTime, nullable=False),
    Column("announced", Integer, nullable=False, default=0),  # 1 once its line is in the card's thread
)

# An Approve that is being checked against Polar: on disk before Slack is told that we have it.
pending_approvals = Table(
    "pending_approvals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("proposal_id", Text, ForeignKey("proposals.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("interaction_id", Text),
    Column("reason", SafeText),
    Column("channel", Text),  # where its person is told the result
    Column("at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("result", SafeText),  # a status code
    Column("lease_token", Text),
    Column("lease_expires_at", UtcDateTime),
)
_OPEN = pending_approvals.c.closed_at.is_(None)
partial_index("ix_pending_approvals_open", pending_approvals.c.at, where=_OPEN)
Index("ix_pending_approvals_proposal_id", pending_approvals.c.proposal_id)

# What a proposal asked before it was edited or restated.
revisions = Table(
    "revisions",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("title", SafeText, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("calls", JSON, nullable=False),
    Column("superseded_by", Text, nullable=False),  # who edited it, or the program
    Column("superseded_at", UtcDateTime, nullable=False),
)

# What people said and did around a proposal: reasons, thread messages, snoozes, assignments.
proposal_comments = Table(
    "proposal_comments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("proposal_id", Text, ForeignKey("proposals.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("preset", Text),
    Column("channel", Text),
    Column("ts", Text),
    Column("at", UtcDateTime, nullable=False),
    Column("deleted", Integer, nullable=False, server_default="0"),  # 1: the Slack message was deleted
    UniqueConstraint("proposal_id", "channel", "ts"),
    one_of("kind", CommentKind),
)
Index("ix_proposal_comments_proposal_id", proposal_comments.c.proposal_id, proposal_comments.c.at)

# One card for many proposals of one kind.
bundles = Table(
    "bundles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("key", SafeText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),  # nothing joins it any more
    Column("row_version", Integer, nullable=False),
    Column("channel", Text),
    Column("card_ts", Text),
    Column("first_shown_at", UtcDateTime),
    Column("rendered_version", Integer, nullable=False, default=0),
    Column("card_due_at", UtcDateTime, nullable=False),
    Column("card_sent_at", UtcDateTime),
    Column("card_lease_token", Text),
    Column("card_lease_expires_at", UtcDateTime),
    Column("one_by_one", Integer, nullable=False, server_default="0"),  # 1: there is no Approve all
)
_BUNDLE_BEHIND = bundles.c.rendered_version < bundles.c.row_version
partial_index("ix_bundles_undrawn", bundles.c.card_due_at, where=_BUNDLE_BEHIND)
Index("ix_bundles_card_ts", bundles.c.card_ts)
partial_index("ix_bundles_open", bundles.c.created_at, where=bundles.c.closed_at.is_(None))

# Messages that are no cards, each sent once its time has come: digests, reminders, lines in threads.
outbox = Table(
    "outbox",
    metadata,
    Column("id", SafeText, primary_key=True),  # says what it is for, so that it is made once
    Column("kind", Text, nullable=False),
    Column("proposal_id", Text, ForeignKey("proposals.id")),  # its card's thread is where it goes
    Column("message", JSON, nullable=False),  # {text, blocks}, or {code, args} (models.OutboxCode)
    Column("created_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("ts", Text),
    Column("sent_at", UtcDateTime),
    Column("note", SafeText),
    Column("lease_token", Text),
    Column("lease_expires_at", UtcDateTime),
)
partial_index("ix_outbox_unsent", outbox.c.due_at, where=outbox.c.sent_at.is_(None))

# Whose texts are not kept: what comes of them later is erased the night after it is closed.
erased_customers = Table(
    "erased_customers",
    metadata,
    Column("customer_id", SafeText, primary_key=True),
    Column("erased_at", UtcDateTime, nullable=False),
)

# Channels in which the program has introduced itself: once each.
channel_welcomes = Table(
    "channel_welcomes",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)

# Who has the Home tab open, so that it is drawn again when something changes.
home_tab_viewers = Table(
    "home_tab_viewers",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("drawn_at", UtcDateTime),
)
