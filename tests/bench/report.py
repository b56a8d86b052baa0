"""What was measured beside what was aimed at: rows, a table to read, and JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value. `aim` says in words what was hoped for; `met` is None where there is no aim."""

    name: str
    value: float
    unit: str
    aim: str = ""
    met: bool | None = None


def at_most(name: str, value: float, unit: str, aim: float) -> Row:
    """A value that should be below `aim`."""
    return Row(name, value, unit, f"< {aim:g}", value < aim)


def at_least(name: str, value: float, unit: str, aim: float) -> Row:
    """A value that should reach `aim`."""
    return Row(name, value, unit, f"≥ {aim:g}", value >= aim)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed; infinite when there are none."""
    ordered = sorted(values)
    if not ordered:
        return float("inf")
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def milliseconds(values: Iterable[float], share: float) -> float:
    """A percentile of seconds, in milliseconds."""
    return percentile(values, share) * 1_000


def table(sections: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The whole report as text."""
    lines = []
    for title, rows in sections:
        lines.append(f"\n{title}")
        for row in rows:
            mark = {True: "met", False: "MISSED", None: ""}[row.met]
            lines.append(f"  {row.name:<58}{_number(row.value):>10} {row.unit:<9}{row.aim:<9}{mark}".rstrip())
    return "\n".join(lines)


def as_json(sections: Sequence[tuple[str, Sequence[Row]]]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [{"section": title, **asdict(row)} for title, rows in sections for row in rows]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"
