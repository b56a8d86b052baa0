"""A replay counted: what would have run, what of it a person had rejected, and the money in it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.graduation import score
from bot.graduation.replay import Replayed, Run
from bot.graduation.replayed_kind import ReplayedKind
from polar.text.money import ZERO_DECIMAL
from store.models import CaseKindState, Mode, OutcomeKind, ProposalState, Verdict
from store.models.graduation import WorstCase
from store.models.trust_codes import CaseResult, ChangeCause, PolicyCode, PolicyReason

SECONDS_A_CASE = 20  # what it costs a person to decide one case
REJECTED = (CaseResult.DECLINED, CaseResult.EDITED, CaseResult.TAKEN_BACK, CaseResult.FAILED)
_CLOSED = (ProposalState.PENDING, ProposalState.EXPIRED, ProposalState.WITHDRAWN)
_WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)
_TAKEN_BACK = (OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED)
# A reason without its numbers, and for what always asks why.
Group = tuple[PolicyCode, str]


@dataclass(slots=True)
class Totals:
    """What would have become of some cases. `results` counts those that ran, by what really became of them.

    `moved` is money in minor units by currency; `rejected_money` the part of it in cases that should not have
    run.
    """

    cases: int = 0
    ran: int = 0
    spot_checks: int = 0
    results: Counter[CaseResult] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    rejected_money: Counter[str] = field(default_factory=Counter)
    worst: WorstCase | None = None

    @property
    def asked(self) -> int:
        """How many a person would still have been asked about, spot checks among them."""
        return self.cases - self.ran

    @property
    def rejected(self) -> int:
        """How many ran that a person had declined or changed, or that came to grief."""
        return sum(self.results[one] for one in REJECTED)

    @property
    def seconds(self) -> int:
        """How much of people's time would have been saved."""
        return self.ran * SECONDS_A_CASE

    def add(self, run: Run) -> None:
        """Count one case."""
        self.cases += 1
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
    """One kind of case: what would have become of its cases, and where it stands at the end.

    `always` says why it always asks: an AlwaysAsk, or what the rules say.
    """

    case_kind: str
    label: str
    risk: str
    totals: Totals
    state: CaseKindState
    always: str | None
    score: float
    generation: int
    history: Sequence[tuple[datetime, CaseKindState, ChangeCause]]


@dataclass(frozen=True, slots=True)
class Report:
    """A back-test: all cases together, each kind, and why cases were asked about, the most frequent first."""

    total: Totals
    kinds: Sequence[KindReport]
    reasons: Mapping[Group, int]


def result_of(run: Run) -> CaseResult:
    """What became of a case in the past."""
    case = run.case
    if case.decisions and case.decisions[-1].verdict == Verdict.DECLINE:
        return CaseResult.DECLINED
    if any(one.kind in _TAKEN_BACK for one in case.outcomes):
        return CaseResult.TAKEN_BACK
    if case.edited_by and case.decisions:
        return CaseResult.EDITED
    if case.state in _WENT_WRONG or case.outcomes:
        return CaseResult.FAILED
    return CaseResult.UNDECIDED if case.state in _CLOSED else CaseResult.FINE


def report(replayed: Replayed, since: datetime | None = None) -> Report:
    """Count the cases that came since some moment; what came before only taught the policy."""
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
            reasons[_group(run.reason)] += 1
    kinds = [_kind(replayed.kinds[name], totals) for name, totals in by_kind.items()]
    kinds.sort(key=lambda one: (-one.totals.ran, -one.totals.cases, one.label))
    return Report(total, kinds, dict(reasons.most_common()))


def _kind(replayed: ReplayedKind, totals: Totals) -> KindReport:
    kind, tally = replayed.kind, replayed.tally
    return KindReport(
        case_kind=kind.hash,
        label=kind.label,
        risk=kind.risk,
        totals=totals,
        state=kind.state,
        always=replayed.always,
        score=score.score(tally.cases, tally.rejections, kind.generation),
        generation=kind.generation,
        history=replayed.history,
    )


def _group(reason: PolicyReason) -> Group:
    """Reasons that differ only in their numbers, as one."""
    return reason.code, str(reason.args.get("because", ""))


def _size(amount: int, currency: str) -> int:
    """Hundredths, so that ¥5,000 and $50.00 stand in the same place. For an order only."""
    return amount * 100 if currency.lower() in ZERO_DECIMAL else amount
