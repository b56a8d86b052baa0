"""The counts of a replay: the automatic runs, those that a person had rejected, and their money. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.graduation.replay import Replayed, Run
from polar.text.words import ZERO_DECIMAL
from store.models import WENT_WRONG, CaseKind, CaseKindState, Mode, OutcomeKind, ProposalState, Verdict
from store.models.graduation import WorstCase
from store.models.reasons import CaseResult, ChangeCause, PolicyCode

SECONDS_A_CASE = 20  # the time of a person for one decision
REJECTED = (CaseResult.DECLINED, CaseResult.EDITED, CaseResult.TAKEN_BACK, CaseResult.FAILED)
_CLOSED = (ProposalState.PENDING, ProposalState.EXPIRED, ProposalState.WITHDRAWN)
_TAKEN_BACK = (OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED)
# The code of a reason without its numbers, and the cause of a case that always asks.
Group = tuple[PolicyCode, str]


@dataclass(slots=True)
class Totals:
    """The results of some cases in the replay. `results` counts those that ran, by their real result.

    `moved` is money in minor units by currency. `rejected_money` is its part in cases that should not run.
    `erased` counts the cases whose texts are not kept.
    """

    cases: int = 0
    erased: int = 0
    ran: int = 0
    spot_checks: int = 0
    results: Counter[CaseResult] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    rejected_money: Counter[str] = field(default_factory=Counter)
    worst: WorstCase | None = None

    @property
    def asked(self) -> int:
        """The number of cases that a person would still decide, spot checks included."""
        return self.cases - self.ran

    @property
    def rejected(self) -> int:
        """The number of runs that a person had declined or changed, or that had a bad outcome."""
        return sum(self.results[one] for one in REJECTED)

    @property
    def seconds(self) -> int:
        """The saved time of people in seconds."""
        return self.ran * SECONDS_A_CASE

    def add(self, run: Run) -> None:
        """Count one case."""
        self.cases += 1
        self.erased += run.case.erased
        self.spot_checks += run.mode == Mode.SPOT_CHECK
        if run.mode != Mode.AUTO:
            return
        self.ran += 1
        result, (amount, currency) = result_of(run), run.money
        self.results[result] += 1
        if amount:
            self.moved[currency] += amount
        if result not in REJECTED:
            return
        if amount:
            self.rejected_money[currency] += amount
        if self.worst is None or _size(amount, currency) > _size(self.worst.amount, self.worst.currency):
            asked = run.case.proposal
            self.worst = WorstCase(asked.id, asked.title, amount, currency, result)


@dataclass(frozen=True, slots=True)
class KindReport:
    """One kind of case: as it stands at the end of the replay, and the results of its cases.

    `always` is the reason why it always asks: an AlwaysAsk, or the words of the rules.
    """

    kind: CaseKind
    always: str | None
    history: Sequence[tuple[datetime, CaseKindState, ChangeCause]]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Report:
    """A back-test: all cases together, each kind, and the reasons to ask, the most frequent first."""

    total: Totals
    kinds: Sequence[KindReport]
    reasons: Mapping[Group, int]


def result_of(run: Run) -> CaseResult:
    """The result of a case in the past."""
    case = run.case
    if case.decisions and case.decisions[-1].verdict == Verdict.DECLINE:
        return CaseResult.DECLINED
    if any(one.kind in _TAKEN_BACK for one in case.outcomes):
        return CaseResult.TAKEN_BACK
    if case.edited_by and case.decisions:
        return CaseResult.EDITED
    if case.state in WENT_WRONG or case.outcomes:
        return CaseResult.FAILED
    return CaseResult.UNDECIDED if case.state in _CLOSED else CaseResult.FINE


def report(replayed: Replayed, since: datetime | None = None) -> Report:
    """Count the cases since a moment. Earlier cases only give the policy its history."""
    total, reasons = Totals(), Counter[Group]()
    by_kind: dict[str, Totals] = {}
    for run in replayed.runs:
        asked = run.case.proposal
        if since is not None and asked.created_at < since:
            continue
        total.add(run)
        if asked.case_kind in replayed.kinds:
            by_kind.setdefault(asked.case_kind or "", Totals()).add(run)
        if run.mode != Mode.AUTO:
            reasons[run.reason.code, str(run.reason.args.get("because", ""))] += 1
    ends = [(replayed.kinds[name], totals) for name, totals in by_kind.items()]
    kinds = [KindReport(one.as_kept(), one.always, one.history, totals) for one, totals in ends]
    kinds.sort(key=lambda one: (-one.totals.ran, -one.totals.cases, one.kind.label))
    return Report(total, kinds, dict(reasons.most_common()))


def _size(amount: int, currency: str) -> int:
    """The amount in hundredths, so that ¥5,000 and $5,000.00 sort alike. For sorting only."""
    return amount * 100 if currency.lower() in ZERO_DECIMAL else amount
