"""Everything that people look up: a proposal with all about it, the backlog, the decisions of a day. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from store.models import CommentKind, Decision, Proposal, StoredEvent, Transition
from store.models.reasons import Reason


class OutboxCode(StrEnum):
    """The messages in the outbox that the store itself puts there. Their arguments: `actor`."""

    BACK_FROM_SNOOZE = "back_from_snooze"  # actor: who snoozed it
    UNDONE = "undone"  # actor: who undid it
    NOT_UNDONE = "not_undone"
    PERHAPS_UNDONE = "perhaps_undone"


@dataclass(frozen=True, slots=True)
class Comment:
    """One thing said or done around a proposal. `text` is untrusted; `ts` names its Slack message.

    `deleted`: 1 when somebody deleted that message; its text stays.
    """

    proposal_id: str
    kind: CommentKind
    author: str
    text: str
    preset: str | None
    channel: str | None
    ts: str | None
    at: datetime
    deleted: int = 0


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


@dataclass(frozen=True, slots=True)
class Arrival:
    """A webhook without its body. `reason` says what came of it."""

    id: str
    type: str
    received_at: datetime
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Webhooks in, work out. `cards` and `outbox` are messages not yet in Slack, `runs` approved calls."""

    last: Arrival | None
    failed: int
    newest_failure: Arrival | None
    unread: int
    cards: int
    outbox: int
    runs: int


@dataclass(frozen=True, slots=True)
class Today:
    """The decisions since midnight: by people, and automatic runs with their money by currency."""

    approved: int
    declined: int
    ran: int
    money: tuple[tuple[str, int], ...]
