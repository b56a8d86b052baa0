"""Comments, revisions and everything else about one proposal, as plain values. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from store.models import CommentKind, Decision, Proposal, StoredEvent, Transition


class OutboxCode(StrEnum):
    """The messages in the outbox that the store itself puts there. Their arguments: `actor`."""

    BACK_FROM_SNOOZE = "back_from_snooze"  # actor: who snoozed it
    UNDONE = "undone"  # actor: who undid it
    NOT_UNDONE = "not_undone"
    PERHAPS_UNDONE = "perhaps_undone"


@dataclass(frozen=True, slots=True)
class Comment:
    """One thing said or done around a proposal. `text` is untrusted; `ts` names its Slack message."""

    proposal_id: str
    kind: CommentKind
    author: str
    text: str
    preset: str | None
    channel: str | None
    ts: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """A proposal's question before it was edited or restated. `calls` are as they would have been sent."""

    revision: int
    title: str
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    calls: tuple[Mapping[str, Any], ...]
    superseded_by: str
    superseded_at: datetime


@dataclass(frozen=True, slots=True)
class ProposalDetails:
    """A proposal with all that belongs to it. `counts` are of its customer's proposals, by state."""

    proposal: Proposal
    event: StoredEvent | None
    latest: Mapping[str, Any] | None
    rule_source: Mapping[str, Any] | None
    trail: tuple[Transition, ...]
    decisions: tuple[Decision, ...]
    revisions: tuple[Revision, ...]
    comments: tuple[Comment, ...]
    earlier: tuple[Proposal, ...]
    counts: Mapping[str, int]
