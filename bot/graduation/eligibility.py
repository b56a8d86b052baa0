"""The requirements of each risk class for automatic runs, and those a kind of case does not meet. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType

from bot.config.policy import Trust
from bot.graduation.score import clean_needed, score
from bot.rules.always_ask import always_asks
from polar.catalog import Risk, operations
from store.models.graduation import CaseCounts, CaseKind, NewCaseKind
from store.models.reasons import AlwaysAsk, Lack, LackCode

MIN_CUSTOMERS = 10
MIN_DAYS = 7
MIN_APPROVALS_SINCE_REJECTION = 10


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


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of one kind of case in its generation.

    It has the counted cases, the number of their customers, the days since the first case, and the approvals
    since the last rejection. `always` is the reason why the kind never runs on its own.
    """

    counts: CaseCounts
    customers: int
    days: float
    approvals_since_rejection: int
    always: str | None = None
    opted_in: bool = False


def missing(standing: Standing, standard: Standard | None) -> list[Lack]:
    """Every requirement of graduation that is not met yet; empty when all are met.

    `standard` is that of its risk class, None for a class without one.
    """
    if standing.always is not None:
        return [Lack.of(LackCode.ALWAYS_ASKS, because=standing.always)]
    if standard is None:
        return [Lack(LackCode.NO_THRESHOLD)]
    checks = (
        _score(standing.counts, standard),
        _few(standing.customers, MIN_CUSTOMERS, LackCode.CUSTOMERS),
        _few(int(standing.days), MIN_DAYS, LackCode.DAYS),
        _recent_rejection(standing),
        None if standing.opted_in or not standard.opt_in else Lack(LackCode.NOT_OPTED_IN),
    )
    return [lacking for lacking in checks if lacking is not None]


def _score(counts: CaseCounts, standard: Standard) -> Lack | None:
    if standard.limit <= 0:
        return Lack(LackCode.UNREACHABLE_SCORE)
    more = clean_needed(*counts, standard.limit)
    return Lack.of(LackCode.SCORE, score=score(*counts), target=standard.target, more=more) if more else None


def _few(have: int, need: int, code: LackCode) -> Lack | None:
    return Lack.of(code, have=max(have, 0), need=need) if have < need else None


def _recent_rejection(standing: Standing) -> Lack | None:
    more = MIN_APPROVALS_SINCE_REJECTION - standing.approvals_since_rejection
    if not standing.counts.rejections or more <= 0:
        return None
    return Lack.of(LackCode.RECENT_REJECTION, among=MIN_APPROVALS_SINCE_REJECTION, more=more)


# --- A stored kind of case against the operator's policy -------------------------------------------------


def lacks(case_kind: CaseKind, trust: Trust, now: datetime) -> list[Lack]:
    """Every requirement of graduation that a kind of case does not meet yet."""
    return missing(standing(case_kind, trust, now), standard_of(case_kind, trust))


def standing(case_kind: CaseKind, trust: Trust, now: datetime) -> Standing:
    """The standing of a kind of case in its generation."""
    first = case_kind.first_at
    return Standing(
        case_kind.counts,
        case_kind.customers,
        0.0 if first is None else (now - first) / timedelta(days=1),
        case_kind.approvals_since_rejection,
        always_human(case_kind, trust),
        opted_in(case_kind, trust),
    )


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
