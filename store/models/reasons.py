"""Reasons for a state: a code and its arguments. Words are made in bot/ui/reasons. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ReasonCode(StrEnum):
    """One reason each, with the arguments it takes. A stored code never changes its meaning."""

    TEXT = "text"  # text: a sentence that an earlier version stored
    GIVEN = "given"  # text: what a person said with the decision
    SEVERAL = "several"  # causes: each is true

    # Why it was closed without a call. `checked`: at the "tap" of whoever approves, before the "call",
    # or after the rule's "delay".
    UNDONE_IN_TIME = "undone_in_time"  # actor
    NO_LONGER_APPLIES = "no_longer_applies"  # checked, condition: the part of the rule that is not true
    NOTHING_LEFT = "nothing_left"  # checked
    GONE_AT_POLAR = "gone_at_polar"  # checked, causes: what Polar said
    CHANGED_AT_POLAR = "changed_at_polar"
    RULE_GONE = "rule_gone"
    DEADLINE_PASSED = "deadline_passed"
    EXPIRED = "expired"
    THRESHOLD_NOT_MET = "threshold_not_met"  # missing: what the kind of case lacks
    TRUST_LOST = "trust_lost"

    # Why it does not go on, or goes on later.
    CANNOT_TELL = "cannot_tell"  # problem
    NOT_SENT = "not_sent"  # causes
    CHECK_FAILED = "check_failed"  # causes
    GAVE_UP = "gave_up"  # causes
    TOOK_TOO_LONG = "took_too_long"
    PARTLY_DONE = "partly_done"  # problem
    CALLS_REFUSED = "calls_refused"  # causes: one for each refused call
    STRANDED = "stranded"

    # How it ended well, and what is to be known beside it.
    ALREADY_SO = "already_so"  # count, of
    LINK_NOT_SHOWN = "link_not_shown"
    CANNOT_BE_UNDONE = "cannot_be_undone"
    TURNED_ON = "turned_on"
    FOUND_DONE = "found_done"
    DONE_BY_HAND = "done_by_hand"  # actor
    NOT_DONE_BY_HAND = "not_done_by_hand"  # actor

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


@dataclass(frozen=True, slots=True)
class Reason:
    """A code and its arguments, which are plain JSON. What customers and Polar wrote in them is untrusted.

    `causes` among the arguments are reasons behind this one, as JSON.
    """

    code: ReasonCode
    args: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, code: ReasonCode, *causes: "Reason", **args: Any) -> "Reason":
        """A reason with these arguments; those that are None are left out."""
        known = {name: value for name, value in args.items() if value is not None}
        listed = [{"code": one.code.value, "args": dict(one.args)} for one in causes]
        return cls(code, known | ({"causes": listed} if listed else {}))

    @property
    def causes(self) -> tuple["Reason", ...]:
        """The reasons behind this one, in order."""
        return tuple(Reason(ReasonCode(one["code"]), one["args"]) for one in self.args.get("causes", ()))


def read_reason(code: str | None, args: Mapping[str, Any] | None) -> Reason | None:
    """The reason in the columns `reason_code` and `reason_args`."""
    return None if code is None else Reason(ReasonCode(code), args or {})


def columns_of(reason: Reason | None) -> dict[str, Any]:
    """The columns `reason_code` and `reason_args`; in the audit log the same names."""
    if reason is None:
        return {"reason_code": None, "reason_args": None}
    return {"reason_code": reason.code.value, "reason_args": dict(reason.args)}
