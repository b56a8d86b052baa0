"""One kind of case during a replay: the data that the store keeps, in memory. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bot.config.policy import Trust
from bot.graduation.case_kind import parameters
from bot.graduation.eligibility import (
    MIN_APPROVALS_SINCE_REJECTION,
    MIN_CUSTOMERS,
    Standard,
    always_human_now,
    lacks,
    standard_of,
)
from bot.graduation.novelty import RECENT, ApprovedValues, Value
from bot.graduation.score import smallest
from store.graduation.reducer import (
    IDLE,
    LEARNT_FROM,
    Generation,
    LabelSum,
    Tally,
    TrustChange,
    changed,
    first_seen,
    generation_of,
    is_idle,
)
from store.models import CaseKindState, PlannedCall
from store.models.graduation import CaseKind, Label, NewCaseKind
from store.models.reasons import UNSEEN, ChangeCause, ChangeCode

_NEVER = datetime.min.replace(tzinfo=UTC)
_ON = TrustChange(CaseKindState.GRADUATED, ChangeCause(ChangeCode.THRESHOLD_MET))


@dataclass(slots=True)
class ReplayedKind:
    """One kind of case in memory.

    `kind` is as the store keeps it, without counts and values: these are in `tally` and in the fields below.
    `always` is the reason why it always asks. `history` has (time, state, cause) of each change.
    """

    kind: CaseKind
    trust: Trust
    standard: Standard | None
    always: str | None
    tally: Tally = field(default_factory=Tally)
    history: list[tuple[datetime, CaseKindState, ChangeCause]] = field(default_factory=list)
    _generations: list[Generation] = field(default_factory=lambda: [Generation()])
    _last_case_at: datetime | None = None
    _since_rejection: list[datetime] = field(default_factory=list)  # counted approvals, mature or not
    _approved: list[int] = field(default_factory=list)
    _values: list[dict[str, Value]] = field(default_factory=list)
    _known: ApprovedValues | None = None

    @classmethod
    def of(cls, new: NewCaseKind, trust: Trust, *, on: bool = False) -> "ReplayedKind":
        """A new kind without history. With `on`, it runs on its own from the start."""
        kind = first_seen(new, _NEVER)
        if on:
            kind = replace(kind, state=CaseKindState.GRADUATED, manual_override=True)
        return cls(kind, trust, standard_of(new, trust), always_human_now(new, trust))

    # --- Trust --------------------------------------------------------------------------------------------

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
            self._generations.append(Generation(self.kind.generation, at))
            self.tally, self._since_rejection = Tally(), []

    def graduate(self, at: datetime) -> bool:
        """Let the kind run on its own if it meets every requirement. Return True if it does."""
        if not self._lacks_nothing(at):
            return False
        self.change(_ON, at)
        return True

    def _lacks_nothing(self, at: datetime) -> bool:
        if self.always is not None or self.standard is None or self.kind.state != CaseKindState.ASKING:
            return False
        n, k, limit = self.tally.cases, self.tally.rejections, self.standard.limit
        # Cheap checks that mostly fail come first: `lacks` costs a hundred times as much.
        if len(self.tally.customers) < MIN_CUSTOMERS:
            return False
        if k and len(self._since_rejection) < MIN_APPROVALS_SINCE_REJECTION:
            return False
        if k > limit * n or limit <= 0 or n < smallest(k, self.kind.generation, limit):
            return False
        return not lacks(self._counted(), self.trust, at)

    # --- Labels -------------------------------------------------------------------------------------------

    def take(
        self,
        place: int,
        made: Label,
        before: Label | None,
        *,
        customer: str | None,
        calls: Sequence[PlannedCall],
    ) -> None:
        """Count a label of the case at `place`; `before` is the label that it replaces."""
        if made.is_rejection:
            self.forget(place)
        elif before is None and made.reason not in UNSEEN:
            self.learn(place, calls)
        if not self._is_of_now(made):
            return
        if before is not None and before.is_counted:
            self.tally.take_back(_sum(before, customer))
        if not made.is_counted:
            return
        self.tally.add(_sum(made, customer))
        self._since_rejection += [] if made.is_rejection else [made.decided_at]
        last = self.tally.last_rejection_at
        if last is not None and (made.is_rejection or made.decided_at <= last):
            self._since_rejection = [at for at in self._since_rejection if at > last]

    def mature(self, label: Label, customer: str | None) -> None:
        """Count an approval whose window has passed."""
        if self._is_of_now(label):
            self.tally.take_back(_sum(label, customer))
            self.tally.add(_sum(label, customer, mature=True))

    def _is_of_now(self, label: Label) -> bool:
        return generation_of(self._generations, label.decided_at) == self.kind.generation

    # --- Approved values ----------------------------------------------------------------------------------

    def learn(self, place: int, calls: Sequence[PlannedCall]) -> None:
        """Add the values of an approved case. They are no longer new."""
        values = parameters(calls)
        self._approved.append(place)
        self._values.append(values)
        if self._known is not None:
            oldest = self._values[-LEARNT_FROM - 1] if len(self._values) > LEARNT_FROM else {}
            self._known = None if _is_missed(self._known, oldest, values) else self._known.learn(values)

    def forget(self, place: int) -> None:
        """Remove the values of a case whose approval no longer counts."""
        if place in self._approved:
            at = self._approved.index(place)
            del self._approved[at], self._values[at]
            self._known = None

    # --- The form that the store keeps --------------------------------------------------------------------

    def as_kept(self) -> CaseKind:
        """The kind as the store would keep it."""
        if self._known is None:  # computed again only when a dropped case changes the values
            self._known = ApprovedValues.of(self._values[-LEARNT_FROM:])
        return replace(self._counted(), approved_values=self._known.to_json())

    def _counted(self) -> CaseKind:
        return replace(self.kind, **self.tally.counts(len(self._since_rejection)))


def _sum(label: Label, customer: str | None, *, mature: bool = False) -> LabelSum:
    at = label.decided_at
    return LabelSum(label.is_rejection, label.is_spot_check, mature, customer, 1, at, at)


def _is_missed(known: ApprovedValues, gone: dict[str, Value], new: dict[str, Value]) -> bool:
    """Tell whether the approved values may change because `gone` is no longer among the newest cases."""
    for name, value in gone.items():
        if name in new and new[name] == value:
            continue
        numbers = known.numbers.get(name)
        if numbers is None or isinstance(value, bool) or not isinstance(value, int | float):
            if value == known.choices.get(name, (value,))[0]:
                return True
        elif not numbers.low < value < numbers.high or len(numbers.recent) < RECENT:
            return True
    return False
