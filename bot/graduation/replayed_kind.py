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
from store.models import PlannedCall, ShapeState
from store.models.graduation import NewShape, Shape, Spent

_IDLE_AFTER = timedelta(days=180)
_LEARNT_FROM = (
    300  # the newest approved cases that the novelty gate compares with, as in store.graduation.labels
)


@dataclass(slots=True)
class PastKind:
    """See the module. Times are aware; `history` is (when, state, why) of each change."""

    shape: NewShape
    trust: Trust
    standard: Standard | None
    human: str | None
    state: ShapeState = ShapeState.ASKING
    decree: bool = False
    cause: str = ""
    epoch: int = 0
    epoch_at: datetime | None = None
    n: int = 0
    k: int = 0
    audits: int = 0
    audits_agreed: int = 0
    history: list[tuple[datetime, ShapeState, str]] = field(default_factory=list)
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
    def of(cls, shape: NewShape, trust: Trust) -> "PastKind":
        """A kind of which nothing is known yet."""
        standard, human = standard_of(shape, trust), always_human(shape, trust)
        if human is None and standard is not None and standard.opt_in and not opted_in(shape, trust):
            human = "high risk, and not opted in"
        return cls(shape, trust, standard, human)

    # --- A case comes ---------------------------------------------------------------------------------

    def note(self, at: datetime) -> None:
        """A case came; what was not seen for half a year begins anew."""
        idle = self._used_at is not None and at - self._used_at > _IDLE_AFTER
        if idle and (self.n or self.state != ShapeState.ASKING):
            self._begin_anew(at, "not seen for half a year")
        self._used_at = at if self._used_at is None else max(self._used_at, at)

    def asks_because(self) -> str:
        """Why a case asks before its surroundings are even looked at."""
        if self.human is not None:
            return f"always asks: {self.human}"
        return f"this kind is paused: {self.cause}" if self.state == ShapeState.PAUSED else "this kind asks"

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

    def epoch_of(self, decided_at: datetime) -> int:
        """The epoch of what was decided then: what ended an epoch is of that epoch."""
        ended = self.epoch_at is not None and decided_at <= self.epoch_at
        return self.epoch - 1 if ended else self.epoch

    def count_yes(self, epoch: int, decided_at: datetime, customer: str | None) -> None:
        """A yes whose window has passed."""
        if epoch != self.epoch:
            return
        self._count(decided_at, customer)

    def said_yes(self, epoch: int, decided_at: datetime) -> None:
        """A yes whose window has yet to pass: of the cases since the last bad one it is one already."""
        if epoch == self.epoch and (self._last_bad is None or decided_at > self._last_bad):
            self._tail.append(decided_at)

    def count_no(self, epoch: int, decided_at: datetime, customer: str | None) -> None:
        """What speaks against its kind."""
        if epoch != self.epoch:
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

    def audited(self, epoch: int, *, bad: bool, again: bool) -> None:
        """An audit was answered; `again`: it had been agreed, and is known better now."""
        if epoch != self.epoch:
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
        if self.human is not None or self.standard is None or self.state != ShapeState.ASKING:
            return False
        limit = self.standard.limit
        # What is cheap and mostly false comes first: the words of `lacks` cost a hundred times as much.
        if len(self._customers) < MIN_CUSTOMERS or (self.k and len(self._tail) < CLEAN_TAIL):
            return False
        if self.k > limit * self.n or limit <= 0 or self.n < smallest(self.k, self.epoch, limit):
            return False
        return not lacks(self.as_shape(now, Seen()), self.trust, now)

    def begin_on(self) -> None:
        """Run on its own from before the first case on, as if by decree."""
        self.state, self.decree = ShapeState.GRADUATED, True

    def turn_on(self, at: datetime) -> None:
        """Let it run on its own; after a pause it is what it was."""
        decree, again = self.decree, self.state == ShapeState.PAUSED
        self._become(ShapeState.GRADUATED, at, "turned on again" if again else "met its bar")
        self.decree = again and decree

    def pause(self, at: datetime, why: str) -> None:
        """Its breaker opens: it asks until it is turned on again."""
        decree = self.decree
        self._become(ShapeState.PAUSED, at, why)
        self.decree = decree

    def fall(self, at: datetime) -> bool:
        """Lose its trust; False when it has none."""
        if self.state == ShapeState.ASKING:
            return False
        self._begin_anew(at, "lost its trust")
        return True

    def fell_since(self, since: datetime) -> bool:
        """Whether an epoch ended since then for another reason than idleness."""
        fell = self.epoch > 0 and self.epoch_at is not None and self.epoch_at > since
        return fell and self.cause != "not seen for half a year"

    def _begin_anew(self, at: datetime, cause: str) -> None:
        self._become(ShapeState.ASKING, at, cause)
        self.epoch, self.epoch_at = self.epoch + 1, at
        self.n = self.k = self.audits = self.audits_agreed = 0
        self._customers, self._tail = set(), []
        self._first_at = self._last_bad = None

    def _become(self, state: ShapeState, at: datetime, cause: str) -> None:
        self.state, self.cause, self.decree = state, cause, False
        self.history.append((at, state, cause))

    def as_shape(self, now: datetime, seen: Seen | None = None) -> Shape:
        """As the store would keep it."""
        return Shape(
            hash=self.shape.hash,
            family=self.shape.family,
            fields=self.shape.fields,
            words=self.shape.words,
            risk=self.shape.risk,
            state=self.state,
            decree=self.decree,
            epoch=self.epoch,
            epoch_at=self.epoch_at or now,
            n=self.n,
            k=self.k,
            customers=len(self._customers),
            first_at=self._first_at,
            clean_tail=len(self._tail),
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
