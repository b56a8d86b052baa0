"""Codes with arguments, of states and trust. Words are made in bot/ui. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Self, TypeVar

Code = TypeVar("Code", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Coded(Generic[Code]):
    """A code and its arguments, which are plain JSON. What customers and Polar wrote in them is untrusted."""

    code: Code
    args: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, code: Code, **args: Any) -> Self:
        """With these arguments."""
        return cls(code, args)

    def to_json(self) -> dict[str, Any]:
        """For a JSON column, and for the arguments of another."""
        return {"code": self.code.value, "args": dict(self.args)}


class ReasonCode(StrEnum):
    """One reason each, with the arguments it takes. A stored code never changes its meaning."""

    TEXT = "text"  # text: a sentence that an earlier version stored
    GIVEN = "given"  # text: what a person said with the decision
    SEVERAL = "several"  # causes: each is true

    # Why it was closed without a call. `checked`: at the "tap" of whoever approves, before the "call",
    # or after the rule's "delay".
    UNDONE_IN_TIME = "undone_in_time"  # actor; doubt: an earlier call may have been carried out
    NO_LONGER_APPLIES = "no_longer_applies"  # checked, condition: the part of the rule that is not true
    NOTHING_LEFT = "nothing_left"  # checked
    GONE_AT_POLAR = "gone_at_polar"  # checked, causes: what Polar said
    CHANGED_AT_POLAR = "changed_at_polar"
    RULE_GONE = "rule_gone"
    DEADLINE_PASSED = "deadline_passed"
    EXPIRED = "expired"
    THRESHOLD_NOT_MET = "threshold_not_met"  # missing: what the kind of case lacks
    TRUST_LOST = "trust_lost"
    ERASED = "erased"  # also in the place of words that were erased
    STRANGER = "stranger"  # actor: who declined or undid it, and may not

    # Why it does not go on, or goes on later.
    CANNOT_TELL = "cannot_tell"  # problem
    NOT_SENT = "not_sent"  # causes
    CHECK_FAILED = "check_failed"  # causes
    GAVE_UP = "gave_up"  # causes
    TOOK_TOO_LONG = "took_too_long"
    PARTLY_DONE = "partly_done"  # problem
    CALLS_REFUSED = "calls_refused"  # causes: one for each refused call
    STRANDED = "stranded"  # until: an ISO time, when its worker waits for the answer no longer

    # How it ended well, and what is to be known beside it.
    ALREADY_SO = "already_so"  # count, of
    LINK_NOT_SHOWN = "link_not_shown"
    CANNOT_BE_UNDONE = "cannot_be_undone"
    TURNED_ON = "turned_on"
    FOUND_DONE = "found_done"
    DONE_BY_HAND = "done_by_hand"  # actor
    NOT_DONE_BY_HAND = "not_done_by_hand"  # actor; of a call, since: when it was sent

    # Why it was not sent again after a call of which nobody knows whether it was carried out.
    LIKE_IT_THERE = "like_it_there"  # count and ids of what Polar shows; actor and since of NOT_DONE_BY_HAND
    STILL_IN_DOUBT = "still_in_doubt"  # causes: why it no longer applies

    # What came of a webhook and of a rule whose `when` was true for it.
    ECHO = "echo"  # proposal: whose call caused the event
    CALL_UNDER_WAY = "call_under_way"
    NO_RULE = "no_rule"
    EVENT_UNREADABLE = "event_unreadable"  # problem
    NOTHING_PROPOSED = "nothing_proposed"
    OF_RULE = "of_rule"  # rule, and state where there are no causes
    OF_RULES = "of_rules"  # causes: one for each rule
    RULE_FAILED = "rule_failed"  # problem
    RULE_GIVEN_UP = "rule_given_up"  # causes
    DELAYED = "delayed"  # until: an ISO date and time in UTC

    # Why a kind of case is set aside. `step`: what was done; `error`: its type; `place`: module and line.
    ASSESSMENT_FAILED = "assessment_failed"

    # What a call of Polar's API ran into: see polar.errors. `partly`: earlier calls were made.
    POLAR_UNREACHABLE = "polar_unreachable"  # why
    POLAR_BUDGET = "polar_budget"
    POLAR_REFUSED = "polar_refused"  # message: Polar's own words; status
    POLAR_INVALID_CALL = "polar_invalid_call"  # problems
    POLAR_RATE_LIMITED = "polar_rate_limited"
    POLAR_TOKEN_REFUSED = "polar_token_refused"  # noqa: S105 - a code, no secret
    POLAR_SCOPE_MISSING = "polar_scope_missing"  # scopes
    POLAR_NOT_FOUND = "polar_not_found"  # message
    POLAR_UNKNOWN_ROUTE = "polar_unknown_route"
    POLAR_REDIRECTED = "polar_redirected"  # status, location
    POLAR_CONFLICT = "polar_conflict"  # message
    POLAR_NO_ANSWER = "polar_no_answer"  # message or status


class Reason(Coded[ReasonCode]):
    """The reason for a state. `causes` among the arguments are reasons behind this one, as JSON."""

    __slots__ = ()

    @classmethod
    def of(cls, code: ReasonCode, *causes: "Reason", **args: Any) -> "Reason":
        """A reason with these arguments; those that are None are left out."""
        known = {name: value for name, value in args.items() if value is not None}
        return cls(code, known | ({"causes": [one.to_json() for one in causes]} if causes else {}))

    @property
    def causes(self) -> tuple["Reason", ...]:
        """The reasons behind this one, in order."""
        return tuple(Reason(ReasonCode(one["code"]), one["args"]) for one in self.args.get("causes", ()))


# The reasons of a call that may have been carried out before it is sent again.
SENT_BEFORE = frozenset({ReasonCode.NOT_DONE_BY_HAND, ReasonCode.LIKE_IT_THERE})


def read_reason(code: str | None, args: Mapping[str, Any] | None) -> Reason | None:
    """The reason in the columns `reason_code` and `reason_args`."""
    return None if code is None else Reason(ReasonCode(code), args or {})


def waited_for(reason: Reason | None) -> bool:
    """True for a call whose worker only seems dead: it may wait for an answer still."""
    return reason is not None and reason.code is ReasonCode.STRANDED and "until" in reason.args


def in_flight(reason: Reason | None, now: datetime) -> bool:
    """True while the answer of such a call may still come."""
    return reason is not None and waited_for(reason) and now < datetime.fromisoformat(reason.args["until"])


def columns_of(reason: Reason | None) -> dict[str, Any]:
    """The columns `reason_code` and `reason_args`; in the audit log the same names."""
    if reason is None:
        return {"reason_code": None, "reason_args": None}
    return {"reason_code": reason.code.value, "reason_args": dict(reason.args)}


class PolicyCode(StrEnum):
    """The reasons why the policy runs a case automatically, or asks a person."""

    RUNS = "runs"
    SPOT_CHECK = "spot_check"
    ALWAYS_ASKS = "always_asks"  # because: an AlwaysAsk

    # Why the kind of case does not run on its own at the moment.
    KIND_ASKS = "kind_asks"
    KIND_PAUSED = "kind_paused"  # cause: a ChangeCause
    KIND_SET_ASIDE = "kind_set_aside"
    ALL_PAUSED = "all_paused"  # by
    NOBODY_DECIDES = "nobody_decides"
    BELOW_THRESHOLD = "below_threshold"
    UNUSUAL_VOLUME = "unusual_volume"  # cases, hours

    # What is new about this case. `name` is a parameter of a call.
    FIRST_NUMBER = "first_number"  # name, value
    OUT_OF_RANGE = "out_of_range"  # name, value, low, high
    RARE_NUMBER = "rare_number"  # name, value, as_large, approved
    NEW_CHOICE = "new_choice"  # name, value
    NEW_TEXT = "new_text"  # name
    NEW_ID = "new_id"  # name
    NOT_COMPARABLE = "not_comparable"  # name
    FIRST_OF_WEEK = "first_of_week"

    # What stands against its caps.
    UNKNOWN_CUSTOMER = "unknown_customer"
    UNKNOWN_AMOUNT = "unknown_amount"
    OVER_CAP = "over_cap"  # cap: case, customer, case_kind or day; cases, or amount and currency

    UNKNOWN_KIND = "unknown_kind"  # the back-test's: the kind of case is in no table
    TEXT = "text"  # text: a sentence that an earlier version stored


class AlwaysAsk(StrEnum):
    """The reasons why a case always asks, whatever the history says. A proposal keeps the first ones."""

    # What is proposed.
    IRREVERSIBLE = "irreversible"
    HANDS_OUT_LINK = "hands_out_link"
    ABOUT_TRUST = "about_trust"
    BY_HAND = "by_hand"
    EDITED = "edited"
    TAKES_BACK = "takes_back"

    # What has happened: a person judges what should follow.
    LOST_ACCESS = "lost_access"
    LOST_SEAT = "lost_seat"
    STATE_CHANGED = "state_changed"
    MONEY_DISPUTED = "money_disputed"

    # What its kind of case is, or the policy says of it.
    NO_CASE_KIND = "no_case_kind"
    UNKNOWN_CALLS = "unknown_calls"
    DISPUTED = "disputed"  # a customer with money under dispute
    FORBIDDEN = "forbidden"  # the rules file's `never`
    NO_THRESHOLD = "no_threshold"
    NOT_OPTED_IN = "not_opted_in"
    TWO_PEOPLE = "two_people"
    UNKNOWN_AMOUNT = "unknown_amount"  # of money


class LackCode(StrEnum):
    """The conditions that a kind of case lacks for automatic runs."""

    ALWAYS_ASKS = "always_asks"  # because: an AlwaysAsk
    NO_THRESHOLD = "no_threshold"
    SCORE = "score"  # score, target, more: approvals
    UNREACHABLE_SCORE = "unreachable_score"
    CUSTOMERS = "customers"  # have, need
    DAYS = "days"  # have, need
    RECENT_REJECTION = "recent_rejection"  # among, more: approvals
    NOT_OPTED_IN = "not_opted_in"
    UNKNOWN_KIND = "unknown_kind"
    CHANGED_MEANWHILE = "changed_meanwhile"  # state
    SET_ASIDE = "set_aside"


class ChangeCode(StrEnum):
    """The causes of a change of a kind's trust."""

    # People. `by` is a name.
    TURNED_ON = "turned_on"  # by, again, manual_override
    TURNED_OFF = "turned_off"  # by
    OFFER_ACCEPTED = "offer_accepted"  # proposal

    # What a spot check or something that ran has shown. `mode` is the proposal's.
    SPOT_CHECK_DECLINED = "spot_check_declined"  # proposal
    SPOT_CHECK_EDITED = "spot_check_edited"  # proposal
    SPOT_CHECKS_LAPSED = "spot_checks_lapsed"  # proposal: the second in a row
    UNDONE = "undone"  # proposal, mode
    REVERSED = "reversed"  # proposal, mode
    DISPUTED = "disputed"  # proposal, mode
    FAILED = "failed"  # proposal, mode
    FAMILY = "family"  # last: the ChangeCause of the second of the family to be demoted

    # The policy itself.
    IDLE = "idle"
    UNUSUAL_VOLUME = "unusual_volume"  # cases, hours
    OVER_CAP_TWICE = "over_cap_twice"  # last: a PolicyReason

    # The back-test's: nobody was there to do it.
    THRESHOLD_MET = "threshold_met"
    RESUMED = "resumed"

    TEXT = "text"  # text: a sentence that an earlier version stored


class LabelReason(StrEnum):
    """The reasons why a decided case counts for or against its kind, or does not count."""

    APPROVED = "approved"
    # Approvals that are kept and shown, but not counted.
    TOO_FAST = "too_fast"
    BULK = "bulk"  # one press had approved another case before
    RESTATED = "restated"  # the question had changed: the kind of case is that of the question before
    NOT_DONE = "not_done"  # a kind that Polar refuses has not shown that it works
    UNUSUAL = "unusual"  # no fair sample: others of its kind ran on their own
    LAPSED = "lapsed"  # a spot check that ended undecided: not agreed with, but no rejection either
    # Rejections.
    DECLINED = "declined"
    EDITED = "edited"  # before it was approved
    UNDONE = "undone"
    REVERSED = "reversed"
    DISPUTED = "disputed"
    FAILED = "failed"

    TEXT = "text"  # an earlier version stored words that this one does not know


class SwitchCode(StrEnum):
    """The results of turning a kind of case on or off."""

    TURNED_ON = "turned_on"  # label, manual_override
    TURNED_OFF = "turned_off"  # label
    NO_SUCH_KIND = "no_such_kind"
    LOW_RISK_ONLY = "low_risk_only"
    ALWAYS_ASKS = "always_asks"  # because: an AlwaysAsk
    NOT_PAUSED = "not_paused"  # state
    ASKS_ALREADY = "asks_already"
    LACKING = "lacking"  # lacks: each a Lack
    NOT_STORED = "not_stored"


class CaseResult(StrEnum):
    """The real result of a case that a back-test lets run."""

    DECLINED = "declined"
    EDITED = "edited"
    TAKEN_BACK = "taken_back"
    FAILED = "failed"
    UNDECIDED = "undecided"
    FINE = "fine"


# Nobody may have looked at these, so their values are not approved values either.
UNSEEN = frozenset({LabelReason.TOO_FAST, LabelReason.BULK, LabelReason.RESTATED, LabelReason.LAPSED})


class PolicyReason(Coded[PolicyCode]):
    """The reason why the policy runs a case or asks."""

    __slots__ = ()


class ChangeCause(Coded[ChangeCode]):
    """The cause of a change of a kind's trust."""

    __slots__ = ()


class Lack(Coded[LackCode]):
    """One requirement that is not met."""

    __slots__ = ()


class Switched(Coded[SwitchCode]):
    """The result of turning a kind on or off."""

    __slots__ = ()


def read_policy_reason(stored: Mapping[str, Any]) -> PolicyReason:
    """A PolicyReason from its JSON."""
    return PolicyReason(PolicyCode(stored["code"]), stored["args"])


def read_lack(stored: Mapping[str, Any]) -> Lack:
    """A Lack from its JSON."""
    return Lack(LackCode(stored["code"]), stored["args"])


def read_cause(code: str | None, args: Mapping[str, Any] | None) -> ChangeCause | None:
    """The cause in the columns `cause_code` and `cause_args`; in the audit log the same names."""
    return None if code is None else ChangeCause(ChangeCode(code), args or {})
