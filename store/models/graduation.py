"""The nouns of graduation as the store keeps them: labels, outcomes, and what the gate is told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from store.models import (
    CaseKindState,
    Decision,
    Mode,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    Proposal,
    ProposalState,
)
from store.models.reasons import CaseResult, ChangeCause, LabelReason, Lack, Reason


@dataclass(frozen=True, slots=True)
class NewCaseKind:
    """The kind of case a proposal is. `hash` is of `fields` as canonical JSON; `label` says the same."""

    hash: str
    family: str
    fields: Mapping[str, Any]
    label: str
    risk: str


class CaseCounts(NamedTuple):
    """A score's counts: counted cases of the present generation, rejections of these, generations before."""

    cases: int
    rejections: int
    generation: int = 0


@dataclass(frozen=True, slots=True)
class CaseKind(NewCaseKind):
    """A kind of case as kept; see `store.schema.graduation.case_kinds` for the columns."""

    state: CaseKindState
    manual_override: bool
    generation: int
    generation_at: datetime
    last_case_at: datetime
    cases: int = 0
    rejections: int = 0
    customers: int = 0
    first_at: datetime | None = None
    last_rejection_at: datetime | None = None
    approvals_since_rejection: int = 0
    spot_checks: int = 0
    spot_checks_agreed: int = 0
    approved_values: Mapping[str, Any] = field(default_factory=dict)
    offered_at: datetime | None = None
    offered_generation: int | None = None
    offered_cases: int | None = None
    changed_at: datetime | None = None
    cause: ChangeCause | None = None
    set_aside: Reason | None = None  # its counts may be wrong: it asks
    set_aside_at: datetime | None = None
    retry_at: datetime | None = None

    @property
    def counts(self) -> CaseCounts:
        """The counts of its score."""
        return CaseCounts(self.cases, self.rejections, self.generation)

    @property
    def currency(self) -> str | None:
        """The currency of its amounts; None where no money is at stake."""
        band = self.fields.get("amount")
        return str(band[1]) if band else None


@dataclass(frozen=True, slots=True)
class Past:
    """A customer's other paid orders and refunds, each up to two, and whether their money is disputed."""

    orders: int = 0
    refunds: int = 0
    dispute: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """The usage of a cap: the number of runs and their amount (minor units of the case's own currency)."""

    count: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class GateInputs:
    """All that the gate knows of one case's surroundings, read in the transaction that stores the case.

    `hours` are the kind of case's cases in each hour of the last week that had any ("2026-11-21T09");
    `breaches` is how often it went over a cap in the last day. `first_this_week`: no case of this kind for
    this customer in the last seven days. `human_at`: when a person last decided anything.
    """

    case_kind: CaseKind
    now: datetime
    secret: bytes = field(repr=False)
    paused_by: str | None = None
    human_at: datetime | None = None
    customer: Spent = Spent()  # 30 days
    case_kind_day: Spent = Spent()
    day: Spent = Spent()
    breaches: int = 0
    hours: Mapping[str, int] = field(default_factory=dict)
    first_this_week: bool = True


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict of the policy on one case. `gate` is plain JSON, kept with the proposal; `amount` is what
    running it moves; `over_cap`: that would break a cap; `pause`: why the whole kind of case is to ask from
    now on.
    """

    mode: Mode
    gate: Mapping[str, Any]
    amount: int = 0
    currency: str = ""
    over_cap: bool = False
    pause: ChangeCause | None = None


class Evaluator(Protocol):
    """The policy, as far as the store needs it. Both answer at once and reach nothing outside."""

    def case_kind(self, proposal: NewProposal, past: Past) -> NewCaseKind | None:
        """The kind of case; None for what never has one."""

    def evaluate(self, proposal: NewProposal, inputs: GateInputs | None) -> Evaluation:
        """Tell whether it runs; without a kind of case there are no `inputs`, and it asks."""


@dataclass(frozen=True, slots=True)
class ExecutionGuard:
    """The terms of a policy's approval, met again when the call is sent: the policy still `allows` this kind;
    a person has decided something within `max_idle`; the approval is no older than `max_age`.
    """

    allows: Callable[[Proposal, CaseKind], bool] = lambda _proposal, _case_kind: True
    max_idle: timedelta = timedelta(hours=72)
    max_age: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A later event that speaks against a done proposal, and its source."""

    proposal_id: str
    kind: OutcomeKind
    source: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvidence:
    """All that is known of how a case was decided: by people, oldest first, and what came of it.

    `edited_by` are the people who changed what it asks; `restated`: the program did; `first_of_tap`: no
    other proposal was approved earlier by the same press; `hasty`: approved within 2 seconds of that person's
    previous approval; `lapsed_at`: when it expired or was withdrawn.
    """

    state: ProposalState
    decisions: Sequence[Decision] = ()
    edited_by: Sequence[str] = ()
    outcomes: Sequence[Outcome] = ()
    first_of_tap: bool = True
    first_shown_at: datetime | None = None
    restated: bool = False
    hasty: bool = False
    lapsed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseHistory(CaseEvidence):
    """All that a label is made of. `unusual`: asked though its kind ran on its own."""

    proposal_id: str
    case_kind: str
    mode: Mode
    unusual: bool
    customer_id: str | None = None  # for whom it counts


@dataclass(frozen=True, slots=True)
class Label:
    """The label of one decided case, for or against its kind. It counts from `matures_at` on."""

    proposal_id: str
    case_kind: str
    is_rejection: bool
    is_counted: bool
    reason: LabelReason
    is_spot_check: bool
    decided_at: datetime
    matures_at: datetime

    @property
    def has_lapsed(self) -> bool:
        """True for a spot check that ended undecided."""
        return self.reason == LabelReason.LAPSED


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The case with the most money among those that would have run and should not have."""

    id: str
    title: str
    amount: int
    currency: str
    result: CaseResult


@dataclass(frozen=True, slots=True)
class BacktestSummary:
    """A back-test of ninety days in which a kind had run automatically: how many `would_run`; how many of
    these people `rejected` or took back, or failed; the money `moved` by currency, in minor units; the
    `worst` (largest) of the rejected; `newest`: only so many of the newest cases were looked at.
    """

    would_run: int
    rejected: int
    moved: Mapping[str, int]
    worst: WorstCase | None = None
    newest: int | None = None


@dataclass(frozen=True, slots=True)
class AutomaticRuns:
    """The automatic runs of one kind of case since some moment. `moved`: minor units by currency; `today`:
    used of its caps, in the currency of its own amounts; `undone`: undone, reversed or disputed.
    """

    case_kind: CaseKind
    count: int
    failed: int
    undone: int
    moved: Mapping[str, int] = field(default_factory=dict)
    today: Spent = field(default_factory=Spent)


@dataclass(frozen=True, slots=True)
class Asked:
    """The question of an approved case, as far as its values are compared with those of others."""

    calls: Sequence[PlannedCall]
    created_at: datetime
    subject: str | None = None
    customer_id: str | None = None


class Assessor(Protocol):
    """The policy, as far as learning needs it. All answers are at once and from the arguments alone."""

    def label(self, case: CaseHistory) -> Label | None:
        """The label of a case."""

    def learn(self, approved: Sequence[Asked | NewProposal]) -> Mapping[str, Any]:
        """The approved values that the novelty gate compares with."""

    def backtest(
        self, case_kind: CaseKind, past: "Sequence[PastCase]", secret: bytes, now: datetime
    ) -> BacktestSummary:
        """The back-test of an offer: the kind's newest cases, oldest first, as if it had been on."""

    def wants_offer(self, case_kind: CaseKind, last: ProposalState | None) -> bool:
        """Tell whether to ask a person to let it run on its own; `last` is the state of the newest offer."""

    def offer(self, case_kind: CaseKind, summary: BacktestSummary, now: datetime) -> NewProposal:
        """The question."""

    def lacks(self, case_kind: CaseKind, now: datetime) -> list[Lack]:
        """The conditions that it lacks for automatic runs."""

    def notice(self, case_kind: str, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        """The kind and the message about a row of the audit log; None for one that needs no telling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCase(CaseEvidence):
    """One proposal of a rule as a replay walks it: what was asked first, before any edit, and all that came
    of it. Of one without a kind of case only the times matter. `erased`: its texts are not kept.
    """

    proposal: NewProposal
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a kind's trust. `demoted`: it lost what it had earned."""

    at: datetime
    from_: CaseKindState
    to: CaseKindState
    cause: ChangeCause
    manual_override: bool
    generation: int
    demoted: bool


@dataclass(frozen=True, slots=True)
class KindStanding:
    """A kind of case as it is looked at. `today`: what it used of its caps; `demotion`: its newest one;
    `spot_checks`: (agreed, all) of all its generations, for one that was not agreed with ends its generation
    and the counts.
    """

    case_kind: CaseKind
    today: Spent
    spot_checks: tuple[int, int] = (0, 0)
    demotion: Change | None = None


@dataclass(frozen=True, slots=True)
class SetAside:
    """A kind of case that is set aside: its hash and label, why, since when, and when it is tried again."""

    case_kind: str
    label: str
    reason: Reason
    at: datetime
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Miscount:
    """A difference as it is shown: the kind's hash and label, the names of the wrong counts, and whether they
    are mended; counts that changed meanwhile are looked at again in the next check.
    """

    case_kind: str
    label: str
    counts: Sequence[str]
    mended: bool


@dataclass(frozen=True, slots=True)
class CountCheck:
    """The newest check of all kinds: when, of how many, and what was wrong."""

    at: datetime
    kinds: int
    wrong: Sequence[Miscount] = ()


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing runs on its own: `by` a Slack user (or the program), `at` in UTC, `why` in their words."""

    by: str
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class KindsPage:
    """One page of the kinds that were asked for; `on` of all there are run on their own."""

    found: Sequence[KindStanding]
    number: int
    total: int
    more: bool
    on: int
    paused: Paused | None


@dataclass(frozen=True, slots=True)
class History:
    """The history of a kind's score: labels as (when it counted, generation, was a rejection), oldest first;
    `before` is what counted before these, (cases, rejections) by generation; `spot_checks` are their times.
    """

    points: Sequence[tuple[datetime, int, bool]]
    before: Mapping[int, tuple[int, int]]
    changes: Sequence[Change]
    spot_checks: Sequence[datetime]
