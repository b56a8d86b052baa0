"""The approved values of a kind of case, limited in number, and the comparison with a new case. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.models.reasons import PolicyCode, PolicyReason

Value = int | float | str | bool | None
Choice = str | bool | None

# The rank below needs 19 approvals for a result and 200 for a good one. More would react too slowly.
RECENT = 200
CHOICES = 50
RARE = 0.05


@dataclass(frozen=True, slots=True)
class Numbers:
    """The approved values of one numeric parameter: the range of all, and the latest RECENT of them."""

    low: float
    high: float
    recent: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ApprovedValues:
    """The approved values of one kind of case by parameter: numbers, and the latest CHOICES other values.

    A choice is dropped after fifty newer ones. A case with it asks again, which is safe.
    """

    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    choices: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)

    def learn(self, values: Mapping[str, Value]) -> "ApprovedValues":
        """Add one more approved case. A number that is not finite is left out."""
        numbers, choices = dict(self.numbers), dict(self.choices)
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                if math.isfinite(value):
                    numbers[name] = _widened(numbers.get(name), value)
            else:
                others = tuple(known for known in choices.get(name, ()) if known != value)
                choices[name] = (*others, value)[-CHOICES:]
        return ApprovedValues(numbers, choices)

    @classmethod
    def of(cls, cases: Sequence[Mapping[str, Value]]) -> "ApprovedValues":
        """The result of `learn` for these cases one after the other, in one pass."""
        numbers: dict[str, list[float]] = {}
        choices: dict[str, dict[Choice, None]] = {}
        for values in cases:
            for name, value in values.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    if math.isfinite(value):
                        numbers.setdefault(name, []).append(value)
                else:
                    known = choices.setdefault(name, {})
                    known.pop(value, None)
                    known[value] = None
        return cls(
            {name: Numbers(min(all_), max(all_), tuple(all_[-RECENT:])) for name, all_ in numbers.items()},
            {name: tuple(known)[-CHOICES:] for name, known in choices.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """The values for a JSON column."""
        numbers = {name: [one.low, one.high, list(one.recent)] for name, one in self.numbers.items()}
        return {"numbers": numbers, "choices": {name: list(known) for name, known in self.choices.items()}}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "ApprovedValues":
        """Read the result of `to_json`; `{}` gives no values."""
        return cls(
            {
                name: Numbers(low, high, tuple(recent))
                for name, (low, high, recent) in stored.get("numbers", {}).items()
            },
            {name: tuple(known) for name, known in stored.get("choices", {}).items()},
        )


def novelty(approved: ApprovedValues, values: Mapping[str, Value]) -> PolicyReason | None:
    """The reason why a case asks at any score; None when it is like the approved ones."""
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found = _new_number(approved.numbers.get(name), value)
        elif value not in approved.choices.get(name, ()):
            short = value[:200] if isinstance(value, str) else value
            found = PolicyReason.of(PolicyCode.NEW_CHOICE, value=short)
        else:
            found = None
        if found is not None:
            return PolicyReason(found.code, {"name": name, **found.args})
    return None


def _widened(known: Numbers | None, value: float) -> Numbers:
    if known is None:
        return Numbers(value, value, (value,))
    recent = (*known.recent, value)[-RECENT:]
    return Numbers(min(known.low, value), max(known.high, value), recent)


def _new_number(known: Numbers | None, value: float) -> PolicyReason | None:
    plain = value if math.isfinite(value) else str(value)  # JSON knows no NaN
    if known is None:
        return PolicyReason.of(PolicyCode.FIRST_NUMBER, value=plain)
    if not known.low <= value <= known.high:  # also for NaN
        return PolicyReason.of(PolicyCode.OUT_OF_RANGE, value=plain, low=known.low, high=known.high)
    as_large, of = sum(one >= value for one in known.recent), len(known.recent)
    if (1 + as_large) / (of + 1) < RARE:
        return PolicyReason.of(PolicyCode.RARE_NUMBER, value=value, as_large=as_large, approved=of)
    return None
