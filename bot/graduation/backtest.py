"""The counts of a replay: the automatic runs, those that a person had rejected, and their money. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.config.policy import Policy
from bot.graduation.replay import Replayed, Run
from polar.text.words import ZERO_DECIMAL
from store.models import WENT_WRONG, CaseKindState, Mode, OutcomeKind, ProposalState, Verdict
from store.models.graduation import CaseKind, NewCaseKind, PastCase, WorstCase
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


class Tally:
    """Counts cases since a moment, as they come. Earlier ones only give the policy its history."""

    def __init__(self, since: datetime | None = None) -> None:
        self._since = since
        self._total, self._reasons = Totals(), Counter[Group]()
        self._by_kind: dict[str, Totals] = {}

    def add(self, run: Run) -> None:
        """Count one case."""
        asked = run.case.proposal
        if self._since is not None and asked.created_at < self._since:
            return
        self._total.add(run)
        if run.kind is not None:
            self._by_kind.setdefault(run.kind.kind.hash, Totals()).add(run)
        if run.mode != Mode.AUTO:
            self._reasons[run.reason.code, str(run.reason.args.get("because", ""))] += 1

    def report(self, replayed: Replayed) -> Report:
        """All of it, with the kinds as they stand at the end of the replay."""
        ends = [(replayed.kinds[name], totals) for name, totals in self._by_kind.items()]
        kinds = [KindReport(one.as_kept(), one.always, one.history, totals) for one, totals in ends]
        kinds.sort(key=lambda one: (-one.totals.ran, -one.totals.cases, one.kind.label))
        return Report(self._total, kinds, dict(self._reasons.most_common()))


def replay(
    cases: Iterable[PastCase],
    case_kinds: Mapping[str, NewCaseKind],
    policy: Policy,
    *,
    secret: bytes,
    on: Collection[str] = (),
) -> Replayed:
    """Replay the cases, oldest first.

    `on` are kinds of case that run on their own from the start, as if by manual override. `secret` draws the
    spot checks. With the program's own secret they are the same as in the live program.
    """
    replayed = Replayed(case_kinds, policy, secret, on)
    replayed.runs = [replayed.arrive(case) for case in cases]
    return replayed.finish()


def report(replayed: Replayed, since: datetime | None = None) -> Report:
    """The report on a replay that has kept its runs."""
    tally = Tally(since)
    for run in replayed.runs:
        tally.add(run)
    return tally.report(replayed)


def _size(amount: int, currency: str) -> int:
    """The amount in hundredths, so that ¥5,000 and $5,000.00 sort alike. For sorting only."""
    return amount * 100 if currency.lower() in ZERO_DECIMAL else amount
