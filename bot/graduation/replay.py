"""The past once more under any policy: each case judged as it came, its decision looked at only afterwards.

What the live line does with a case is done here by the same functions (gate, labels, score, novelty), so the
only differences are the policy and these assumptions: a person accepts each offer to let a kind of case run
on its own at once, and turns a kind on again a day after its breaker opened. What people did to trust by hand
(turned on by manual override, turned off, paused everything) is left out. What ran in the replay and was
declined in the past was seen by nobody there: it is counted, and takes no trust back. Pure.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.config.policy import Policy
from bot.graduation import labels
from bot.graduation.gate import judge
from bot.graduation.replayed_kind import PastKind
from store.models import CaseKindState, Mode, OutcomeKind, ProposalState, Verdict
from store.models.graduation import (
    FAMILY_FALLS,
    FAMILY_WINDOW,
    CaseHistory,
    GateInputs,
    Judged,
    Label,
    NewCaseKind,
    Outcome,
    PastCase,
    Spent,
)

RESUMED_AFTER = timedelta(days=1)
_WENT_WRONG = (ProposalState.FAILED, ProposalState.UNKNOWN)
_WEEK, _DAY, _MONTH = timedelta(days=7), timedelta(hours=23), timedelta(days=29)
_OUTCOME, _DECISION, _RIPE, _RESUME, _ARRIVAL = range(5)  # what is at one moment comes in this order


@dataclass(slots=True)
class Run:
    """What became of one case in the replay. `money` is what it moved (minor units, currency) if it ran."""

    case: PastCase
    mode: Mode
    why: str
    money: tuple[int, str] = (0, "")


@dataclass(frozen=True, slots=True)
class Replayed:
    """Every case as the policy would have judged it, oldest first, and how each kind stands at the end."""

    runs: Sequence[Run]
    kinds: Mapping[str, PastKind]


class _Step(NamedTuple):
    """One thing that happens; `place` is that of its case, or of the kind that is turned on again."""

    at: datetime
    rank: int
    place: int
    number: int


@dataclass(slots=True)
class _Case:
    """A case on its way: how it was judged, and what it says of its kind so far."""

    kind: PastKind
    mode: Mode
    forced: bool
    label: Label | None = None
    generation: int = 0


@dataclass(slots=True)
class _Counted:
    """How much ran under one cap, by day."""

    count: Counter[str] = field(default_factory=Counter)
    money: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, day: str, amount: int, currency: str) -> None:
        self.count[day] += 1
        self.money[day, currency] += amount

    def since(self, day: str, currency: str) -> Spent:
        if day in self.count and len(self.count) == 1:
            return Spent(self.count[day], self.money[day, currency])
        own = [one for one in self.count if one >= day]
        return Spent(sum(self.count[one] for one in own), sum(self.money[one, currency] for one in own))


def replay(
    cases: Sequence[PastCase],
    case_kinds: Mapping[str, NewCaseKind],
    policy: Policy,
    *,
    secret: bytes,
    on: Collection[str] = (),
) -> Replayed:
    """Walk the cases, oldest first. `on` are kinds of case that run on their own from the start, as if by
    manual_override.

    `secret` draws the audits: with the program's own they are the very ones it would have drawn.
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
            name: PastKind.of(case_kind, policy.graduation) for name, case_kind in case_kinds.items()
        }
        for name in on:
            self.kinds[name].begin_on()
        self._cases, self._policy, self._secret = cases, policy, secret
        self._under_way: dict[int, _Case] = {}
        self._names = list(self.kinds)
        self._families: dict[str, list[PastKind]] = {}
        for kind in self.kinds.values():
            self._families.setdefault(kind.case_kind.family, []).append(kind)
        # What runs from the start was turned on by somebody who was there.
        self._human_at = cases[0].proposal.created_at if on and cases else None
        self._day = _Counted()
        self._of_customer: dict[str, _Counted] = {}
        self._met: dict[tuple[str, str], datetime] = {}
        self._later: list[_Step] = []  # a heap: what the replay itself brings about

    def go(self) -> None:
        """Everything in its order."""
        do = {
            _OUTCOME: self._came_of,
            _DECISION: self._decided,
            _RIPE: self._ripened,
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

    # --- A case comes ---------------------------------------------------------------------------------

    def _arrived(self, step: _Step) -> None:
        case = self._cases[step.place]
        kind = self.kinds.get(case.proposal.case_kind or "")
        if kind is None:
            why = case.proposal.always_asks
            self.runs.append(Run(case, Mode.ASKED, f"always asks: {why}" if why else "of no known kind"))
            return
        kind.note(step.at)
        trusted = kind.state == CaseKindState.GRADUATED
        judged = self._judge(case, kind, step.at) if trusted else None
        self._count(case, kind, judged, step)
        mode = Mode.ASKED if judged is None else judged.mode
        forced = judged is not None and mode == Mode.ASKED and not judged.gate["would_run"]
        self._under_way[step.place] = _Case(kind, mode, forced)
        why = kind.asks_because() if judged is None else str(judged.gate["why"])
        run = Run(case, mode, why)
        self.runs.append(run)
        if mode == Mode.AUTO and judged is not None:
            run.money = (judged.amount, judged.currency)
            if case.state in _WENT_WRONG:
                self._demote(kind, step.at)

    def _judge(self, case: PastCase, kind: PastKind, now: datetime) -> Judged:
        asked, today = case.proposal, f"{now:%Y-%m-%d}"
        currency, who = asked.currency or "", asked.customer_id or ""
        customer = self._of_customer.get(who)
        met = self._met.get((who, kind.case_kind.hash))
        inputs = GateInputs(
            case_kind=kind.as_case_kind(now),
            now=now,
            secret=self._secret,
            human_at=self._human_at,
            customer=Spent() if customer is None else customer.since(f"{now - _MONTH:%Y-%m-%d}", currency),
            case_kind_day=kind.spent_on(today, currency),
            day=self._day.since(today, currency),
            breaches=kind.breaches_since(now - _DAY),
            hours=kind.hours_since(now - _WEEK),
            first_this_week=asked.customer_id is None or met is None or met <= now - _WEEK,
        )
        return judge(asked, inputs, self._policy)

    def _count(self, case: PastCase, kind: PastKind, judged: Judged | None, step: _Step) -> None:
        """What the gate counts in the transaction that stores a case."""
        at, who = step.at, case.proposal.customer_id
        kind.came(at)
        if who is not None:
            self._met[who, kind.case_kind.hash] = at
        if judged is None:
            return
        if judged.breach:
            kind.breached(at)
        if judged.pauses is not None:
            kind.pause(at, judged.pauses)
            self._at(at + RESUMED_AFTER, _RESUME, self._names.index(kind.case_kind.hash))
        if judged.mode == Mode.AUTO:
            today = f"{at:%Y-%m-%d}"
            kind.spend(today, judged.amount, judged.currency)
            self._day.add(today, judged.amount, judged.currency)
            if who is not None:
                own = self._of_customer.setdefault(who, _Counted())
                own.add(today, judged.amount, judged.currency)

    # --- What people said, and what came of it ----------------------------------------------------------

    def _decided(self, step: _Step) -> None:
        one, case = self._under_way.get(step.place), self._cases[step.place]
        if one is None or one.mode != Mode.AUTO:  # nobody was asked about what ran
            self._human_at = step.at
        if one is None or one.mode == Mode.AUTO:
            return
        self._take(step.place, one, step.at)
        if one.mode == Mode.AUDIT and (_declined(case) or case.edited_by):
            self._demote(one.kind, step.at)
        self._offer(one.kind, step.at)

    def _came_of(self, step: _Step) -> None:
        one = self._under_way.get(step.place)
        failed = self._cases[step.place].outcomes[step.number].kind == OutcomeKind.FAILED
        if one is None or (failed and one.mode != Mode.AUTO):  # only what runs on its own is judged by that
            return
        if one.mode != Mode.AUTO and one.label is not None and not one.label.bad:
            self._take(step.place, one, step.at)
        if one.mode in (Mode.AUTO, Mode.AUDIT):
            self._demote(one.kind, step.at)

    def _ripened(self, step: _Step) -> None:
        one = self._under_way[step.place]
        if one.label is not None and not one.label.bad:
            one.kind.count_yes(
                one.generation, one.label.decided_at, self._cases[step.place].proposal.customer_id
            )
            self._offer(one.kind, step.at)

    def _resumed(self, step: _Step) -> None:
        kind = self.kinds[self._names[step.place]]
        if kind.state == CaseKindState.PAUSED:
            kind.turn_on(step.at)

    def _take(self, index: int, one: _Case, now: datetime) -> None:
        """Make a case's label from what is known by now, and count what it changes."""
        case, before = self._cases[index], one.label
        made = labels.label(_history(case, one, now), self._policy.graduation.outcome_window)
        one.label = made
        if made is None:
            return
        if before is None:
            one.generation = one.kind.generation_of(made.decided_at)
        if made.bad:
            one.kind.forget(index)
            one.kind.count_no(one.generation, made.decided_at, case.proposal.customer_id)
        elif before is None:
            if made.why not in labels.UNSEEN:
                one.kind.learn(index, case.proposal.calls)
            if made.counted:
                one.kind.said_yes(one.generation, made.decided_at)
                self._at(made.matures_at, _RIPE, index)
        if made.audit and made.counted:
            one.kind.audited(one.generation, bad=made.bad, again=before is not None and before.counted)

    def _offer(self, kind: PastKind, now: datetime) -> None:
        if kind.meets_its_bar(now):
            kind.turn_on(now)
            self._human_at = now  # whoever accepted it

    def _demote(self, kind: PastKind, now: datetime) -> None:
        """Take trust back as the store does, the family's too when it is the second in a week."""
        if not kind.fall(now):
            return
        family = self._families[kind.case_kind.family]
        if sum(one.fell_since(now - FAMILY_WINDOW) for one in family) >= FAMILY_FALLS:
            for one in family:
                one.fall(now)

    def _at(self, at: datetime, rank: int, index: int) -> None:
        heapq.heappush(self._later, _Step(at, rank, index, 0))


def _known(cases: Sequence[PastCase]) -> list[_Step]:
    """What the past brings about, whatever the policy: cases, decisions and outcomes."""
    steps: list[_Step] = []
    for index, case in enumerate(cases):
        steps.append(_Step(case.proposal.created_at, _ARRIVAL, index, 0))
        if case.decisions:
            steps.append(_Step(case.decisions[-1].at, _DECISION, index, 0))
        steps.extend(_Step(one.at, _OUTCOME, index, number) for number, one in enumerate(case.outcomes))
    return steps


def _history(case: PastCase, one: _Case, now: datetime) -> CaseHistory:
    """What is known of a case by now, for its label."""
    known: list[Outcome] = [each for each in case.outcomes if each.at <= now]
    return CaseHistory(
        proposal_id=case.proposal.id,
        case_kind=one.kind.case_kind.hash,
        state=case.state,
        mode=one.mode,
        decisions=case.decisions,
        edited_by=case.edited_by,
        outcomes=[each for each in known if each.kind != OutcomeKind.FAILED],
        first_of_tap=case.first_of_tap,
        forced=one.forced,
        first_shown_at=case.first_shown_at,
        restated=case.restated,
        hasty=case.hasty,
    )


def _declined(case: PastCase) -> bool:
    return bool(case.decisions) and case.decisions[-1].verdict == Verdict.DECLINE
