"""What was measured beside its yardstick and its aim: rows, lines to read, Markdown and JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from typing import Any

_MARKS = {True: "met", False: "MISSED", None: ""}
_HEAD = ("", "measured", "beside it, in the same run", "aim", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured value. `reference` says in words what stood beside it, `aim` what was hoped for; `met` is
    None where there is no aim.
    """

    name: str
    value: float
    unit: str
    reference: str = ""
    aim: str = ""
    met: bool | None = None


def at_most(name: str, value: float, unit: str, aim: float, reference: str = "") -> Row:
    """A value that should not exceed `aim`."""
    return Row(name, value, unit, reference, f"≤ {aim:,g}", value <= aim)


def at_least(name: str, value: float, unit: str, aim: float, reference: str = "") -> Row:
    """A value that should reach `aim`."""
    return Row(name, value, unit, reference, f"≥ {aim:,g}", value >= aim)


def none_of(name: str, value: int) -> Row:
    """A count that must be zero."""
    return Row(name, value, "", aim="0", met=value == 0)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` (0 to 1) of the values do not exceed; infinite when there are none."""
    ordered = sorted(values)
    if not ordered:
        return float("inf")
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def milliseconds(values: Iterable[float], share: float) -> float:
    """A percentile of seconds, in milliseconds."""
    return percentile(values, share) * 1_000


def amount(value: float, unit: str) -> str:
    """A value with its unit, with no more digits than it is worth."""
    whole = value >= 100 or value == int(value)
    digits = 0 if whole else 1 if value >= 1 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()


def line(row: Row) -> str:
    """A row as text, as it is printed when it is measured."""
    measured = amount(row.value, row.unit)
    return f"  {row.name:<58}{measured:>12}  {row.reference:<34}{row.aim:<9}{_MARKS[row.met]}".rstrip()


def markdown(sections: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The whole report as tables for a README, without sections that measured nothing."""
    parts = []
    for title, rows in filter(itemgetter(1), sections):
        cells = [_HEAD, ("---", "---:", "---", "---", "---"), *map(_cells, rows)]
        parts.append("\n".join([f"**{title}**", "", *(f"| {' | '.join(each)} |" for each in cells)]))
    return "\n\n".join(parts)


def _cells(row: Row) -> Sequence[str]:
    return row.name, amount(row.value, row.unit), row.reference, row.aim, _MARKS[row.met]


def as_json(sections: Sequence[tuple[str, Sequence[Row]]]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [{"section": title, **asdict(row)} for title, rows in sections for row in rows]
