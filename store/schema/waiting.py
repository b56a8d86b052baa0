"""The tables of what waits for somebody's word: failed rules, and stops that Slack has not confirmed."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text

from store.engine.dialects import SafeJson, SafeText, UtcDateTime
from store.schema import metadata

# Rules that failed on an event. A row goes once the rule has been asked about it again without failing.
failed_matches = Table(
    "failed_matches",
    metadata,
    Column("event_id", Text, ForeignKey("events.id"), primary_key=True),
    Column("rule", Text, primary_key=True),
    Column("rule_version", Text, nullable=False),
    Column("fact_key", SafeText),  # of the rule match that had waited for its delay
    Column("reason_code", Text, nullable=False),
    Column("reason_args", SafeJson(none_as_null=True)),
    Column("failed_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
)
Index("ix_failed_matches_failed_at", failed_matches.c.failed_at)

# A decline, undo, hold or pause for which Slack has not said who wants it. A row goes once it is settled.
wishes = Table(
    "wishes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("proposal_id", Text, ForeignKey("proposals.id")),  # none for a pause
    Column("revision", Integer),
    Column("actor", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("interaction_id", Text),
    Column("reason", SafeText),
    Column("channel", Text),  # where its person is told the result
    Column("at", UtcDateTime, nullable=False),
    Column("took_effect", Integer, nullable=False, server_default="0"),  # 1: by a listed id, to be confirmed
    Column("would_run_at", UtcDateTime),  # when what an undo has cancelled would have run
    Column("lease_token", Text),
    Column("lease_expires_at", UtcDateTime),
)
