"""What a kind of case has seen approved, kept small, and whether a case is like it (graduation.md 3.2)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.sanitize import clean

Value = int | float | str | bool | None
Choice = str | bool | None

# The rank below needs 19 approvals to speak at all and 200 to be worth having; more would only lag behind.
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
class Seen:
    """The approved values of one kind of case by parameter: numbers, and the latest CHOICES different others.

    A choice forgotten because fifty newer ones came is asked about again, which is the safe side.
    """

    numbers: Mapping[str, Numbers] = field(default_factory=dict)
    choices: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)

    def learn(self, values: Mapping[str, Value]) -> "Seen":
        """With one more approved case. What is no finite number stays a stranger."""
        numbers, choices = dict(self.numbers), dict(self.choices)
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                if math.isfinite(value):
                    numbers[name] = _widened(numbers.get(name), value)
            else:
                others = tuple(known for known in choices.get(name, ()) if known != value)
                choices[name] = (*others, value)[-CHOICES:]
        return Seen(numbers, choices)

    @classmethod
    def of(cls, cases: Sequence[Mapping[str, Value]]) -> "Seen":
        """What `learn` gives for these cases one after the other, in one pass."""
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
        """For a JSON column."""
        numbers = {name: [one.low, one.high, list(one.recent)] for name, one in self.numbers.items()}
        return {"numbers": numbers, "choices": {name: list(known) for name, known in self.choices.items()}}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Seen":
        """From what `to_json` gave; nothing seen yet where nothing is stored (`{}`)."""
        return cls(
            {
                name: Numbers(low, high, tuple(recent))
                for name, (low, high, recent) in stored.get("numbers", {}).items()
            },
            {name: tuple(known) for name, known in stored.get("choices", {}).items()},
        )


def novelty(seen: Seen, values: Mapping[str, Value]) -> str | None:
    """Why a person is to see a case whatever its score, in plain words; None when it is like the others."""
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            strange = _strange_number(seen.numbers.get(name), value)
        else:
            strange = _strange_choice(seen.choices.get(name, ()), value)
        if strange is not None:
            return f"{clean(name, 40)} {strange}"
    return None


def _widened(known: Numbers | None, value: float) -> Numbers:
    if known is None:
        return Numbers(value, value, (value,))
    recent = (*known.recent, value)[-RECENT:]
    return Numbers(min(known.low, value), max(known.high, value), recent)


def _strange_number(known: Numbers | None, value: float) -> str | None:
    if known is None:
        return f"is {_plain(value)}, and no number was approved here before"
    if not known.low <= value <= known.high:  # also for NaN
        approved = f"{_plain(known.low)} to {_plain(known.high)}"
        return f"is {_plain(value)}, outside what was approved so far ({approved})"
    as_much = sum(approved >= value for approved in known.recent)
    if (1 + as_much) / (len(known.recent) + 1) < RARE:
        return f"is {_plain(value)}, as much as only {as_much} of the last {len(known.recent)} approved"
    return None


def _strange_choice(known: tuple[Choice, ...], value: Choice) -> str | None:
    if value in known:
        return None
    return f"is {_named(value)}, which was not approved before"


def _plain(value: float) -> str:
    return f"{value:,}"


def _named(value: Choice) -> str:
    if isinstance(value, str):
        return f"“{clean(value, 60)}”"
    return {True: "true", False: "false", None: "empty"}[value]
