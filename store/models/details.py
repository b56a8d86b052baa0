"""Views for people: a proposal with all about it, a bundle, the backlog, the counts of a day. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from store.models import (
    Decision,
    Proposal,
    ProposalState,
    RuleMatchState,
    StoredEvent,
    Transition,
)
from store.models.reasons import Reason


class OutboxCode(StrEnum):
    """The messages in the outbox that the store itself puts there. Their arguments: `actor`, `label`."""

    BACK_FROM_SNOOZE = "back_from_snooze"  # actor: who snoozed it
    UNDONE = "undone"  # actor: who undid it
    NOT_UNDONE = "not_undone"
    PERHAPS_UNDONE = "perhaps_undone"
    TRUST_CHANGED = "trust_changed"  # label: of the kind of case; that how and why could not be said


class CommentKind(StrEnum):
    """The kinds of comments on a proposal."""

    REASON = "reason"  # why it was declined
    THREAD = "thread"  # a message in its card's thread
    ACT = "act"  # snoozed, assigned, held, released, marked, retried


@dataclass(frozen=True, slots=True)
class Comment:
    """One thing said or done around a proposal. `text` is untrusted; `ts` names its Slack message; `deleted`:
    1 when somebody deleted that; its text stays.
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
class FailedMatch:
    """One rule that failed on one event, and why. `attempts` counts how often it was asked about it.

    `fact_key` is that of the rule match that had waited for its delay.
    """

    event_id: str
    rule: str
    rule_version: str
    reason: Reason | None
    failed_at: datetime
    attempts: int = 1
    fact_key: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that failed on an event, and the event's type."""

    match: FailedMatch
    type: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """Webhooks in, work out. `cards` and `outbox` are messages not yet in Slack, `runs` approved calls.

    `failures` are the newest rules that failed on a webhook.
    """

    last: Arrival | None
    failed: int
    newest_failure: Arrival | None
    unread: int
    cards: int
    outbox: int
    runs: int
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Today:
    """The decisions since midnight: by people, and automatic runs with their money by currency."""

    approved: int
    declined: int
    ran: int
    money: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """Many proposals of one kind on one card. `key` says of what kind; `members` are the oldest first.

    One that is reviewed `one_by_one` holds odd proposals and has no Approve all.
    Since `closed_at` nothing joins it. `row_version` and `card_sent_at` are as of a proposal.
    """

    id: str
    key: str
    created_at: datetime
    closed_at: datetime | None
    row_version: int
    channel: str | None
    card_ts: str | None
    first_shown_at: datetime | None
    card_sent_at: datetime | None
    members: tuple[Proposal, ...] = ()
    one_by_one: bool = False


@dataclass(frozen=True, slots=True)
class DailyStats:
    """Counts of a time: `asked` new ones, `states` of those decided, by whom, and how long each took."""

    asked: int
    states: Mapping[ProposalState, int]
    people: Mapping[str, int]
    seconds: tuple[float, ...]

    @property
    def decided(self) -> int:
        """The number decided, whatever came of them."""
        return sum(self.states.values())


@dataclass(frozen=True, slots=True)
class RuleActivity:
    """The number of matches of a rule, by their result, and the time of the last one (UTC)."""

    counts: dict[RuleMatchState, int]
    last_matched_at: datetime | None

    @property
    def matched(self) -> int:
        """The number of matches in all."""
        return sum(self.counts.values())
