"""A replay of past cases under any policy. Each case is evaluated first, and its decision is read afterwards.

The replay uses the functions of the live program (gate, labels, score, novelty, reducer, usage). It differs
in the policy and in these assumptions. A person accepts at once each offer to let a kind of case run on its
own. A person turns a kind on again a day after its pause. Changes of trust by hand (turned on by manual
override, turned off, paused everything) are left out. A case that runs in the replay and was declined in the
past has no approver in the replay: it is counted, but it does not reduce trust. Pure.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.config.policy import Policy
from bot.graduation import labels
from bot.graduation.gate import asks_because, evaluate
from bot.graduation.replayed_kind import ReplayedKind
from store.graduation.reducer import (
    WEEK,
    TrustChange,
    Usage,
    Wanted,
    cause_of_decision,
    cause_of_outcome,
    counted,
    demotions,
    is_unusual,
)
from store.models import WENT_WRONG, CaseKindState, Mode, OutcomeKind
from store.models.graduation import CaseHistory, Evaluation, Label, NewCaseKind, Outcome, PastCase
from store.models.reasons import ChangeCause, ChangeCode, PolicyCode, PolicyReason, read_policy_reason

RESUMED_AFTER = timedelta(days=1)
_ASKED = Evaluation(Mode.ASKED, {})  # the result of a kind that has not graduated, without evaluation
_OUTCOME, _DECISION, _MATURE, _RESUME, _ARRIVAL = range(5)  # the order of steps at the same moment


@dataclass(slots=True)
class Run:
    """The result of one case in the replay. `money` is the moved money (minor units, currency) of a run."""

    case: PastCase
    mode: Mode
    reason: PolicyReason
    money: tuple[int, str] = (0, "")


@dataclass(frozen=True, slots=True)
class Replayed:
    """The evaluation of every case by the policy, oldest first, and each kind at the end."""

    runs: Sequence[Run]
    kinds: Mapping[str, ReplayedKind]


class _Step(NamedTuple):
    """One step of the replay; `place` is that of its case, or of the kind that is turned on again."""

    at: datetime
    rank: int
    place: int
    number: int


@dataclass(slots=True)
class _Case:
    """A case during the replay: its evaluation, and its present label."""

    kind: ReplayedKind
    mode: Mode
    unusual: bool
    label: Label | None = None


def replay(
    cases: Sequence[PastCase],
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
    walk = _Walk(cases, case_kinds, policy, secret, on)
    walk.go()
    return Replayed(walk.runs, walk.kinds)


class _Walk:
    """The replay's state."""

    def __init__(
        self,
        cases: Sequence[PastCase],
        case_kinds: Mapping[str, NewCaseKind],
        policy: Policy,
        secret: bytes,
        on: Collection[str],
    ) -> None:
        self.runs: list[Run] = []
        self.kinds = {
            name: ReplayedKind.of(new, policy.graduation, on=name in on) for name, new in case_kinds.items()
        }
        self._cases, self._policy, self._secret = cases, policy, secret
        self._under_way: dict[int, _Case] = {}
        self._names = list(self.kinds)
        self._families: dict[str, list[ReplayedKind]] = {}
        for one in self.kinds.values():
            self._families.setdefault(one.kind.family, []).append(one)
        # A kind that runs from the start was turned on by a person at that time.
        self._human_at = cases[0].proposal.created_at if on and cases else None
        self._usage = Usage()
        self._met: dict[tuple[str, str], datetime] = {}
        self._later: list[_Step] = []  # a heap: the steps that the replay itself causes

    def go(self) -> None:
        """Run all steps in order."""
        do = {
            _OUTCOME: self._outcome,
            _DECISION: self._decided,
            _MATURE: self._matured,
            _RESUME: self._resumed,
            _ARRIVAL: self._arrived,
        }
        known, place = sorted(_known(self._cases)), 0
        while place < len(known) or self._later:
            if self._later and (place == len(known) or self._later[0] < known[place]):
                step = heapq.heappop(self._later)
            else:
                step, place = known[place], place + 1
            do[step.rank](step)

    # --- The arrival of a case ----------------------------------------------------------------------------

    def _arrived(self, step: _Step) -> None:
        case, at = self._cases[step.place], step.at
        one = self.kinds.get(case.proposal.case_kind or "")
        if one is None:
            self.runs.append(Run(case, Mode.ASKED, _without_a_kind(case)))
            return
        one.arrives(at)
        if one.kind.state == CaseKindState.GRADUATED:
            found = self._evaluate(case, one)
            reason = read_policy_reason(found.gate["reason"])
        else:
            found, reason = _ASKED, _asks(one)
        self._count(case, one, found, at)
        self._under_way[step.place] = _Case(one, found.mode, is_unusual(found.mode, found.gate))
        run = Run(case, found.mode, reason)
        self.runs.append(run)
        if found.mode == Mode.AUTO:
            run.money = (found.amount, found.currency)
            if case.state in WENT_WRONG:
                self._demote(one, cause_of_outcome(case.proposal.id, Mode.AUTO, OutcomeKind.FAILED), at)

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

    def _count(self, case: PastCase, one: ReplayedKind, found: Evaluation, at: datetime) -> None:
        """The counts of the gate in the transaction that stores a case."""
        name = one.kind.hash
        if case.proposal.customer_id is not None:
            self._met[case.proposal.customer_id, name] = at
        for counter in counted(case.proposal, name, found):
            self._usage.add(counter)
        if found.pause is not None:
            one.change(TrustChange(CaseKindState.PAUSED, found.pause), at)
            self._at(at + RESUMED_AFTER, _RESUME, self._names.index(name))

    # --- Decisions and outcomes ---------------------------------------------------------------------------

    def _decided(self, step: _Step) -> None:
        one, case = self._under_way.get(step.place), self._cases[step.place]
        if one is None or one.mode != Mode.AUTO:  # an automatic run asked nobody
            self._human_at = step.at
        if one is None or one.mode == Mode.AUTO:
            return
        self._take(step.place, one, step.at)
        verdict, edited = case.decisions[-1].verdict, bool(case.edited_by)
        cause = cause_of_decision(case.proposal.id, one.mode, verdict, edited=edited)
        self._demote(one.kind, cause, step.at)
        self._offer(one.kind, step.at)

    def _outcome(self, step: _Step) -> None:
        one, case = self._under_way.get(step.place), self._cases[step.place]
        kind = case.outcomes[step.number].kind
        if one is None or (kind == OutcomeKind.FAILED and one.mode != Mode.AUTO):
            return
        if one.mode != Mode.AUTO and one.label is not None and not one.label.is_rejection:
            self._take(step.place, one, step.at)
        self._demote(one.kind, cause_of_outcome(case.proposal.id, one.mode, kind), step.at)

    def _matured(self, step: _Step) -> None:
        one = self._under_way[step.place]
        if one.label is not None and not one.label.is_rejection:
            one.kind.mature(one.label, self._cases[step.place].proposal.customer_id)
            self._offer(one.kind, step.at)

    def _resumed(self, step: _Step) -> None:
        one = self.kinds[self._names[step.place]]
        if one.kind.state == CaseKindState.PAUSED:
            cause, override = ChangeCause(ChangeCode.RESUMED), one.kind.manual_override
            one.change(TrustChange(CaseKindState.GRADUATED, cause, manual_override=override), step.at)

    def _take(self, place: int, one: _Case, now: datetime) -> None:
        """Make the label of a case from the facts known by now, and count the change."""
        case, before = self._cases[place], one.label
        made = labels.label(_history(case, one, now), self._policy.graduation.outcome_window)
        one.label = made
        if made is None:
            return
        asked = case.proposal
        one.kind.take(place, made, before, customer=asked.customer_id, calls=asked.calls)
        if before is None and made.is_counted and not made.is_rejection:
            self._at(made.matures_at, _MATURE, place)

    def _offer(self, one: ReplayedKind, now: datetime) -> None:
        if one.graduate(now):
            self._human_at = now  # the person who accepted the offer

    def _demote(self, one: ReplayedKind, cause: ChangeCause | None, now: datetime) -> None:
        if cause is None:
            return
        family = [each.kind for each in self._families[one.kind.family]]
        for kind, change in demotions(one.kind, family, cause, now):
            self.kinds[kind.hash].change(change, now)

    def _at(self, at: datetime, rank: int, place: int) -> None:
        heapq.heappush(self._later, _Step(at, rank, place, 0))


def _without_a_kind(case: PastCase) -> PolicyReason:
    because = case.proposal.always_asks
    if because is None:
        return PolicyReason(PolicyCode.UNKNOWN_KIND)
    return PolicyReason.of(PolicyCode.ALWAYS_ASKS, because=because)


def _asks(one: ReplayedKind) -> PolicyReason:
    """The reason why a case asks by its kind alone."""
    if one.always is not None:
        return PolicyReason.of(PolicyCode.ALWAYS_ASKS, because=str(one.always))
    return asks_because(one.kind)


def _known(cases: Sequence[PastCase]) -> list[_Step]:
    """The steps of the past under every policy: cases, decisions and outcomes."""
    steps: list[_Step] = []
    for place, case in enumerate(cases):
        steps.append(_Step(case.proposal.created_at, _ARRIVAL, place, 0))
        if case.decisions:
            steps.append(_Step(case.decisions[-1].at, _DECISION, place, 0))
        steps.extend(_Step(one.at, _OUTCOME, place, number) for number, one in enumerate(case.outcomes))
    return steps


def _history(case: PastCase, one: _Case, now: datetime) -> CaseHistory:
    """The facts about a case that are known by now, for its label."""
    known: list[Outcome] = [each for each in case.outcomes if each.at <= now]
    return CaseHistory(
        proposal_id=case.proposal.id,
        case_kind=one.kind.kind.hash,
        state=case.state,
        mode=one.mode,
        decisions=case.decisions,
        edited_by=case.edited_by,
        outcomes=[each for each in known if each.kind != OutcomeKind.FAILED],
        first_of_tap=case.first_of_tap,
        unusual=one.unusual,
        first_shown_at=case.first_shown_at,
        restated=case.restated,
        hasty=case.hasty,
    )
