"""Where a kept kind of case stands against the operator's bars: its standard, why it always asks, what it
lacks.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from bot.config.policy import Trust
from bot.graduation import score
from bot.graduation.thresholds import STANDARDS, Standard, Standing, why_not
from bot.rules.always_ask import always_asks
from polar.catalog import Risk, operations
from store.models.graduation import CaseKind, NewCaseKind

_IRREVERSIBLE = "irreversible"


def operations_of(case_kind: NewCaseKind | CaseKind) -> tuple[str, ...]:
    """The operations a kind of case's cases call; "" for one that this version no longer knows."""
    return tuple(_by_route().get((method, path), "") for method, path, _ in case_kind.fields["action"])


@cache
def _by_route() -> Mapping[tuple[str, str], str]:
    return {(one.method, one.path): one.id for one in operations().values()}


def standard_of(case_kind: NewCaseKind | CaseKind, trust: Trust) -> Standard | None:
    """The bar of a kind of case: its class's, raised or (for named operations) lowered by the operator."""
    found = STANDARDS.get(Risk(case_kind.risk))
    if found is None:
        return None
    own = getattr(trust, case_kind.risk)
    targets = [trust.accept[one].score if one in trust.accept else own for one in operations_of(case_kind)]
    return found.with_target(max(targets, default=own))


def always_human(case_kind: NewCaseKind | CaseKind, trust: Trust) -> str | None:
    """Why cases of a kind of case never run on their own, whatever their history; None when they may one
    day.
    """
    named = operations_of(case_kind)
    if "" in named or not named:
        return "this version does not know its calls"
    reason = always_asks(case_kind.fields["trigger"][0], [case_kind.risk])
    if reason is not None:
        return reason
    if case_kind.fields["customer"]["dispute"]:
        return "the customer's money is under dispute"
    if any(one in trust.never for one in named):
        return "the rules file says so"
    if Risk(case_kind.risk) not in STANDARDS:
        return _IRREVERSIBLE if case_kind.risk == Risk.R4 else "its risk class has no bar"
    return None


def opted_in(case_kind: NewCaseKind | CaseKind, trust: Trust) -> bool:
    """Whether the operator named every operation of a kind of case whose class runs by invitation only."""
    return all(one in trust.opt_in for one in operations_of(case_kind))


def standing(case_kind: CaseKind, trust: Trust, now: datetime) -> Standing:
    """Where it stands in its generation."""
    days = 0.0 if case_kind.first_at is None else (now - case_kind.first_at) / timedelta(days=1)
    return Standing(
        score.Tally(case_kind.n, case_kind.k, case_kind.generation),
        case_kind.customers,
        days,
        case_kind.approvals_since_rejection,
        always_human(case_kind, trust),
        opted_in(case_kind, trust),
    )


def lacks(case_kind: CaseKind, trust: Trust, now: datetime) -> list[str]:
    """Every requirement of graduation that a kind of case does not meet yet, in plain words."""
    return why_not(standing(case_kind, trust, now), standard_of(case_kind, trust))
