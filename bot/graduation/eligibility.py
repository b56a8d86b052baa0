"""Where a kept shape stands against the operator's bars: its standard, why it always asks, what it lacks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache

from bot.config.policy import Trust
from bot.graduation import score
from bot.graduation.thresholds import STANDARDS, Standard, Standing, why_not
from bot.rules.always_ask import always_asks
from polar.catalog import Risk, operations
from store.models.graduation import NewShape, Shape

_IRREVERSIBLE = "irreversible"


def operations_of(shape: NewShape | Shape) -> tuple[str, ...]:
    """The operations a shape's cases call; "" for one that this version no longer knows."""
    return tuple(_by_route().get((method, path), "") for method, path, _ in shape.fields["action"])


@cache
def _by_route() -> Mapping[tuple[str, str], str]:
    return {(one.method, one.path): one.id for one in operations().values()}


def standard_of(shape: NewShape | Shape, trust: Trust) -> Standard | None:
    """The bar of a shape: its class's, raised or (for named operations) lowered by the operator."""
    found = STANDARDS.get(Risk(shape.risk))
    if found is None:
        return None
    own = getattr(trust, shape.risk)
    targets = [trust.accept[one].score if one in trust.accept else own for one in operations_of(shape)]
    return found.with_target(max(targets, default=own))


def always_human(shape: NewShape | Shape, trust: Trust) -> str | None:
    """Why cases of a shape never run on their own, whatever their history; None when they may one day."""
    named = operations_of(shape)
    if "" in named or not named:
        return "this version does not know its calls"
    reason = always_asks(shape.fields["trigger"][0], [shape.risk])
    if reason is not None:
        return reason
    if shape.fields["customer"]["dispute"]:
        return "the customer's money is under dispute"
    if any(one in trust.never for one in named):
        return "the rules file says so"
    if Risk(shape.risk) not in STANDARDS:
        return _IRREVERSIBLE if shape.risk == Risk.R4 else "its risk class has no bar"
    return None


def opted_in(shape: NewShape | Shape, trust: Trust) -> bool:
    """Whether the operator named every operation of a shape whose class runs by invitation only."""
    return all(one in trust.opt_in for one in operations_of(shape))


def standing(shape: Shape, trust: Trust, now: datetime) -> Standing:
    """Where it stands in its epoch."""
    days = 0.0 if shape.first_at is None else (now - shape.first_at) / timedelta(days=1)
    return Standing(
        score.Tally(shape.n, shape.k, shape.epoch),
        shape.customers,
        days,
        shape.clean_tail,
        always_human(shape, trust),
        opted_in(shape, trust),
    )


def lacks(shape: Shape, trust: Trust, now: datetime) -> list[str]:
    """Every requirement of graduation that a shape does not meet yet, in plain words."""
    return why_not(standing(shape, trust, now), standard_of(shape, trust))
