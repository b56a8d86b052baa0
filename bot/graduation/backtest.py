"""A replay counted: what would have run, what of it a person had refused, and the money in it. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.graduation import score
from bot.graduation.replay import Replayed, Run
from bot.graduation.replayed_kind import PastKind
from polar.text.money import ZERO_DECIMAL
from store.models import CaseKindState, Mode, OutcomeKind, ProposalState, Verdict

SECONDS_A_CASE = 20  # what asking costs a person (graduation.md 3.6)
DECLINED, EDITED, TAKEN_BACK, FAILED, UNDECIDED, FINE = (
    "declined", "edited", "taken back", "failed", "undecided", "fine",
)  # fmt: skip
BAD = (DECLINED, EDITED, TAKEN_BACK, FAILED)
_CLOSED = (ProposalState.PENDING, ProposalState.EXPIRED, ProposalState.WITHDRAWN)
_WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)
_TAKEN_BACK = (OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED)


@dataclass(frozen=True, slots=True)
class Worst:
    """The case with the most money among those that would have run and should not have."""

    id: str
    title: str
    amount: int
    currency: str
    came: str


@dataclass(slots=True)
class Tally:
    """What would have become of some cases. `came` counts those that ran, by what really came of them.

    `moved` is money in minor units by currency; `bad_money` the part of it in cases that should not have run.
    """

    cases: int = 0
    ran: int = 0
    audits: int = 0
    came: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    bad_money: Counter[str] = field(default_factory=Counter)
    worst: Worst | None = None

    @property
    def asked(self) -> int:
        """How many a person would still have been asked about, audits among them."""
        return self.cases - self.ran

    @property
    def bad(self) -> int:
        """How many ran that a person had declined or changed, or that came to grief."""
        return sum(self.came[one] for one in BAD)

    @property
    def seconds(self) -> int:
        """How much of people's time would have been saved."""
        return self.ran * SECONDS_A_CASE

    def add(self, run: Run) -> None:
        """Count one case."""
        self.cases += 1
        self.audits += run.mode == Mode.AUDIT
        if run.mode != Mode.AUTO:
            return
        self.ran += 1
        came, (amount, currency) = really(run), run.money
        self.came[came] += 1
        if amount:
            self.moved[currency] += amount
        if came not in BAD:
            return
        if amount:
            self.bad_money[currency] += amount
        if self.worst is None or _size(amount, currency) > _size(self.worst.amount, self.worst.currency):
            asked = run.case.proposal
            self.worst = Worst(asked.id, asked.title, amount, currency, came)


@dataclass(frozen=True, slots=True)
class KindReport:
    """One kind of case: what would have become of its cases, and where it stands at the end."""

    case_kind: str
    words: str
    risk: str
    tally: Tally
    state: CaseKindState
    always: str | None
    score: float
    generation: int
    history: Sequence[tuple[datetime, CaseKindState, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """A back-test: all cases together, each kind, and why cases were asked about, the most frequent first."""

    total: Tally
    kinds: Sequence[KindReport]
    reasons: Mapping[str, int]


def really(run: Run) -> str:
    """What came of a case in the past: one of BAD, or UNDECIDED, or FINE."""
    case = run.case
    if case.decisions and case.decisions[-1].verdict == Verdict.DECLINE:
        return DECLINED
    if any(one.kind in _TAKEN_BACK for one in case.outcomes):
        return TAKEN_BACK
    if case.edited_by and case.decisions:
        return EDITED
    if case.state in _WENT_WRONG or case.outcomes:
        return FAILED
    return UNDECIDED if case.state in _CLOSED else FINE


def report(replayed: Replayed, since: datetime | None = None) -> Report:
    """Count the cases that came since some moment; what came before only taught the policy."""
    total, reasons = Tally(), Counter[str]()
    tallies: dict[str, Tally] = {}
    for run in replayed.runs:
        asked = run.case.proposal
        if since is not None and asked.created_at < since:
            continue
        total.add(run)
        if asked.case_kind in replayed.kinds:
            tallies.setdefault(asked.case_kind or "", Tally()).add(run)
        if run.mode != Mode.AUTO:
            reasons[_group(run.why)] += 1
    kinds = [_kind(replayed.kinds[name], tally) for name, tally in tallies.items()]
    kinds.sort(key=lambda one: (-one.tally.ran, -one.tally.cases, one.words))
    return Report(total, kinds, dict(reasons.most_common()))


def _kind(kind: PastKind, tally: Tally) -> KindReport:
    return KindReport(
        case_kind=kind.case_kind.hash,
        words=kind.case_kind.words,
        risk=kind.case_kind.risk,
        tally=tally,
        state=kind.state,
        always=kind.human,
        score=score.score(kind.n, kind.k, kind.generation),
        generation=kind.generation,
        history=kind.history,
    )


def _group(why: str) -> str:
    """Reasons that differ only in their numbers, as one."""
    start, _, rest = why.partition(": ")
    if start == "new":
        return "new: a customer's first of the week" if "this week" in rest else "new: an unusual value"
    if why.startswith("over "):
        return "over a cap"
    return why if start == "always asks" else start


def _size(amount: int, currency: str) -> int:
    """Hundredths, so that ¥5,000 and $50.00 stand in the same place. For an order only."""
    return amount * 100 if currency.lower() in ZERO_DECIMAL else amount
