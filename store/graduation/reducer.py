"""The reducer of trust: how a kind of case gains and loses it. Pure: the store and the back-test use it.

The live line and the back-test hold the same values and call the same functions; the former reads sums of
labels from the database, the latter adds labels one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from store.models import CaseKindState, Mode, OutcomeKind, Verdict
from store.models.graduation import CaseKind, NewCaseKind
from store.models.trust_codes import ChangeCause, ChangeCode

IDLE_AFTER = timedelta(days=180)
# So many demotions of one family within so long demote all of it.
FAMILY_WINDOW, FAMILY_DEMOTIONS = timedelta(days=7), 2
LEARNT_FROM = 300  # the newest approved cases, whose values the novelty gate compares with
_OUTCOMES = {
    OutcomeKind.UNDONE: ChangeCode.UNDONE,
    OutcomeKind.REVERSED: ChangeCode.REVERSED,
    OutcomeKind.DISPUTED: ChangeCode.DISPUTED,
    OutcomeKind.FAILED: ChangeCode.FAILED,
}

# --- The state of a kind ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrustChange:
    """A change of a kind's trust. A new generation forgets what was counted; its threshold is higher."""

    to: CaseKindState
    cause: ChangeCause
    new_generation: bool = False
    manual_override: bool = False


IDLE = TrustChange(CaseKindState.ASKING, ChangeCause(ChangeCode.IDLE), new_generation=True)


def first_seen(new: NewCaseKind, at: datetime) -> CaseKind:
    """A kind of case of which nothing is known yet."""
    return CaseKind(
        hash=new.hash,
        family=new.family,
        fields=new.fields,
        label=new.label,
        risk=new.risk,
        state=CaseKindState.ASKING,
        manual_override=False,
        generation=0,
        generation_at=at,
        last_case_at=at,
    )


def is_idle(state: CaseKindState, cases: int, last_case_at: datetime, at: datetime) -> bool:
    """Tell whether a kind begins anew with the case that comes now, because it was not seen for half a
    year.
    """
    return (cases > 0 or state != CaseKindState.ASKING) and at - last_case_at > IDLE_AFTER


def changed(kind: CaseKind, change: TrustChange, at: datetime, *, begins: datetime) -> CaseKind:
    """The kind after a change; a new generation begins at `begins`."""
    # A pause keeps it: turned on again, the kind is what it was.
    kept = kind.manual_override and change.to == CaseKindState.PAUSED
    after = replace(
        kind,
        state=change.to,
        manual_override=change.manual_override or kept,
        changed_at=at,
        cause=change.cause,
    )
    if not change.new_generation:
        return after
    return replace(after, generation=kind.generation + 1, generation_at=begins, **Tally().counts(0))


def demotions(
    kind: CaseKind, family: Sequence[CaseKind], cause: ChangeCause, at: datetime
) -> list[tuple[CaseKind, TrustChange]]:
    """The changes of a demotion of `kind`; `family` are all kinds of its family. None for a kind that asks.

    The second demotion of a family within seven days takes the trust of the whole family.
    """
    if kind.state == CaseKindState.ASKING:
        return []
    found = [(kind, TrustChange(CaseKindState.ASKING, cause, new_generation=True))]
    rest = [one for one in family if one.hash != kind.hash]
    if 1 + sum(_demoted_lately(one, at) for one in rest) < FAMILY_DEMOTIONS:
        return found
    why = ChangeCause.of(ChangeCode.FAMILY, last=cause.to_json())
    whole = TrustChange(CaseKindState.ASKING, why, new_generation=True)
    return found + [(one, whole) for one in rest if one.state != CaseKindState.ASKING]


def _demoted_lately(kind: CaseKind, at: datetime) -> bool:
    was_idle = kind.cause is not None and kind.cause.code == ChangeCode.IDLE
    return kind.generation > 0 and not was_idle and kind.generation_at > at - FAMILY_WINDOW


def cause_of_decision(proposal_id: str, mode: Mode, verdict: Verdict, *, edited: bool) -> ChangeCause | None:
    """The reason why a person's decision demotes the kind; None when it does not."""
    if mode != Mode.SPOT_CHECK or (verdict == Verdict.APPROVE and not edited):
        return None
    declined = verdict == Verdict.DECLINE
    code = ChangeCode.SPOT_CHECK_DECLINED if declined else ChangeCode.SPOT_CHECK_EDITED
    return ChangeCause.of(code, proposal=proposal_id)


def cause_of_outcome(proposal_id: str, mode: Mode, kind: OutcomeKind) -> ChangeCause | None:
    """The reason why a later outcome demotes the kind; None when it does not: a person approved the case."""
    if mode == Mode.ASKED or (kind == OutcomeKind.FAILED and mode != Mode.AUTO):
        return None
    return ChangeCause.of(_OUTCOMES[kind], proposal=proposal_id, mode=mode.value)


# --- What is counted -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Generation:
    """When a generation of a kind of case began; generation 0 began before everything."""

    number: int = 0
    at: datetime | None = None


def generation_of(generations: Sequence[Generation], decided_at: datetime) -> int:
    """The generation of a decision. What ended a generation is of that generation."""
    return max(one.number for one in generations if one.at is None or one.at < decided_at)


def is_unusual(mode: Mode, gate: Mapping[str, Any]) -> bool:
    """Tell whether a case was asked about for what it is, while others of its kind ran.

    When all of a kind ask for a while (score below the threshold, nobody there), each is a fair sample.
    """
    graduated = gate.get("state") == CaseKindState.GRADUATED
    return mode == Mode.ASKED and graduated and not gate.get("would_run")


@dataclass(frozen=True, slots=True)
class LabelSum:
    """Counted labels of one generation and one customer that agree in the rest: how many, and the earliest
    and the latest decision among them. An approval is `mature` once its window has passed.
    """

    is_rejection: bool
    is_spot_check: bool
    is_mature: bool
    customer_id: str | None
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(slots=True)
class Tally:
    """The counted labels of one generation, added up.

    A rejection counts at once, an approval once it is mature. A spot check is answered when it is decided:
    how often it was agreed with does not wait for the window.
    """

    cases: int = 0
    rejections: int = 0
    first_at: datetime | None = None
    last_rejection_at: datetime | None = None
    spot_checks: int = 0
    spot_checks_agreed: int = 0
    customers: set[str] = field(default_factory=set)

    def add(self, one: LabelSum) -> None:
        """Count these labels."""
        if one.is_spot_check:
            self.spot_checks += one.count
            self.spot_checks_agreed += 0 if one.is_rejection else one.count
        if not (one.is_rejection or one.is_mature):
            return
        self.cases += one.count
        self.first_at = min(self.first_at or one.first_at, one.first_at)
        if one.customer_id is not None:
            self.customers.add(one.customer_id)
        if one.is_rejection:
            self.rejections += one.count
            self.last_rejection_at = max(self.last_rejection_at or one.last_at, one.last_at)

    def take_back(self, one: LabelSum) -> None:
        """Count these approvals no longer, which were not mature: they are, or were rejections after all."""
        if one.is_spot_check:
            self.spot_checks -= one.count
            self.spot_checks_agreed -= one.count

    def counts(self, approvals_since_rejection: int) -> dict[str, Any]:
        """The counts of a CaseKind.

        `approvals_since_rejection` are the counted approvals decided after `last_rejection_at`, mature or
        not: a busy kind has a rejection within any window.
        """
        return {
            "cases": self.cases,
            "rejections": self.rejections,
            "customers": len(self.customers),
            "first_at": self.first_at,
            "approvals_since_rejection": approvals_since_rejection,
            "spot_checks": self.spot_checks,
            "spot_checks_agreed": self.spot_checks_agreed,
        }
