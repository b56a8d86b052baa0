"""The score of a kind of case, its history, and the requirements of automatic runs it does not meet. Pure.

The score is a lower confidence bound, valid at any time, on the share that people approve.

Read "score 91.8" as: with 95 % confidence, valid at any time you look, people approve at least 91.8 % of such
cases. The scores of one kind over time are a one-sided confidence sequence (Darling and Robbins 1967; Howard,
Ramdas, McAuliffe and Sekhon 2021). So nobody has to fix a sample size, and the score may be read after every
decision.

The method is the beta-binomial mixture: a test of "the rejection rate is at least p" against a mixture of all
lower rates, weighted by Beta(A, B) cut off at p (Robbins 1970). In the words of testing by betting it is an
e-process for that claim (Ramdas, Grunwald, Vovk and Shafer 2023; Waudby-Smith and Ramdas 2024): a wealth that
cannot be expected to grow while the claim is true, even if the rate drifts. By Ville's inequality (1939) it
ever reaches 1 / alpha with probability alpha at most. The score is 100 * (1 - U), where U is the largest p
that the evidence does not reject.

Here n is the number of counted cases of a generation, k the number of rejections among them, and `generation`
the number of earlier generations.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache, lru_cache
from types import MappingProxyType

from bot.config.policy import Trust
from bot.rules.rule import always_asks
from polar.catalog import Risk, operations
from store.models import CaseKindState
from store.models.graduation import CaseCounts, CaseKind, Change, History, NewCaseKind
from store.models.reasons import AlwaysAsk, Lack, LackCode

# The mixture: Beta(0.5, 20). It sets the growth rate of the score. The bound holds for any mixture.
A, B = 0.5, 20
# The probability that one kind of case ever graduates wrongly, over all its generations. Each generation
# spends half of what is left: 0.05 / 2, / 4, / 8 … add up to it.
EVER = 0.05
MIN_CUSTOMERS = 10
MIN_DAYS = 7
MIN_APPROVALS_SINCE_REJECTION = 10

_LN_BETA_AB = math.lgamma(A) + math.lgamma(B) - math.lgamma(A + B)
# For an integer B, I_p(A, B) is p^A times a polynomial in 1 - p: exact, and cheaper than a fraction.
_BELOW = [math.exp(math.lgamma(A + i) - math.lgamma(A) - math.lgamma(i + 1)) for i in range(B)][::-1]
_ENOUGH = 1e-12
_TURNS = 10_000
_STEPS = 100


def threshold(generation: int) -> float:
    """The needed evidence, ln(1 / alpha). Each earlier generation doubles 1 / alpha.

    Raises ValueError below generation 0.
    """
    if generation < 0:
        raise ValueError(f"the first generation is 0, not {generation}")
    return math.log(2 / EVER) + generation * math.log(2)


def log_evidence(n: int, k: int, p: float) -> float:
    """The evidence ln E_n(p) of `n` cases with `k` rejections against a rejection rate of `p` or more.

    Raises ValueError for impossible counts, and for a rate outside 0 to 1.
    """
    _require(n, k)
    if not 0 < p < 1:
        raise ValueError(f"a rate lies between 0 and 1, not {p}")
    return _evidence(n, k, -math.log1p(-p), _ln_beta(A + k, B + n - k))[0]


def reached(n: int, k: int, generation: int, limit: float) -> bool:
    """Tell whether the evidence against a rejection rate of `limit` (0.05) or more meets this generation's
    threshold.

    No evidence ever rules out a rate of 0 (score 100), the one way in which an operator says "never".
    """
    return limit > 0 and log_evidence(n, k, limit) >= threshold(generation)


def score(n: int, k: int, generation: int = 0) -> float:
    """The score 100 * (1 - U_n), from 0 to 100; 0.0 before any approval."""
    _require(n, k)
    return 0.0 if n == k else 100 * math.exp(-_nats(n, k, generation))


def shown_score(exact: float, target: float) -> str:
    """The score with one digit. A score just below the `target` is not rounded up to it."""
    rounded = round(exact, 1)
    return f"{rounded:.1f}" if exact >= target or rounded < target else f"{target - 0.1:.1f}"


def clean_needed(n: int, k: int, generation: int, limit: float) -> int:
    """The number of approvals without a rejection until `reached`. Raises ValueError for a limit of 0."""
    _require(n, k)
    return max(0, smallest(k, generation, limit) - n)


@lru_cache(maxsize=4096)
def smallest(k: int, generation: int, limit: float) -> int:
    """The smallest number of cases that reaches the threshold for `limit` with `k` rejections among them.

    Each approval adds evidence, so doubling and halving find it. Raises ValueError for a limit of 0.
    """
    if limit <= 0:
        raise ValueError("no number of cases rules out a rate of 0")
    short, enough = k, max(2 * k, 16)
    while not reached(enough, k, generation, limit):
        short, enough = enough, 2 * enough
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (short, middle) if reached(middle, k, generation, limit) else (middle, enough)
    return enough


def _require(n: int, k: int) -> None:
    if not 0 <= k <= n:
        raise ValueError(f"{k} rejections among {n} cases cannot be")


@lru_cache(maxsize=4096)
def _nats(n: int, k: int, generation: int) -> float:
    """The value -ln(1 - U_n), by Newton's method. In it ln E is convex and nearly linear, so few steps do.

    The first steps leave out I_p(A + k, B + n - k). It costs most, and it is almost 1 near the solution.
    """
    target = threshold(generation)
    ln_beta = _ln_beta(A + k, B + n - k)
    # The start is above the observed rate, where ln E rises for any number of cases.
    nats = math.log1p((k + 1 + 2 * math.sqrt(k + 1)) / (n - k))
    for whole, near in ((False, 1e-3), (True, 1e-6)):
        for _ in range(_STEPS):
            value, slope = _evidence(n, k, nats, ln_beta, whole=whole)
            step = (value - target) / slope
            nats -= step
            if abs(step) <= near * nats:  # the remaining error is about the square of the step
                break
        else:
            raise ArithmeticError(
                f"no score found for {k} rejections among {n} cases in generation {generation}"
            )
    return nats


def _evidence(n: int, k: int, nats: float, ln_beta: float, *, whole: bool = True) -> tuple[float, float]:
    """The evidence at p = 1 - exp(-nats) and its slope; I_p(A + k, B + n - k) counts as 1 if not `whole`."""
    p, q = -math.expm1(-nats), math.exp(-nats)
    ln_p = math.log(p)
    polynomial = 0.0
    for coefficient in _BELOW:
        polynomial = polynomial * q + coefficient
    value = ln_beta - _LN_BETA_AB - A * ln_p - math.log(polynomial) - k * ln_p + (n - k) * nats
    slope = (n - k) - k * q / p - math.exp(-B * nats - _LN_BETA_AB) / (p * polynomial)
    if whole:
        ln_below = ln_incomplete_beta(A + k, B + n - k, nats, ln_beta)
        value += ln_below
        slope += math.exp((A + k - 1) * ln_p - (B + n - k) * nats - ln_beta - ln_below)
    return value, slope


def ln_incomplete_beta(a: float, b: float, nats: float, ln_beta: float | None = None) -> float:
    """The logarithm of I_p(a, b), the regularised incomplete beta, at p = 1 - exp(-nats).

    Above the mean its continued fraction is slow, so 1 - I_(1-p)(b, a) is used there.
    """
    ln_beta = _ln_beta(a, b) if ln_beta is None else ln_beta
    p, q = -math.expm1(-nats), math.exp(-nats)
    ln_front = a * math.log(p) - b * nats - ln_beta
    if p < (a + 1) / (a + b + 2):
        return ln_front + math.log(_fraction(a, b, p) / a)
    return math.log1p(-math.exp(ln_front) * _fraction(b, a, q) / b)


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of dlmf.nist.gov/8.17.22, from the front (Lentz), two terms a turn."""
    d = 1 / (1 - (a + b) * x / (a + 1))
    c, value, even = 1.0, d, a
    for m in range(1, _TURNS):
        even += 2
        term = m * (b - m) * x / ((even - 1) * even)
        d = 1 / (1 + term * d)
        c = 1 + term / c
        value *= d * c
        term = -(a + m) * (a + b + m) * x / (even * (even + 1))
        d = 1 / (1 + term * d)
        c = 1 + term / c
        change = d * c
        value *= change
        if -_ENOUGH < change - 1 < _ENOUGH:
            return value
    raise ArithmeticError(f"the incomplete beta of {a}, {b} at {x} did not settle")


def _ln_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


# --- The requirements of each risk class ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standard:
    """The requirements of one risk class.

    `limit` is the rejection rate to rule out. `spot_check_floor` is the smallest share of spot checks. With
    `opt_in`, only operations that the rules name may run.
    """

    limit: float
    spot_check_floor: float
    opt_in: bool = False

    @property
    def target(self) -> float:
        """The score that graduates: 95.0 for a limit of 0.05."""
        return round(100 * (1 - self.limit), 9)

    def with_target(self, target: float) -> "Standard":
        """The same requirements with another score to reach, 0 to 100."""
        return replace(self, limit=(100 - target) / 100)


# R0 (reads, notes) never asks, and R4 (irreversible, all that a customer has) always asks. The history of a
# case changes neither, so neither class has a standard.
STANDARDS: Mapping[Risk, Standard] = MappingProxyType(
    {
        Risk.R1: Standard(limit=0.10, spot_check_floor=0.10),
        Risk.R2: Standard(limit=0.05, spot_check_floor=0.10),
        Risk.R3: Standard(limit=0.02, spot_check_floor=0.25, opt_in=True),
    }
)


def lacks(case_kind: CaseKind, trust: Trust, now: datetime) -> list[Lack]:
    """Every requirement of graduation that a kind of case does not meet yet; empty when all are met."""
    always, opted = always_human(case_kind, trust), opted_in(case_kind, trust)
    return missing(case_kind, standard_of(case_kind, trust), now, always=always, opted=opted)


def missing(
    kind: CaseKind, standard: Standard | None, now: datetime, *, always: str | None, opted: bool
) -> list[Lack]:
    """The same by the standard of its risk class, None for a class without one.

    `always` is the reason why the kind never runs on its own.
    """
    if always is not None:
        return [Lack.of(LackCode.ALWAYS_ASKS, because=always)]
    if standard is None:
        return [Lack(LackCode.NO_THRESHOLD)]
    days = 0 if kind.first_at is None else (now - kind.first_at) // timedelta(days=1)
    recent = MIN_APPROVALS_SINCE_REJECTION - kind.approvals_since_rejection
    checks = (
        _score(kind.counts, standard),
        _few(kind.customers, MIN_CUSTOMERS, LackCode.CUSTOMERS),
        _few(days, MIN_DAYS, LackCode.DAYS),
        Lack.of(LackCode.RECENT_REJECTION, among=MIN_APPROVALS_SINCE_REJECTION, more=recent)
        if kind.rejections and recent > 0
        else None,
        None if opted or not standard.opt_in else Lack(LackCode.NOT_OPTED_IN),
    )
    return [lacking for lacking in checks if lacking is not None]


def _score(counts: CaseCounts, standard: Standard) -> Lack | None:
    if standard.limit <= 0:
        return Lack(LackCode.UNREACHABLE_SCORE)
    more = clean_needed(*counts, standard.limit)
    return Lack.of(LackCode.SCORE, score=score(*counts), target=standard.target, more=more) if more else None


def _few(have: int, need: int, code: LackCode) -> Lack | None:
    return Lack.of(code, have=max(have, 0), need=need) if have < need else None


def standard_of(case_kind: NewCaseKind | CaseKind, trust: Trust) -> Standard | None:
    """The standard of a kind: that of its class, raised or (for named operations) lowered by the operator."""
    found = STANDARDS.get(Risk(case_kind.risk))
    if found is None:
        return None
    own = getattr(trust, case_kind.risk)
    targets = [trust.accept[one].score if one in trust.accept else own for one in operations_of(case_kind)]
    return found.with_target(max(targets, default=own))


def always_human(case_kind: NewCaseKind | CaseKind, trust: Trust) -> str | None:
    """The reason why cases of a kind never run on their own: an AlwaysAsk, or the words of the rules.

    None for a kind whose cases may run on their own one day.
    """
    named = operations_of(case_kind)
    if "" in named or not named:
        return AlwaysAsk.UNKNOWN_CALLS
    reason = always_asks(case_kind.fields["trigger"][0], [case_kind.risk])
    if reason is not None:
        return reason
    if case_kind.fields["customer"]["dispute"]:
        return AlwaysAsk.DISPUTED
    if any(one in trust.never for one in named):
        return AlwaysAsk.FORBIDDEN
    if Risk(case_kind.risk) not in STANDARDS:
        return AlwaysAsk.IRREVERSIBLE if case_kind.risk == Risk.R4 else AlwaysAsk.NO_THRESHOLD
    return None


def always_human_now(case_kind: NewCaseKind | CaseKind, trust: Trust) -> str | None:
    """The result of `always_human`, and a reason for operations of an `opt_in` class without the opt-in."""
    reason = always_human(case_kind, trust)
    if reason is None and case_kind.risk == Risk.R3 and not opted_in(case_kind, trust):
        return AlwaysAsk.NOT_OPTED_IN
    return reason


def opted_in(case_kind: NewCaseKind | CaseKind, trust: Trust) -> bool:
    """Tell whether the operator named every operation of a kind of case in an `opt_in` class."""
    return all(one in trust.opt_in for one in operations_of(case_kind))


def operations_of(case_kind: NewCaseKind | CaseKind) -> tuple[str, ...]:
    """The operations that the cases of a kind call; "" for one that this version no longer knows."""
    return tuple(_by_route().get((method, path), "") for method, path, _ in case_kind.fields["action"])


@cache
def _by_route() -> Mapping[tuple[str, str], str]:
    return {(one.method, one.path): one.id for one in operations().values()}


# --- The history of the score, for a chart -----------------------------------------------------------------

MOST_POINTS = 400  # more than a chart of 800 pixels can show
Point = tuple[datetime, float]


class Mark(StrEnum):
    """An event that the chart marks."""

    GRADUATED = "graduated"
    DEMOTED = "demoted"
    PAUSED = "paused"
    TURNED_OFF = "turned_off"
    SPOT_CHECK = "spot_check"


def points(history: History) -> list[Point]:
    """The score after each counted case. Of many points some are left out. A generation ends at 0."""
    tallies = {generation: list(counted) for generation, counted in history.before.items()}
    ends = [(change.at, change.generation) for change in history.changes if change.demoted]
    kept: list[tuple[datetime, int, int, int]] = []
    every = max(len(history.points) // MOST_POINTS, 1)
    for number, (at, generation, rejected) in enumerate(history.points):
        if any(ended_at <= at and generation < begun for ended_at, begun in ends):
            continue  # it counted only after the end of its generation
        tally = tallies.setdefault(generation, [0, 0])
        tally[0] += 1
        tally[1] += rejected
        if rejected or number % every == 0 or number == len(history.points) - 1:
            kept.append((at, tally[0], tally[1], generation))
    found = [(at, score(n, k, generation)) for at, n, k, generation in kept]
    return sorted([*found, *((at, 0.0) for at, _ in ends)], key=lambda point: point[0])


def events(history: History) -> list[tuple[datetime, Mark]]:
    """The marked events, oldest first."""
    changed = [(change.at, _marked(change)) for change in history.changes]
    return sorted([*changed, *((at, Mark.SPOT_CHECK) for at in history.spot_checks)])


def _marked(change: Change) -> Mark:
    if change.to == CaseKindState.GRADUATED:
        return Mark.GRADUATED
    if change.demoted:
        return Mark.DEMOTED
    return Mark.PAUSED if change.to == CaseKindState.PAUSED else Mark.TURNED_OFF
