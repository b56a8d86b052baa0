"""One kind of case during a replay: its tally, state and spending, counted as the store counts them. Pure."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.config.policy import Trust
from bot.graduation.case_kind import parameters
from bot.graduation.eligibility import always_human, lacks, opted_in, standard_of
from bot.graduation.novelty import RECENT, Seen, Value
from bot.graduation.score import smallest
from bot.graduation.thresholds import CLEAN_TAIL, MIN_CUSTOMERS, Standard
from store.models import CaseKindState, PlannedCall
from store.models.graduation import CaseKind, NewCaseKind, Spent

_IDLE_AFTER = timedelta(days=180)
_LEARNT_FROM = (
    300  # the newest approved cases that the novelty gate compares with, as in store.graduation.labels
)


@dataclass(slots=True)
class PastKind:
    """See the module. Times are aware; `history` is (when, state, why) of each change."""

    case_kind: NewCaseKind
    trust: Trust
    standard: Standard | None
    human: str | None
    state: CaseKindState = CaseKindState.ASKING
    manual_override: bool = False
    cause: str = ""
    generation: int = 0
    generation_at: datetime | None = None
    n: int = 0
    k: int = 0
    audits: int = 0
    audits_agreed: int = 0
    history: list[tuple[datetime, CaseKindState, str]] = field(default_factory=list)
    _customers: set[str] = field(default_factory=set)
    _first_at: datetime | None = None
    _last_bad: datetime | None = None
    _tail: list[datetime] = field(default_factory=list)
    _used_at: datetime | None = None
    _approved: list[int] = field(default_factory=list)
    _values: list[dict[str, Value]] = field(default_factory=list)
    _seen: Seen | None = None
    _hours: Counter[str] = field(default_factory=Counter)
    _breaches: deque[datetime] = field(default_factory=deque)
    _day: str = ""
    _spent: Counter[str] = field(default_factory=Counter)
    _ran: int = 0

    @classmethod
    def of(cls, case_kind: NewCaseKind, trust: Trust) -> "PastKind":
        """A kind of which nothing is known yet."""
        standard, human = standard_of(case_kind, trust), always_human(case_kind, trust)
        if human is None and standard is not None and standard.opt_in and not opted_in(case_kind, trust):
            human = "high risk, and not opted in"
        return cls(case_kind, trust, standard, human)

    # --- A case comes ---------------------------------------------------------------------------------

    def note(self, at: datetime) -> None:
        """A case came; what was not seen for half a year begins anew."""
        idle = self._used_at is not None and at - self._used_at > _IDLE_AFTER
        if idle and (self.n or self.state != CaseKindState.ASKING):
            self._begin_anew(at, "not seen for half a year")
        self._used_at = at if self._used_at is None else max(self._used_at, at)

    def asks_because(self) -> str:
        """Why a case asks before its surroundings are even looked at."""
        if self.human is not None:
            return f"always asks: {self.human}"
        return (
            f"this kind is paused: {self.cause}" if self.state == CaseKindState.PAUSED else "this kind asks"
        )

    def came(self, at: datetime) -> None:
        """Count a case, whether it runs or not."""
        self._hours[f"{at:%Y-%m-%dT%H}"] += 1

    def hours_since(self, since: datetime) -> dict[str, int]:
        """The cases of each hour since then that had any; older ones are dropped."""
        start = f"{since:%Y-%m-%dT%H}"
        while self._hours and (oldest := next(iter(self._hours))) < start:  # they came in order
            del self._hours[oldest]
        return self._hours

    def breached(self, at: datetime) -> None:
        """A case was over a cap."""
        self._breaches.append(at)

    def breaches_since(self, since: datetime) -> int:
        """How often a case was over a cap since the hour of `since`."""
        start = since.replace(minute=0, second=0, microsecond=0)
        while self._breaches and self._breaches[0] < start:
            self._breaches.popleft()
        return len(self._breaches)

    def spend(self, day: str, amount: int, currency: str) -> None:
        """Count a case that ran."""
        if day != self._day:
            self._day, self._ran = day, 0
            self._spent.clear()
        self._ran += 1
        self._spent[currency] += amount

    def spent_on(self, day: str, currency: str) -> Spent:
        """What ran on a day."""
        return Spent(self._ran, self._spent[currency]) if day == self._day else Spent()

    # --- What it says of its kind -------------------------------------------------------------------------

    def generation_of(self, decided_at: datetime) -> int:
        """The generation of what was decided then: what ended an generation is of that generation."""
        ended = self.generation_at is not None and decided_at <= self.generation_at
        return self.generation - 1 if ended else self.generation

    def count_yes(self, generation: int, decided_at: datetime, customer: str | None) -> None:
        """A yes whose window has passed."""
        if generation != self.generation:
            return
        self._count(decided_at, customer)

    def said_yes(self, generation: int, decided_at: datetime) -> None:
        """A yes whose window has yet to pass: of the cases since the last bad one it is one already."""
        if generation == self.generation and (self._last_bad is None or decided_at > self._last_bad):
            self._tail.append(decided_at)

    def count_no(self, generation: int, decided_at: datetime, customer: str | None) -> None:
        """What speaks against its kind."""
        if generation != self.generation:
            return
        self._count(decided_at, customer)
        self.k += 1
        self._last_bad = decided_at if self._last_bad is None else max(self._last_bad, decided_at)
        self._tail = [at for at in self._tail if at > self._last_bad]

    def _count(self, decided_at: datetime, customer: str | None) -> None:
        self.n += 1
        if customer is not None:
            self._customers.add(customer)
        self._first_at = decided_at if self._first_at is None else min(self._first_at, decided_at)

    def audited(self, generation: int, *, bad: bool, again: bool) -> None:
        """An audit was answered; `again`: it had been agreed, and is known better now."""
        if generation != self.generation:
            return
        self.audits += not again
        self.audits_agreed += int(not bad) - int(again)

    def learn(self, index: int, calls: Sequence[PlannedCall]) -> None:
        """A case was approved: what it sets is no longer new."""
        values = parameters(calls)
        self._approved.append(index)
        self._values.append(values)
        if self._seen is not None:
            oldest = self._values[-_LEARNT_FROM - 1] if len(self._values) > _LEARNT_FROM else {}
            self._seen = None if _is_missed(self._seen, oldest, values) else self._seen.learn(values)

    def forget(self, index: int) -> None:
        """It was not right after all."""
        if index in self._approved:
            place = self._approved.index(index)
            del self._approved[place], self._values[place]
            self._seen = None

    def _what_was_seen(self) -> Seen:
        """Of the newest approved cases; made anew only when the oldest of them is missed."""
        if self._seen is None:
            self._seen = Seen.of(self._values[-_LEARNT_FROM:])
        return self._seen

    # --- Trust ------------------------------------------------------------------------------------------

    def meets_its_bar(self, now: datetime) -> bool:
        """Whether a person would be offered to let it run on its own now."""
        if self.human is not None or self.standard is None or self.state != CaseKindState.ASKING:
            return False
        limit = self.standard.limit
        # What is cheap and mostly false comes first: the words of `lacks` cost a hundred times as much.
        if len(self._customers) < MIN_CUSTOMERS or (self.k and len(self._tail) < CLEAN_TAIL):
            return False
        if self.k > limit * self.n or limit <= 0 or self.n < smallest(self.k, self.generation, limit):
            return False
        return not lacks(self.as_case_kind(now, Seen()), self.trust, now)

    def begin_on(self) -> None:
        """Run on its own from before the first case on, as if by manual override."""
        self.state, self.manual_override = CaseKindState.GRADUATED, True

    def turn_on(self, at: datetime) -> None:
        """Let it run on its own; after a pause it is what it was."""
        manual_override, again = self.manual_override, self.state == CaseKindState.PAUSED
        self._become(CaseKindState.GRADUATED, at, "turned on again" if again else "met its bar")
        self.manual_override = again and manual_override

    def pause(self, at: datetime, why: str) -> None:
        """Its breaker opens: it asks until it is turned on again."""
        manual_override = self.manual_override
        self._become(CaseKindState.PAUSED, at, why)
        self.manual_override = manual_override

    def fall(self, at: datetime) -> bool:
        """Lose its trust; False when it has none."""
        if self.state == CaseKindState.ASKING:
            return False
        self._begin_anew(at, "lost its trust")
        return True

    def fell_since(self, since: datetime) -> bool:
        """Whether an generation ended since then for another reason than idleness."""
        fell = self.generation > 0 and self.generation_at is not None and self.generation_at > since
        return fell and self.cause != "not seen for half a year"

    def _begin_anew(self, at: datetime, cause: str) -> None:
        self._become(CaseKindState.ASKING, at, cause)
        self.generation, self.generation_at = self.generation + 1, at
        self.n = self.k = self.audits = self.audits_agreed = 0
        self._customers, self._tail = set(), []
        self._first_at = self._last_bad = None

    def _become(self, state: CaseKindState, at: datetime, cause: str) -> None:
        self.state, self.cause, self.manual_override = state, cause, False
        self.history.append((at, state, cause))

    def as_case_kind(self, now: datetime, seen: Seen | None = None) -> CaseKind:
        """As the store would keep it."""
        return CaseKind(
            hash=self.case_kind.hash,
            family=self.case_kind.family,
            fields=self.case_kind.fields,
            words=self.case_kind.words,
            risk=self.case_kind.risk,
            state=self.state,
            manual_override=self.manual_override,
            generation=self.generation,
            generation_at=self.generation_at or now,
            n=self.n,
            k=self.k,
            customers=len(self._customers),
            first_at=self._first_at,
            approvals_since_rejection=len(self._tail),
            audits_agreed=self.audits_agreed,
            audits=self.audits,
            seen=(self._what_was_seen() if seen is None else seen).to_json(),
            offered_at=None,
            used_at=self._used_at or now,
            changed_at=None,
            cause=self.cause,
        )


def _is_missed(seen: Seen, gone: dict[str, Value], new: dict[str, Value]) -> bool:
    """Whether what is seen may change because `gone` is no longer among the newest cases."""
    for name, value in gone.items():
        if name in new and new[name] == value:
            continue
        known = seen.numbers.get(name)
        if known is None or isinstance(value, bool) or not isinstance(value, int | float):
            if value == seen.choices.get(name, (value,))[0]:
                return True
        elif not known.low < value < known.high or len(known.recent) < RECENT:
            return True
    return False
