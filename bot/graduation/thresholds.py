"""What each risk class asks before cases run on their own, and what a kind of case still lacks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from bot.graduation.score import Tally, clean_needed, shown
from polar.catalog import Risk

MIN_CUSTOMERS = 10
MIN_DAYS = 7
CLEAN_TAIL = 10


@dataclass(frozen=True, slots=True)
class Standard:
    """What one risk class asks. `limit`: the would-decline rate to rule out; `audit_floor`: the share of
    cases that a person still sees however long all goes well; `opt_in`: only for operations the rules name.
    """

    limit: float
    audit_floor: float
    opt_in: bool = False

    @property
    def target(self) -> float:
        """The score that graduates: 95.0 for a limit of 0.05."""
        return round(100 * (1 - self.limit), 9)

    def with_target(self, target: float) -> "Standard":
        """The same with another score to reach, 0 to 100."""
        return replace(self, limit=(100 - target) / 100)


# R0 (reads, notes) asks nothing and R4 (irreversible, all a customer has) always asks. No history moves a
# case out of either, so neither has a standard.
STANDARDS: Mapping[Risk, Standard] = MappingProxyType(
    {
        Risk.R1: Standard(limit=0.10, audit_floor=0.10),
        Risk.R2: Standard(limit=0.05, audit_floor=0.10),
        Risk.R3: Standard(limit=0.02, audit_floor=0.25, opt_in=True),
    }
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one kind of case stands in its generation: its counted cases, how many customers they are of,
    the days since
    the first of them, and the cases since the last bad one. `always_human` says why it never runs on its own.
    """

    tally: Tally
    customers: int
    days: float
    approvals_since_rejection: int
    always_human: str | None = None
    opted_in: bool = False


def why_not(standing: Standing, standard: Standard | None) -> list[str]:
    """Every requirement of graduation not met yet, in plain words; empty when all are.

    `standard` is the one of its risk class, None for a class that has none.
    """
    if standing.always_human is not None:
        return [f"always asks: {standing.always_human}"]
    if standard is None:
        return ["always asks: no history lets cases of this risk class run on their own"]
    checks = (
        _score_short(standing.tally, standard),
        _few(standing.customers, MIN_CUSTOMERS, "customers"),
        _few(int(standing.days), MIN_DAYS, "days"),
        _fresh_no(standing),
        _closed(standing, standard),
    )
    return [lacking for lacking in checks if lacking is not None]


def _score_short(tally: Tally, standard: Standard) -> str | None:
    if standard.limit <= 0:
        return "score 100 is asked, which no number of cases reaches"
    more = clean_needed(tally.n, tally.k, tally.generation, standard.limit)
    now = shown(tally.n, tally.k, tally.generation, standard.target)
    return f"score {now} of {standard.target:g}: {more} more with a yes" if more else None


def _few(have: int, need: int, what: str) -> str | None:
    return f"{max(have, 0)} of {need} {what}" if have < need else None


def _fresh_no(standing: Standing) -> str | None:
    if not standing.tally.k or standing.approvals_since_rejection >= CLEAN_TAIL:
        return None
    return (
        f"a no among the last {CLEAN_TAIL}: {CLEAN_TAIL - standing.approvals_since_rejection} more with a yes"
    )


def _closed(standing: Standing, standard: Standard) -> str | None:
    if standing.opted_in or not standard.opt_in:
        return None
    return "not opted in: cases of this risk class run on their own only for operations named in `opt_in`"
