"""A replay of past cases under any policy. Each case is evaluated first, and its decision is read afterwards.

The replay uses the live program's functions under these assumptions. A person accepts each offer at once, and
turns a kind on again a day after its pause. Changes of trust by hand are left out. A case that runs in it and
was declined has no approver in it: it is counted, and does not reduce trust. Pure.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, NamedTuple

from bot.config.policy import Policy, Trust
from bot.graduation.case_kind import Values, approved_values, values_of
from bot.graduation.gate import asks_because, evaluate
from bot.graduation.label import label_of
from bot.graduation.score import (
    MIN_APPROVALS_SINCE_REJECTION,
    MIN_CUSTOMERS,
    Standard,
    always_human_now,
    lacks,
    smallest,
    standard_of,
)
from store.graduation.reducer import (
    IDLE,
    LEARNT_FROM,
    MOST_LAPSES,
    WEEK,
    CaseTotals,
    LabelSum,
    TrustChange,
    Usage,
    Wanted,
    cause_of_decision,
    cause_of_lapse,
    cause_of_outcome,
    changed,
    counted,
    demotions,
    first_seen,
    is_idle,
    is_unusual,
)
from store.models import WENT_WRONG, CaseKindState, Mode, NewProposal, OutcomeKind
from store.models.graduation import (
    CaseEvidence,
    CaseHistory,
    CaseKind,
    Evaluation,
    Label,
    NewCaseKind,
    PastCase,
)
from store.models.reasons import UNSEEN, ChangeCause, ChangeCode, PolicyCode, PolicyReason, read_policy_reason

RESUMED_AFTER = timedelta(days=1)
_ASKED = Evaluation(Mode.ASKED, {})  # of a kind that has not graduated, without evaluation
_OUTCOME, _DECISION, _LAPSE, _MATURE, _RESUME, _ARRIVAL = range(6)  # the order of steps at the same moment
_NEVER = datetime.min.replace(tzinfo=UTC)
_ON = TrustChange(CaseKindState.GRADUATED, ChangeCause(ChangeCode.THRESHOLD_MET))


@dataclass(slots=True)
class ReplayedKind:
    """One kind of case: the data that the store keeps, in memory.

    `kind` is as the store keeps it, without counts and values: these are in `tally` and in the fields below.
    `always` is the reason why it always asks. `history` has (time, state, cause) of each change.
    """

    kind: CaseKind
    trust: Trust
    standard: Standard | None
    always: str | None
    tally: CaseTotals = field(default_factory=CaseTotals)
    history: list[tuple[datetime, CaseKindState, ChangeCause]] = field(default_factory=list)
    _last_case_at: datetime | None = None
    _since_rejection: list[datetime] = field(default_factory=list)  # counted approvals, mature or not
    _values: dict[int, Values] = field(default_factory=dict)  # of the approved cases, by place
    _approved: Mapping[str, Any] | None = None  # of the newest of these; None after a change
    spot_checks: list[tuple[str, bool]] = field(default_factory=list)  # as in `cause_of_lapse`

    @classmethod
    def of(cls, new: NewCaseKind, trust: Trust, *, on: bool = False) -> "ReplayedKind":
        """A new kind without history. With `on`, it runs on its own from the start."""
        kind = first_seen(new, _NEVER)
        if on:
            kind = replace(kind, state=CaseKindState.GRADUATED, manual_override=True)
        return cls(kind, trust, standard_of(new, trust), always_human_now(new, trust))

    def arrives(self, at: datetime) -> None:
        """Record a new case. A kind without cases for half a year begins a new generation."""
        last = self._last_case_at
        if last is not None and is_idle(self.kind.state, self.tally.cases, last, at):
            self.change(IDLE, at)
        self._last_case_at = at if last is None else max(last, at)

    def change(self, change: TrustChange, at: datetime) -> None:
        """Change the trust in the kind."""
        self.kind = changed(self.kind, change, at, begins=at)
        self.history.append((at, change.to, change.cause))
        if change.new_generation:
            self.tally, self._since_rejection, self.spot_checks = CaseTotals(), [], []

    def graduate(self, at: datetime) -> bool:
        """Let the kind run on its own if it meets every requirement. Return True if it does."""
        if self.always is not None or self.standard is None or self.kind.state != CaseKindState.ASKING:
            return False
        n, k, limit = self.tally.cases, self.tally.rejections, self.standard.limit
        # Cheap checks that mostly fail come first: `lacks` costs a hundred times as much.
        few = k > 0 and len(self._since_rejection) < MIN_APPROVALS_SINCE_REJECTION
        if few or len(self.tally.customers) < MIN_CUSTOMERS or k > limit * n or limit <= 0:
            return False
        if n < smallest(k, self.kind.generation, limit) or lacks(self._counted(), self.trust, at):
            return False
        self.change(_ON, at)
        return True

    def take(self, place: int, made: Label, before: Label | None, asked: NewProposal) -> None:
        """Count a label of the case at `place`; `before` is the label that it replaces."""
        customer = asked.customer_id
        if made.is_rejection:
            self.forget(place)
        elif before is None and made.reason not in UNSEEN:
            self.learn(place, asked)
        if not self._is_of_now(made):
            return
        if before is not None and before.is_counted:
            self.tally.subtract(_sum(before, customer))
        elif made.is_spot_check:
            self.spot_checks = [(made.proposal_id, made.has_lapsed), *self.spot_checks[: MOST_LAPSES - 1]]
        if made.is_counted or made.has_lapsed:
            self.tally.add(_sum(made, customer))
        if not made.is_counted:
            return
        self._since_rejection += [] if made.is_rejection else [made.decided_at]
        last = self.tally.last_rejection_at
        if last is not None and (made.is_rejection or made.decided_at <= last):
            self._since_rejection = [at for at in self._since_rejection if at > last]

    def mature(self, label: Label, customer: str | None) -> None:
        """Count an approval whose window has passed."""
        if self._is_of_now(label):
            self.tally.subtract(_sum(label, customer))
            self.tally.add(_sum(label, customer, mature=True))

    def _is_of_now(self, label: Label) -> bool:
        """Tell whether the label is of the present generation: what ended a generation is of that one."""
        return label.decided_at > self.kind.generation_at

    def learn(self, place: int, asked: NewProposal) -> None:
        """Add the values of an approved case. They are no longer new."""
        self._values[place], self._approved = values_of(asked), None

    def forget(self, place: int) -> None:
        """Remove the values of a case whose approval no longer counts."""
        if self._values.pop(place, None) is not None:
            self._approved = None

    def as_kept(self) -> CaseKind:
        """The kind as the store would keep it."""
        if self._approved is None:
            newest = [*islice(reversed(self._values.values()), LEARNT_FROM)]
            self._approved = approved_values(newest[::-1])
        return replace(self._counted(), approved_values=self._approved)

    def _counted(self) -> CaseKind:
        return replace(self.kind, **self.tally.counts(len(self._since_rejection)))


def _sum(label: Label, customer: str | None, *, mature: bool = False) -> LabelSum:
    at = label.decided_at
    return LabelSum(label.is_rejection, label.is_spot_check, mature, customer, 1, at, at, label.has_lapsed)


@dataclass(slots=True)
class Run:
    """The result of one case in the replay. `money` is the moved money (minor units, currency) of a run.

    `kind` is None for a case without one; `label` is the present one.
    """

    case: PastCase
    kind: ReplayedKind | None
    mode: Mode
    reason: PolicyReason
    money: tuple[int, str] = (0, "")
    unusual: bool = False
    label: Label | None = None


class _Step(NamedTuple):
    """One step of the replay; `place` is that of its case, `number` that of its outcome."""

    at: datetime
    rank: int
    place: int
    number: int = 0


class Replayed:
    """The evaluation of cases by the policy as they come, oldest first, and each kind at the end.

    A case is kept only until nothing more comes of it, so that all of the past can be walked.
    """

    def __init__(
        self, case_kinds: Mapping[str, NewCaseKind], policy: Policy, secret: bytes, on: Collection[str] = ()
    ) -> None:
        self.kinds = {
            name: ReplayedKind.of(new, policy.graduation, on=name in on) for name, new in case_kinds.items()
        }
        self.runs: Sequence[Run] = ()  # every case, oldest first, where somebody keeps them
        self._policy, self._secret, self._on = policy, secret, bool(on)
        self._runs: dict[int, Run] = {}  # by the place of the case; those of which more comes
        self._families: dict[str, list[ReplayedKind]] = {}
        for one in self.kinds.values():
            self._families.setdefault(one.kind.family, []).append(one)
        self._human_at: datetime | None = None
        self._usage = Usage(forgets=True)  # time only goes on
        self._met: dict[tuple[str, str], datetime] = {}
        # A heap: the steps of the past under every policy, and those that the replay itself causes.
        self._steps: list[_Step] = []
        self._left = Counter[int]()  # how many steps of each place
        self._places = count()
        self._do = {
            _OUTCOME: self._outcome,
            _DECISION: self._decided,
            _LAPSE: self._lapsed,
            _MATURE: self._matured,
            _RESUME: self._resumed,
        }

    def arrive(self, case: PastCase) -> Run:
        """Go on until this case, and evaluate it. Its decision is read later."""
        place, asked = next(self._places), case.proposal
        arrival = _Step(asked.created_at, _ARRIVAL, place)
        self._go_on(arrival)
        if place == 0 and self._on:  # a kind that runs from the start was turned on by a person at that time
            self._human_at = asked.created_at
        run = self._runs[place] = self._arrived(arrival, case)
        for step in _known(place, case):
            if step > arrival:
                self._later(*step)
            elif step.rank == _DECISION:  # the clock was set back between: nobody was asked anything yet
                self._human_at = max(self._human_at or step.at, step.at)
        if not self._left[place]:
            del self._runs[place]
        return run

    def finish(self) -> "Replayed":
        """Run what is left after the last case."""
        self._go_on(None)
        return self

    def _go_on(self, until: _Step | None) -> None:
        while self._steps and (until is None or self._steps[0] < until):
            step = heapq.heappop(self._steps)
            self._do[step.rank](step)
            self._left[step.place] -= 1
            if not self._left[step.place]:
                del self._left[step.place], self._runs[step.place]

    # --- The arrival of a case ----------------------------------------------------------------------------

    def _arrived(self, step: _Step, case: PastCase) -> Run:
        at = step.at
        one = self.kinds.get(case.proposal.case_kind or "")
        if one is None:
            reason = _always(case.proposal.always_asks) or PolicyReason(PolicyCode.UNKNOWN_KIND)
            return Run(case, None, Mode.ASKED, reason)
        one.arrives(at)
        if one.kind.state == CaseKindState.GRADUATED:
            found = self._evaluate(case, one)
            reason = read_policy_reason(found.gate["reason"])
        else:
            found, reason = _ASKED, _always(one.always) or asks_because(one.kind)
        self._count(step, case.proposal, one, found)
        run = Run(case, one, found.mode, reason, unusual=is_unusual(found.mode, found.gate))
        if found.mode == Mode.AUTO:
            run.money = (found.amount, found.currency)
            if case.state in WENT_WRONG:
                self._demote(one, cause_of_outcome(case.proposal.id, Mode.AUTO, OutcomeKind.FAILED), at)
        return run

    def _evaluate(self, case: PastCase, one: ReplayedKind) -> Evaluation:
        asked, kind = case.proposal, one.as_kept()
        met = self._met.get((asked.customer_id or "", kind.hash))
        inputs = Wanted.of(asked, kind).inputs(
            self._usage,
            asked,
            kind,
            secret=self._secret,
            human_at=self._human_at,
            first_this_week=asked.customer_id is None or met is None or met <= asked.created_at - WEEK,
        )
        return evaluate(asked, inputs, self._policy)

    def _count(self, step: _Step, asked: NewProposal, one: ReplayedKind, found: Evaluation) -> None:
        """The counts of the gate in the transaction that stores a case."""
        name = one.kind.hash
        if asked.customer_id is not None:
            self._met[asked.customer_id, name] = step.at
        for counter in counted(asked, name, found):
            self._usage.add(counter)
        if found.pause is not None:
            one.change(TrustChange(CaseKindState.PAUSED, found.pause), step.at)
            self._later(step.at + RESUMED_AFTER, _RESUME, step.place)

    # --- Decisions and outcomes ---------------------------------------------------------------------------

    def _decided(self, step: _Step) -> None:
        run = self._runs[step.place]
        case = run.case
        if run.mode != Mode.AUTO:  # an automatic run asked nobody
            self._human_at = step.at
        if run.kind is None or run.mode == Mode.AUTO:
            return
        self._take(step, run, run.kind)
        verdict, edited = case.decisions[-1].verdict, bool(case.edited_by)
        cause = cause_of_decision(case.proposal.id, run.mode, verdict, edited=edited)
        self._demote(run.kind, cause, step.at)
        self._offer(run.kind, step.at)

    def _lapsed(self, step: _Step) -> None:
        run = self._runs[step.place]
        if run.kind is None or run.mode != Mode.SPOT_CHECK:
            return
        self._take(step, run, run.kind)
        self._demote(run.kind, cause_of_lapse(run.kind.spot_checks), step.at)

    def _outcome(self, step: _Step) -> None:
        run = self._runs[step.place]
        kind = run.case.outcomes[step.number].kind
        if run.kind is None or (kind == OutcomeKind.FAILED and run.mode != Mode.AUTO):
            return
        if run.mode != Mode.AUTO and run.label is not None and not run.label.is_rejection:
            self._take(step, run, run.kind)
        self._demote(run.kind, cause_of_outcome(run.case.proposal.id, run.mode, kind), step.at)

    def _matured(self, step: _Step) -> None:
        run = self._runs[step.place]
        if run.kind is not None and run.label is not None and not run.label.is_rejection:
            run.kind.mature(run.label, run.case.proposal.customer_id)
            self._offer(run.kind, step.at)

    def _resumed(self, step: _Step) -> None:
        one = self._runs[step.place].kind
        if one is not None and one.kind.state == CaseKindState.PAUSED:
            cause, override = ChangeCause(ChangeCode.RESUMED), one.kind.manual_override
            one.change(TrustChange(CaseKindState.GRADUATED, cause, manual_override=override), step.at)

    def _take(self, step: _Step, run: Run, one: ReplayedKind) -> None:
        """Make the label of a case from the facts known by now, and count the change."""
        case, asked, before = run.case, run.case.proposal, run.label
        known = [each for each in case.outcomes if each.at <= step.at and each.kind != OutcomeKind.FAILED]
        evidence = {name: getattr(case, name) for name in CaseEvidence.__slots__} | {"outcomes": known}
        history = CaseHistory(
            proposal_id=asked.id, case_kind=one.kind.hash, mode=run.mode, unusual=run.unusual, **evidence
        )
        made = run.label = label_of(history, self._policy.graduation.outcome_window)
        if made is None:
            return
        one.take(step.place, made, before, asked)
        if before is None and made.is_counted and not made.is_rejection:
            self._later(made.matures_at, _MATURE, step.place)

    def _offer(self, one: ReplayedKind, now: datetime) -> None:
        if one.graduate(now):
            self._human_at = now  # the person who accepted the offer

    def _demote(self, one: ReplayedKind, cause: ChangeCause | None, now: datetime) -> None:
        if cause is None:
            return
        family = [each.kind for each in self._families[one.kind.family]]
        for kind, change in demotions(one.kind, family, cause, now):
            self.kinds[kind.hash].change(change, now)

    def _later(self, at: datetime, rank: int, place: int, number: int = 0) -> None:
        heapq.heappush(self._steps, _Step(at, rank, place, number))
        self._left[place] += 1


def _always(because: str | None) -> PolicyReason | None:
    return None if because is None else PolicyReason.of(PolicyCode.ALWAYS_ASKS, because=str(because))


def _known(place: int, case: PastCase) -> Iterator[_Step]:
    """The later steps of a case under every policy: its decision or its end without one, its outcomes."""
    if case.decisions:
        yield _Step(case.decisions[-1].at, _DECISION, place)
    elif case.lapsed_at is not None:
        yield _Step(case.lapsed_at, _LAPSE, place)
    yield from (_Step(one.at, _OUTCOME, place, number) for number, one in enumerate(case.outcomes))
