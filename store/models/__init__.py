"""The stored values: the nouns, their states and the transitions between states, the hashes of content."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from store.models.reasons import SENT_BEFORE, Reason

_PLAIN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9:.,TZ+ -]*|None|null"
_PLAIN_KEY = re.compile(rf"({_PLAIN})(\|({_PLAIN}))*", re.IGNORECASE)


class Actor(StrEnum):
    """The actors that are no people."""

    POLICY = "policy"  # decides what nobody is asked about
    PROGRAM = "polar-approvals"


class ProposalState(StrEnum):
    """The states of a proposal. `store/README.md` draws TRANSITIONS."""

    PENDING = "pending"  # waits for a person
    APPROVED = "approved"  # a person said yes; nothing has been sent
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # no longer true, or undone in time
    EXECUTING = "executing"  # a worker holds it and may be calling Polar
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # Polar said no, or nobody can tell and a person is asked
    UNKNOWN = "unknown"  # sent, but no answer came


_S = ProposalState
WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)
TRANSITIONS: Mapping[ProposalState, frozenset[ProposalState]] = {
    _S.PENDING: frozenset({_S.APPROVED, _S.DECLINED, _S.EXPIRED, _S.WITHDRAWN}),
    # PENDING: the policy's approval is taken back.
    _S.APPROVED: frozenset({_S.EXECUTING, _S.WITHDRAWN, _S.PENDING}),
    _S.EXECUTING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.UNKNOWN, _S.APPROVED}),
    _S.UNKNOWN: frozenset({_S.SUCCEEDED, _S.APPROVED, _S.FAILED}),
    _S.FAILED: frozenset({_S.APPROVED}),
    # Whoever declined or undid it turned out to be a stranger.
    _S.DECLINED: frozenset({_S.PENDING}),
    _S.WITHDRAWN: frozenset({_S.APPROVED}),
    **dict.fromkeys((_S.SUCCEEDED, _S.EXPIRED), frozenset()),
}


class EventState(StrEnum):
    """The states of a stored webhook."""

    NEW = "new"  # waits for the rules (again, after a pause, when `attempts` > 0)
    DONE = "done"  # the rules have looked at it; its reason says what came of it
    FAILED = "failed"  # a rule failed on it: see `failed_matches`; tried again when somebody wishes it


class CallState(StrEnum):
    """The states of one Polar call of a proposal. A call is sent only from PLANNED."""

    PLANNED = "planned"
    SENDING = "sending"  # written before the first byte leaves: after a crash it means "nobody knows"
    DONE = "done"
    REFUSED = "refused"  # Polar said no; certainly not done
    UNKNOWN = "unknown"  # no answer came
    SKIPPED = "skipped"  # no longer applies; never sent


class RuleMatchState(StrEnum):
    """The states of one rule match: a rule whose `when` was true for one event."""

    WAITING = "waiting"  # held back by the rule's `delay`
    PROPOSED = "proposed"
    SILENT = "silent"  # its `precondition` was not true: nothing to propose


class ProposalKind(StrEnum):
    """The effect of approving a proposal."""

    CALLS = "calls"  # makes calls of Polar
    GRADUATION = "graduation"  # lets the kind of case `case_kind` run on its own
    ERASURE = "erasure"  # erases what is kept of the customer `customer_id`


class Mode(StrEnum):
    """The way a proposal is decided."""

    ASKED = "asked"  # a person, as ever
    AUTO = "auto"  # nobody: its kind of case runs on its own
    SPOT_CHECK = "spot_check"  # a person, though its kind runs on its own: drawn at random


class CaseKindState(StrEnum):
    """The states of a kind of case: how far it is trusted."""

    ASKING = "asking"
    GRADUATED = "graduated"
    PAUSED = "paused"  # its breaker is open: asks until somebody turns it on again


class OutcomeKind(StrEnum):
    """The later fate of something that was done."""

    UNDONE = "undone"
    REVERSED = "reversed"
    DISPUTED = "disputed"
    FAILED = "failed"  # an unexpected error while running on its own


class Verdict(StrEnum):
    """A person's answer."""

    APPROVE = "approve"
    DECLINE = "decline"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A verified webhook about to be stored. `id` is the `webhook-id`; `body` the raw bytes as signed."""

    id: str
    type: str
    body: bytes
    signature: str
    sent_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class SubjectState:
    """The state of a subject ("order:…"): `state` is its data; the rest orders events. A terminal
    state beats any other, then the time counts, then the rank.
    """

    subject: str
    terminal: bool
    occurred_at: datetime
    rank: int
    state: Mapping[str, Any]
    customer_id: str | None = None


# How the body of a webhook begins whose texts are erased: it is an event of its type without data.
ERASED_BODY = b'{"erased": true, '


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A stored webhook. `attempts` counts how often the rules have been started on it."""

    id: str
    type: str
    body: bytes
    sent_at: datetime
    received_at: datetime
    state: EventState
    reason: Reason | None
    attempts: int

    @property
    def is_erased(self) -> bool:
        """True when its texts are erased."""
        return self.body.startswith(ERASED_BODY)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One request to Polar, exactly as it will be sent: catalog operation and its parameters."""

    operation: str
    path: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, call: Any) -> "PlannedCall":
        """The request of anything that has its four values."""
        return PlannedCall(call.operation, call.path, call.query, call.body)


@dataclass(frozen=True, slots=True)
class ProposalCall(PlannedCall):
    """A planned call and its result: `answer` is Polar's body cut to what explains it, `reason` says more."""

    number: int = 0
    state: CallState = CallState.PLANNED
    status: int | None = None
    reason: Reason | None = None
    answer: Any = None
    before: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def in_doubt(self) -> bool:
        """True for one to be sent again of which nobody knows whether it was carried out before."""
        unsent = self.state in (CallState.PLANNED, CallState.REFUSED)
        return unsent and self.reason is not None and self.reason.code in SENT_BEFORE

    @property
    def was_so(self) -> bool:
        """True when Polar refused it because it was so already; then what followed was not our doing."""
        return self.state == CallState.DONE and self.status is not None and self.status >= 400


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """One rule that matched one event. `fact_key` names the change, whichever endpoint told it."""

    fact_key: str
    rule: str
    rule_version: str
    event_id: str
    state: RuleMatchState
    due_at: datetime | None = None
    reason: Reason | None = None
    matched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewProposal:
    """A proposal about to be stored. `facts` are (label, value) pairs in the customer's words: untrusted."""

    id: str
    fact_key: str
    event_id: str | None
    rule: str | None
    rule_version: str | None
    subject: str | None
    title: str
    reasons: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    risk: str
    always_asks: str | None
    calls: tuple[PlannedCall, ...]
    created_at: datetime
    proposer: str | None = None
    kind: ProposalKind = ProposalKind.CALLS
    content_hash: str | None = None
    deadline: datetime | None = None
    expires_at: datetime | None = None
    amount: int | None = None
    currency: str | None = None
    customer_id: str | None = None
    customer: str | None = None
    undo_of_id: str | None = None
    case_kind: str | None = None
    reads: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule on one event: its match and, unless it waits or stays silent, its proposal."""

    rule_match: RuleMatch
    proposal: NewProposal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(NewProposal):
    """A stored proposal. `row_version` grows with every change; its card shows `rendered_version`.

    `status_reason` is why it stands there: that of its newest transition. `revision` grows when what it asks
    changes; `changes` are (label, before, now) since the revision before.
    `amount` is in minor units of `currency`. See `store.schema.proposals` for the other columns.
    """

    state: ProposalState
    row_version: int
    status_reason: Reason | None
    attempts: int
    verify_attempts: int
    decided_by: str | None
    decided_at: datetime | None
    channel: str | None
    card_ts: str | None
    rendered_version: int
    card_sent_at: datetime | None = None
    revision: int = 1
    changes: tuple[tuple[str, str, str], ...] = ()
    edited_by: str | None = None
    approval_checking_by: str | None = None
    cancellable_until: datetime | None = None
    held_by: str | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str | None = None
    assignee: str | None = None
    reminded_at: datetime | None = None
    escalated_at: datetime | None = None
    bundle_id: str | None = None
    undo_id: str | None = None
    undone_at: datetime | None = None
    first_shown_at: datetime | None = None
    has_card: bool = True
    mode: Mode = Mode.ASKED
    gate: Mapping[str, Any] | None = None
    retry_by: str | None = None
    erased_at: datetime | None = None
    calls: tuple[ProposalCall, ...] = ()

    @property
    def in_doubt(self) -> bool:
        """True if one of its calls is."""
        return any(call.in_doubt for call in self.calls)


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's or the policy's decision. `via`: `button`, `command`, `cli`, `thread`, `policy`, `undo`.

    `interaction_id` is one press of a button, however many proposals it decided; since `shown_at` whoever
    decided could have looked at it; `clicked_at` is when they pressed, where that was earlier than `at`.
    """

    proposal_id: str
    actor: str
    verdict: Verdict
    via: str
    at: datetime
    reason: str | None = None
    revision: int = 1
    interaction_id: str | None = None
    shown_at: datetime | None = None
    clicked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a proposal's state: the audit trail."""

    proposal_id: str
    row_version: int
    from_: ProposalState | None
    to: ProposalState
    actor: str
    reason: Reason | None
    at: datetime


def canonical_json(value: Any, *, ascii_only: bool = True) -> str:
    """JSON with sorted names and nothing between: the same content is the same text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only)


def sha256(text: str) -> str:
    """The SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def proposal_id(seed: str) -> str:
    """The id that follows from what a proposal is about: made twice, it is the same proposal."""
    return "p" + base64.b32encode(hashlib.sha256(seed.encode()).digest()).decode().lower()[:12]


def change_key(key: str) -> str:
    """A rule's own key of a change as it is kept: ids and times as they are, anything else as a hash.

    A key may be made of an address.
    """
    return key if _PLAIN_KEY.fullmatch(key) else f"key|{sha256(key)}"
