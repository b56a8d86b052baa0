"""A finding of a check: a level, a line that says what is, a line that says what to do."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The weight of a finding. Only a problem keeps the program from doing its work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line for people: `found` is what is, `remedy` what to do about it (empty when nothing is)."""

    level: Level
    found: str
    remedy: str = ""


def ok(found: str) -> Finding:
    """As it should be."""
    return Finding(Level.OK, found)


def warning(found: str, remedy: str) -> Finding:
    """Works, or could not be tested; worth a look."""
    return Finding(Level.WARNING, found, remedy)


def problem(found: str, remedy: str) -> Finding:
    """Would not work."""
    return Finding(Level.PROBLEM, found, remedy)
