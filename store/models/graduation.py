"""The nouns of graduation as the store keeps them: kinds of case, labels, outcomes, and what the gate is
told.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

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

POLICY = "policy"  # the actor of what nobody decided
PROGRAM = "polar-approvals"  # the actor of what the program does
# Two of a family within so long demote all of it (graduation.md 3.5).
FAMILY_WINDOW, FAMILY_FALLS = timedelta(days=7), 2


@dataclass(frozen=True, slots=True)
class Past:
    """What events have told of a customer beside the one at hand: other paid orders and refunds, each counted
    up to two, and whether money of theirs is under dispute.
    """

    orders: int = 0
    refunds: int = 0
    dispute: bool = False


@dataclass(frozen=True, slots=True)
class NewCaseKind:
    """The kind of case a proposal is. `hash` is of `fields` as canonical JSON; `words` say the same."""

    hash: str
    family: str
    fields: Mapping[str, Any]
    words: str
    risk: str


@dataclass(frozen=True, slots=True)
class CaseKind:
    """A kind of case as kept; see `store.schema.graduation.case_kinds` for the columns."""

    hash: str
    family: str
    fields: Mapping[str, Any]
    words: str
    risk: str
    state: CaseKindState
    manual_override: bool
    generation: int
    generation_at: datetime
    n: int
    k: int
    customers: int
    first_at: datetime | None
    approvals_since_rejection: int
    audits_agreed: int
    audits: int
    seen: Mapping[str, Any]
    offered_at: datetime | None
    used_at: datetime
    changed_at: datetime | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Spent:
    """How much ran: how often, and for how much money (minor units of the case's own currency)."""

    count: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class GateInputs:
    """All that the gate knows of one case's surroundings, read in the transaction that stores the case.

    `hours` are the kind of case's cases in each hour of the last week that had any ("2026-11-21T09");
    `breaches` how
    often it went over a cap in the last day. `first_this_week`: no case of this kind for this customer in the
    last seven days. `human_at`: when a person last decided anything.
    """

    case_kind: CaseKind
    now: datetime
    secret: bytes = field(repr=False)
    paused: str | None = None
    human_at: datetime | None = None
    customer: Spent = Spent()  # 30 days
    case_kind_day: Spent = Spent()
    day: Spent = Spent()
    breaches: int = 0
    hours: Mapping[str, int] = field(default_factory=dict)
    first_this_week: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said. `gate` is plain JSON, kept with the proposal; `amount` is what running it moves.

    `breach`: it is over a cap. `pauses`: why the whole kind of case is to ask from now on.
    """

    mode: Mode
    gate: Mapping[str, Any]
    amount: int = 0
    currency: str = ""
    breach: bool = False
    pauses: str | None = None


class Judge(Protocol):
    """The policy, as far as the store needs it. Both answer at once and reach nothing outside."""

    def case_kind(self, proposal: NewProposal, past: Past) -> NewCaseKind | None:
        """The kind of case; None for what never has one."""

    def judge(self, proposal: NewProposal, past: Past, inputs: GateInputs | None) -> Judged:
        """Whether it runs; without a kind of case there are no `inputs`, and it asks."""


@dataclass(frozen=True, slots=True)
class Still:
    """What the policy's yes must meet once more when it is sent, for then the policy may be another one.

    `allows`: whether the policy of that moment lets this kind run on its own. `dead_man`: how long ago a
    person may have decided anything at most; `within`: how old the policy's yes may be at most.
    """

    allows: Callable[[Proposal, CaseKind], bool] = lambda _proposal, _case_kind: True
    dead_man: timedelta = timedelta(hours=72)
    within: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What later happened to something that was done, and what shows it."""

    proposal_id: str
    kind: OutcomeKind
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CaseHistory:
    """All that a label is made of. `edited_by` are the people who changed what it asks; `first_of_tap`: no
    other proposal was approved earlier by the same press; `forced`: asked though its kind ran on its own;
    `restated`: the program changed what it asks; `hasty`: a yes came on the heels of another of that person.
    """

    proposal_id: str
    case_kind: str
    state: ProposalState
    mode: Mode
    decisions: Sequence[Decision]  # people's, oldest first
    edited_by: Sequence[str]
    outcomes: Sequence[Outcome]
    first_of_tap: bool
    forced: bool
    first_shown_at: datetime | None
    restated: bool = False
    hasty: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """What one decided case says for or against its kind of case. It counts from `matures_at` on."""

    proposal_id: str
    case_kind: str
    bad: bool
    counted: bool
    why: str
    audit: bool
    decided_at: datetime
    matures_at: datetime


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would have happened had a kind of case run on its own for ninety days.

    `would`: how many would have run; `declined`: how many of these a person declined, changed or took back;
    `moved`: the money in minor units by currency; `worst`: the largest of those declined (amount, currency,
    title with what came of it); `last`: only so many of the newest cases were looked at, for there are more.
    """

    would: int
    declined: int
    moved: Mapping[str, int]
    worst: tuple[int, str, str] | None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class LastOffer:
    """The newest offer of a kind of case: its state, and the generation and the counted cases when it was
    made.
    """

    state: ProposalState
    generation: int
    n: int


class Assessor(Protocol):
    """The policy, as far as learning needs it. All answers are at once and from the arguments alone."""

    def label(self, case: CaseHistory) -> Label | None:
        """What a case says."""

    def learn(self, approved: Sequence[Sequence[PlannedCall]]) -> Mapping[str, Any]:
        """What the novelty gate compares with."""

    def rehearse(
        self, case_kind: CaseKind, past: "Sequence[PastCase]", secret: bytes, now: datetime
    ) -> Rehearsal:
        """The back-test of an offer: the kind's newest cases, oldest first, as if it had been on."""

    def wants_offer(self, case_kind: CaseKind, last: LastOffer | None, now: datetime) -> bool:
        """Whether a person is to be asked to let it run on its own."""

    def offer(self, case_kind: CaseKind, rehearsal: Rehearsal, now: datetime) -> NewProposal:
        """The question."""

    def lacks(self, case_kind: CaseKind, now: datetime) -> list[str]:
        """What it lacks for running on its own."""

    def notice(self, change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        """The kind and the message about a change of trust; None for one that needs no telling."""


@dataclass(frozen=True, slots=True)
class PastCase:
    """One proposal of a rule as a replay walks it: what was asked first, and all that came of it.

    `proposal` is as the gate saw it, before anybody edited it; of one without a kind of case only the
    times matter.
    `decisions` are people's, oldest first; the rest is as in `CaseHistory`.
    """

    proposal: NewProposal
    state: ProposalState
    decisions: Sequence[Decision] = ()
    edited_by: Sequence[str] = ()
    outcomes: Sequence[Outcome] = ()
    first_of_tap: bool = True
    first_shown_at: datetime | None = None
    restated: bool = False
    hasty: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a kind's trust. `fell`: it lost what it had earned."""

    at: datetime
    from_: CaseKindState
    to: CaseKindState
    cause: str
    manual_override: bool
    generation: int
    fell: bool


@dataclass(frozen=True, slots=True)
class Course:
    """How a kind came to stand where it stands: labels as (when it counted, generation, bad), oldest first.

    `before` is what counted before the first of them, (cases, bad ones) by generation; `audits` are their
    times.
    """

    points: Sequence[tuple[datetime, int, bool]]
    before: dict[int, tuple[int, int]]
    changes: Sequence[Change]
    audits: Sequence[datetime]
