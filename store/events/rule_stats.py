"""Queries on what the rules have done: how often each fired, and when last."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection, func, select

from store.models import FiringState, RuleActivity
from store.schema import firings


def rule_activity(connection: Connection) -> dict[str, RuleActivity]:
    """What each rule that ever fired has done, by its name; read from an index alone."""
    found = connection.execute(
        select(firings.c.rule, firings.c.state, func.count(), func.max(firings.c.fired_at)).group_by(
            firings.c.rule, firings.c.state
        )
    )
    counts: dict[str, dict[FiringState, int]] = defaultdict(dict)
    last: dict[str, list[datetime]] = defaultdict(list)
    for rule, state, count, fired_at in found:
        counts[rule][FiringState(state)] = count
        last[rule] += [] if fired_at is None else [fired_at]
    return {rule: RuleActivity(dict(of), max(last[rule], default=None)) for rule, of in counts.items()}
