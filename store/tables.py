"""The schema's one definition: SQLAlchemy Core tables for SQLite and PostgreSQL alike."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

from store.models import CallState, EventState, FiringState, ProposalState, Verdict

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime kept as microseconds since 1970 UTC: one integer compares alike on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a naive datetime cannot be stored: {value!r}"
            raise ValueError(msg)
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        return None if value is None else _EPOCH + value * _MICROSECOND


class SafeText(TypeDecorator[str]):
    """Text without the two things a database may refuse: NUL (PostgreSQL) and lone surrogates (both)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as above
        return None if value is None else value.replace("\0", "").encode("utf-8", "replace").decode()


def _one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    allowed = ", ".join(f"'{state}'" for state in states)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_known")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# A claim is a random token and a time until which it holds: whoever holds a claim that ran out finds its
# writes refused, because every write names the token.
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
    Column("note", SafeText),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", UtcDateTime, nullable=False),
    Column("claim", Text),
    Column("claimed_until", UtcDateTime),
    # known once the rules have looked at it: what it is about ("order:…") and when Polar says it happened
    Column("subject", SafeText),
    Column("occurred_at", UtcDateTime),
    _one_of("state", EventState),
)
Index(
    "ix_events_new",
    events.c.due_at,
    sqlite_where=events.c.state == "new",
    postgresql_where=events.c.state == "new",
)
Index("ix_events_received_at", events.c.received_at)
Index("ix_events_subject", events.c.subject, events.c.occurred_at)

# The newest state of everything events have told of; a late event never replaces a newer one.
subjects = Table(
    "subjects",
    metadata,
    Column("subject", SafeText, primary_key=True),
    Column("terminal", Integer, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("event_id", Text, ForeignKey("events.id"), nullable=False),
    Column("state", JSON, nullable=False),  # the event's `data`
)

# How far something has been read, by name.
marks = Table(
    "marks", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False)
)

rule_versions = Table(
    "rule_versions",
    metadata,
    Column("version", Text, primary_key=True),  # hash of the content
    Column("name", Text, nullable=False),
    Column("source", JSON, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
)

firings = Table(
    "firings",
    metadata,
    Column("fact_key", SafeText, primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("rule_version", Text, ForeignKey("rule_versions.version"), nullable=False),
    Column("event_id", Text, ForeignKey("events.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", UtcDateTime),
    Column("note", SafeText),
    Column("attempts", Integer, nullable=False, default=0),
    Column("claim", Text),
    Column("claimed_until", UtcDateTime),
    Column("fired_at", UtcDateTime),
    _one_of("state", FiringState),
)
# Holds all that is asked about a rule's activity, so that the rows themselves are not read.
Index("ix_firings_rule", firings.c.rule, firings.c.state, firings.c.fired_at)
Index(
    "ix_firings_waiting",
    firings.c.due_at,
    sqlite_where=firings.c.state == "waiting",
    postgresql_where=firings.c.state == "waiting",
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fact_key", SafeText, nullable=False),
    # a rule's proposal has an event and a rule, a person's has a proposer
    Column("event_id", Text, ForeignKey("events.id")),
    Column("rule", Text),
    Column("rule_version", Text, ForeignKey("rule_versions.version")),
    Column("proposer", Text),
    Column("subject", SafeText),
    Column("title", SafeText, nullable=False),
    Column("because", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("risk", Text, nullable=False),
    Column("always_asks", SafeText),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False, default=ProposalState.PENDING),
    Column("version", Integer, nullable=False, default=1),
    Column("note", SafeText),
    Column("attempts", Integer, nullable=False, default=0),
    Column("looks", Integer, nullable=False, default=0),  # how often Polar was asked what became of it
    Column("decided_by", Text),
    Column("decided_at", UtcDateTime),
    # execution
    Column("due_at", UtcDateTime, nullable=False),
    Column("claim", Text),
    Column("claimed_until", UtcDateTime),
    # the card
    Column("channel", Text),
    Column("card_ts", Text),
    Column("drawn", Integer, nullable=False, default=0),
    Column("card_due_at", UtcDateTime, nullable=False),
    # written before the card is posted, cleared when it certainly was not: set without a card_ts, a card
    # may be in the channel that nobody has noted
    Column("card_sent_at", UtcDateTime),
    Column("card_claim", Text),
    Column("card_claimed_until", UtcDateTime),
    UniqueConstraint("fact_key", "rule"),
    _one_of("state", ProposalState),
)
_BUSY = proposals.c.state.in_(["approved", "executing", "unknown"])
_UNDRAWN = proposals.c.drawn < proposals.c.version
Index("ix_proposals_busy", proposals.c.due_at, sqlite_where=_BUSY, postgresql_where=_BUSY)
Index("ix_proposals_undrawn", proposals.c.card_due_at, sqlite_where=_UNDRAWN, postgresql_where=_UNDRAWN)
Index("ix_proposals_state", proposals.c.state, proposals.c.created_at)
Index("ix_proposals_event_id", proposals.c.event_id)

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
    Column("error", SafeText),
    Column("answer", JSON(none_as_null=True)),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    _one_of("state", CallState),
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
    _one_of("verdict", Verdict),
)
Index("ix_decisions_proposal_id", decisions.c.proposal_id)

transitions = Table(
    "transitions",
    metadata,
    Column("proposal_id", Text, ForeignKey("proposals.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", SafeText),
    Column("at", UtcDateTime, nullable=False),
    Column("told", Integer, nullable=False, default=0),  # 1 once its line is in the card's thread
)
