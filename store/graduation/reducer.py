"""The reducer of trust: how a kind of case gains and loses it, and what its caps count. Pure.

The live line and the back-test hold the same values and call the same functions; the former adds up what
changed and moves what it keeps by the difference, the latter adds labels one by one.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from store.models import CaseKindState, Mode, NewProposal, OutcomeKind, Verdict
from store.models.graduation import CaseKind, Evaluation, GateInputs, NewCaseKind, Spent
from store.models.reasons import ChangeCause, ChangeCode

IDLE_AFTER = timedelta(days=180)
# So many demotions of one family within so long demote all of it.
FAMILY_WINDOW, FAMILY_DEMOTIONS = timedelta(days=7), 2
MOST_LAPSES = 2  # spot checks in a row that end undecided
LEARNT_FROM = 300  # the newest approved cases, whose values the novelty gate compares with
_OUTCOMES = {
    OutcomeKind.UNDONE: ChangeCode.UNDONE,
    OutcomeKind.REVERSED: ChangeCode.REVERSED,
    OutcomeKind.DISPUTED: ChangeCode.DISPUTED,
    OutcomeKind.FAILED: ChangeCode.FAILED,
}
ALL = "all"
MONTH = timedelta(days=29)  # with today that is thirty days
WEEK = timedelta(days=7)
_A_DAY = timedelta(hours=23)  # with this hour that is a day

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
        **{name: getattr(new, name) for name in NewCaseKind.__slots__},
        state=CaseKindState.ASKING,
        manual_override=False,
        generation=0,
        generation_at=at,
        last_case_at=at,
    )


def is_idle(state: CaseKindState, cases: int, last_case_at: datetime, at: datetime) -> bool:
    """Tell whether a kind begins anew with the case that comes now: it was not seen for half a year."""
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
    return replace(after, generation=kind.generation + 1, generation_at=begins, **CaseTotals().counts(0))


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


def cause_of_lapse(newest: Sequence[tuple[str, bool]]) -> ChangeCause | None:
    """The reason why a lapsed spot check demotes the kind; None when it does not.

    `newest` are the kind's newest spot checks that ended in its generation, the newest first: the proposal,
    and whether it lapsed.
    """
    if len(newest) < MOST_LAPSES or not all(lapsed for _, lapsed in newest[:MOST_LAPSES]):
        return None
    return ChangeCause.of(ChangeCode.SPOT_CHECKS_LAPSED, proposal=newest[0][0])


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
    and the latest decision among them. An approval is `mature` once its window has passed. A spot check that
    `has_lapsed` ended undecided.
    """

    is_rejection: bool
    is_spot_check: bool
    is_mature: bool
    customer_id: str | None
    count: int
    first_at: datetime
    last_at: datetime
    has_lapsed: bool = False


@dataclass(slots=True)
class CaseTotals:
    """The counted labels of one generation, added up.

    A rejection counts at once, an approval once it is mature. A spot check is answered when it is decided:
    how often it was agreed with does not wait for the window. One that lapsed was not agreed with.
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
            self.spot_checks_agreed += 0 if one.is_rejection or one.has_lapsed else one.count
        if one.has_lapsed or not (one.is_rejection or one.is_mature):
            return
        self.cases += one.count
        self.first_at = min(self.first_at or one.first_at, one.first_at)
        if one.customer_id is not None:
            self.customers.add(one.customer_id)
        if one.is_rejection:
            self.rejections += one.count
            self.last_rejection_at = max(self.last_rejection_at or one.last_at, one.last_at)

    def subtract(self, one: LabelSum) -> None:
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
            "last_rejection_at": self.last_rejection_at,
            "approvals_since_rejection": approvals_since_rejection,
            "spot_checks": self.spot_checks,
            "spot_checks_agreed": self.spot_checks_agreed,
        }


# --- The counters behind the caps and the flood check ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Since:
    """A scope, and the day or hour from which on it is asked for."""

    scope: str
    since: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter: so many cases of a scope on a day or in an hour, and their money in minor units."""

    scope: str
    day: str
    currency: str = ""
    count: int = 1
    amount: int = 0


class Usage:
    """Counters by scope. One that `forgets` forgets what lies before a moment that was asked for."""

    def __init__(self, *, forgets: bool = False) -> None:
        self._forgets = forgets
        self._of: defaultdict[str, dict[tuple[str, str], Spent]] = defaultdict(dict)

    def add(self, one: Counter) -> None:
        """Count it."""
        own, when = self._of[one.scope], (one.day, one.currency)
        known = own.get(when, Spent())
        own[when] = Spent(known.count + one.count, known.amount + one.amount)

    def spent(self, wanted: Since, currency: str | None) -> Spent:
        """All cases of a scope since then, and their money in one currency."""
        found = self._since(wanted)
        money = sum(one.amount for (_, code), one in found.items() if code == (currency or ""))
        return Spent(sum(one.count for one in found.values()), money)

    def by_hour(self, wanted: Since) -> dict[str, int]:
        """The cases of each hour since then that had any."""
        return {when: one.count for (when, _), one in self._since(wanted).items()}

    def _since(self, wanted: Since) -> dict[tuple[str, str], Spent]:
        own = self._of[wanted.scope]
        found = {when: one for when, one in own.items() if when[0] >= wanted.since}
        if self._forgets:
            self._of[wanted.scope] = found
        return found


def of_case_kind(case_kind: str) -> str:
    """The scope of a kind of case."""
    return f"case_kind:{case_kind}"


def of_customer(customer_id: str) -> str:
    """The scope of a customer."""
    return f"customer:{customer_id}"


def cases_of(case_kind: str) -> str:
    """The scope under which every case of a kind is counted by the hour, whether it ran or not."""
    return f"cases:{case_kind}"


def breaches_of(case_kind: str) -> str:
    """The scope under which a kind's breaches of a cap are counted by the hour."""
    return f"over:{case_kind}"


def day(at: datetime) -> str:
    """A day in UTC: "2026-11-21"."""
    return f"{at:%Y-%m-%d}"


def hour(at: datetime) -> str:
    """An hour in UTC: "2026-11-21T09"."""
    return f"{at:%Y-%m-%dT%H}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The question of the gate to the counters about one case."""

    customer: Since
    case_kind: Since
    everything: Since
    breaches: Since
    hours: Since | None  # only what runs on its own is watched for unusual volume

    @classmethod
    def of(cls, proposal: NewProposal, kind: CaseKind) -> "Wanted":
        """The counters that are read for a case when it comes."""
        now, graduated = proposal.created_at, kind.state == CaseKindState.GRADUATED
        return cls(
            Since(of_customer(proposal.customer_id or ""), day(now - MONTH)),
            Since(of_case_kind(kind.hash), day(now)),
            Since(ALL, day(now)),
            Since(breaches_of(kind.hash), hour(now - _A_DAY)),
            Since(cases_of(kind.hash), hour(now - WEEK)) if graduated else None,
        )

    def all(self) -> list[Since]:
        """All of them, to be read at once."""
        found = [self.customer, self.case_kind, self.everything, self.breaches]
        return found if self.hours is None else [*found, self.hours]

    def inputs(self, usage: Usage, proposal: NewProposal, kind: CaseKind, **more: Any) -> GateInputs:
        """The inputs of the gate; `more` are those that no counter has."""
        currency = proposal.currency
        return GateInputs(
            case_kind=kind,
            now=proposal.created_at,
            customer=usage.spent(self.customer, currency),
            case_kind_day=usage.spent(self.case_kind, currency),
            day=usage.spent(self.everything, currency),
            breaches=usage.spent(self.breaches, None).count,
            hours={} if self.hours is None else usage.by_hour(self.hours),
            **more,
        )


def counted(proposal: NewProposal, case_kind: str, evaluation: Evaluation) -> Iterator[Counter]:
    """The amounts that an evaluated case adds to the counters."""
    at = proposal.created_at
    yield Counter(cases_of(case_kind), hour(at))
    if evaluation.over_cap:
        yield Counter(breaches_of(case_kind), hour(at))
    if evaluation.mode != Mode.AUTO:
        return
    scopes = [of_case_kind(case_kind), ALL]
    if proposal.customer_id is not None:
        scopes.append(of_customer(proposal.customer_id))
    for scope in scopes:
        yield Counter(scope, day(at), evaluation.currency, 1, evaluation.amount)
