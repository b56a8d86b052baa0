"""Results of actions, and reasons for refusals: codes with fields, no words."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from store.models import Proposal
from store.models.graduation import Paused

LATE = "late"  # in an answer to Slack: what is shown when it comes after the acknowledgement


class Purpose(StrEnum):
    """The thing that somebody wants to do."""

    DECIDE = "decide"
    PROPOSE = "propose"
    ASK = "ask"  # a question in a card's thread
    VIEW = "view"  # see what the program knows


class RefusalCode(StrEnum):
    """The reason why somebody may not do something."""

    NOT_AN_APPROVER = "not_an_approver"
    NOT_A_READER = "not_a_reader"  # READERS names others
    NOT_IN_CHANNEL = "not_in_channel"  # the channel of the cards, whose members may read
    NOT_OF_EVERY_CLASS = "not_of_every_class"  # `detail` is a class that they may not decide
    OTHER_WORKSPACE = "other_workspace"
    DEACTIVATED = "deactivated"  # or it is a bot
    GUEST = "guest"
    OWN_PROPOSAL = "own_proposal"
    OWN_EDIT = "own_edit"
    SLACK_REFUSED = "slack_refused"  # it does not say who they are; `detail` is its error
    # Slack has not answered:
    WORKSPACE_UNKNOWN = "workspace_unknown"
    USER_UNKNOWN = "user_unknown"
    OTHER_APPROVERS_UNKNOWN = "other_approvers_unknown"
    EARLIER_APPROVER_UNKNOWN = "earlier_approver_unknown"  # `detail` is their user id


_RETRYABLE = frozenset(
    {
        RefusalCode.WORKSPACE_UNKNOWN,
        RefusalCode.USER_UNKNOWN,
        RefusalCode.OTHER_APPROVERS_UNKNOWN,
        RefusalCode.EARLIER_APPROVER_UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True)
class ApproverNames:
    """The names of the people and user groups who may decide; `source` says where they are named."""

    names: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason why somebody may not do something. `approvers` are those who may decide instead."""

    code: RefusalCode
    purpose: Purpose = Purpose.DECIDE
    detail: str = ""
    approvers: ApproverNames | None = None

    @property
    def retryable(self) -> bool:
        """Tell whether Slack did not answer: a moment later they may be allowed."""
        return self.code in _RETRYABLE


# --- Decisions ----------------------------------------------------------------------------------------------


class DecisionStatus(StrEnum):
    """The status of an Approve, a Decline or an Undo. Stored with what was approved."""

    APPROVED = "approved"
    FIRST_APPROVAL = "first_approval"  # of two; the proposal still waits for the other
    DECLINED = "declined"
    UNDONE = "undone"  # before anything was sent
    UNDO_STARTED = "undo_started"
    UNDO_NEEDS_APPROVAL = "undo_needs_approval"  # it is the first approval of two
    RESTATED = "restated"  # Polar's state has changed: it asks something else now
    WITHDRAWN = "withdrawn"  # read again, it no longer applies
    REFUSED = "refused"  # this person may not
    UNCHECKED = "unchecked"  # Slack did not say whether this person may
    ON_HOLD = "on_hold"
    STALE = "stale"  # decided on an earlier revision
    ALREADY_APPROVED = "already_approved"  # by this person; it waits for another
    ALREADY_DECIDED = "already_decided"
    TOO_LATE_TO_UNDO = "too_late_to_undo"  # it is being sent
    NOTHING_TO_UNDO = "nothing_to_undo"
    CHANGED_SINCE = "changed_since"  # an undo would overwrite a newer state
    UNDO_UNDER_WAY = "undo_under_way"
    NOT_FOUND = "not_found"
    REPEATED = "repeated"  # the same click, delivered again
    NOT_STORED = "not_stored"
    POSTPONED = "postponed"  # on disk, and tried again later
    KEPT = "kept"  # on disk, and done once Slack says that this person may


_S = DecisionStatus
_COUNTED = frozenset(
    {_S.APPROVED, _S.FIRST_APPROVAL, _S.DECLINED, _S.UNDONE, _S.UNDO_STARTED, _S.UNDO_NEEDS_APPROVAL}
)


@dataclass(frozen=True, slots=True)
class DecisionResult:
    """The result of a decision, and the proposal as it is now (None: there is none).

    `actor` decided. `refusal` says why they may not. `removed` are the users whose earlier approval no longer
    counts; `alone`: nobody is left to give the second. `error` is why it could not be stored.
    """

    status: DecisionStatus
    proposal: Proposal | None = None
    actor: str = ""
    refusal: Refusal | None = None
    removed: frozenset[str] = frozenset()
    alone: bool = False
    error: str = ""

    @property
    def counts(self) -> bool:
        """Tell whether the decision was stored."""
        return self.status in _COUNTED


# --- After a call was made ----------------------------------------------------------------------------------


class FollowupStatus(StrEnum):
    """The status of Retry, Check again, Was done and Not done."""

    RETRIED = "retried"
    MARKED = "marked"
    FOUND_DONE = "found_done"
    NO_TRACE = "no_trace"  # Polar shows no trace of it so far
    CANNOT_TELL = "cannot_tell"  # what Polar shows would look the same either way
    IN_FLIGHT = "in_flight"  # its worker may still wait for Polar's answer
    FIRST_RETRY = "first_retry"  # of two people
    NOT_YOURS = "not_yours"  # two others must have it sent again: they asked for it, or said it was not done
    NO_ANSWER = "no_answer"  # Polar could not be asked
    NO_READ = "no_read"  # Polar has no read that shows it
    BEING_CHECKED = "being_checked"
    NOT_UNKNOWN = "not_unknown"  # its result is known
    NOTHING_TO_RETRY = "nothing_to_retry"
    REFUSED = "refused"
    NOT_FOUND = "not_found"
    NOT_STORED = "not_stored"


@dataclass(frozen=True, slots=True)
class FollowupResult:
    """The result of a follow-up. `refusal` and `error` as in a `DecisionResult`."""

    status: FollowupStatus
    refusal: Refusal | None = None
    error: str = ""


# The card shows it to whoever clicked there. A repeated click has been answered.
ON_THE_CARD = frozenset(
    {
        _S.APPROVED,
        _S.DECLINED,
        _S.UNDONE,
        _S.UNDO_STARTED,
        _S.REPEATED,
        FollowupStatus.RETRIED,
        FollowupStatus.FIRST_RETRY,
        FollowupStatus.MARKED,
    }
)


# --- What else is done with a proposal ----------------------------------------------------------------------


class ActionStatus(StrEnum):
    """The status of Snooze, Assign, Ask, Hold, Release, Edit, and of a reason given."""

    SNOOZED = "snoozed"
    ASSIGNED = "assigned"
    ASKED = "asked"
    HELD = "held"
    RELEASED = "released"
    REASON_STORED = "reason_stored"
    EDITED = "edited"
    # Not done:
    KEPT = "kept"  # on disk, and done once Slack says that this person may
    REFUSED = "refused"
    NOT_FOUND = "not_found"
    NOT_STORED = "not_stored"
    NOT_PENDING = "not_pending"
    CHANGED = "changed"  # it has another revision than what was looked at
    IN_THE_PAST = "in_the_past"
    TOO_LATE = "too_late"  # `at` is when it closes
    ASSIGNEE_REFUSED = "assignee_refused"  # they are no approver
    ASSIGNEE_OWN = "assignee_own"  # they proposed or edited it
    ALREADY_HELD = "already_held"
    NOT_HELD = "not_held"
    NOTHING_TO_HOLD = "nothing_to_hold"
    NOT_DECLINED = "not_declined"
    NO_REASON = "no_reason"
    # An edit:
    BEING_APPROVED = "being_approved"
    NOT_ONE_CALL = "not_one_call"
    NOT_BY_FORM = "not_by_form"
    NOTHING_TO_EDIT = "nothing_to_edit"
    FORM_LOST = "form_lost"
    SAME = "same"


_DONE = frozenset(
    {
        ActionStatus.SNOOZED,
        ActionStatus.ASSIGNED,
        ActionStatus.ASKED,
        ActionStatus.HELD,
        ActionStatus.RELEASED,
        ActionStatus.REASON_STORED,
        ActionStatus.EDITED,
    }
)


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of an action. `refusal` and `error` as in a `DecisionResult`.

    `at` is until when it is snoozed, or when it closes. `title` is what it asks once it is edited.
    `count` is how many calls it makes. `approvers` are those who may decide it.
    """

    status: ActionStatus
    refusal: Refusal | None = None
    at: datetime | None = None
    title: str = ""
    count: int = 0
    approvers: ApproverNames | None = None
    error: str = ""

    @property
    def done(self) -> bool:
        """Tell whether it was done."""
        return self.status in _DONE


# --- Automatic runs as a whole ------------------------------------------------------------------------------


class PauseStatus(StrEnum):
    """The status of a pause of all automatic runs, or of its end."""

    PAUSED = "paused"
    PAUSED_ALREADY = "paused_already"
    RESUMED = "resumed"
    NOT_PAUSED = "not_paused"
    KEPT = "kept"  # on disk, and done once Slack says that this person may
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PauseResult:
    """The result of a pause or of its end. `pause` is the one that stands, or stood; `by` ended it."""

    status: PauseStatus
    pause: Paused | None = None
    by: str = ""
    refusal: Refusal | None = None

    @property
    def as_wanted(self) -> bool:
        """Tell whether it is now as this person wants it."""
        return self.status not in (PauseStatus.KEPT, PauseStatus.REFUSED)
