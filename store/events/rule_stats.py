"""Queries on what the rules have done: how often each fired, and when last."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Connection, func, select

from store.models import RuleActivity, RuleMatchState
from store.schema import rule_matches


def rule_activity(connection: Connection) -> dict[str, RuleActivity]:
    """What each rule that ever fired has done, by its name; read from an index alone."""
    found = connection.execute(
        select(
            rule_matches.c.rule, rule_matches.c.state, func.count(), func.max(rule_matches.c.matched_at)
        ).group_by(rule_matches.c.rule, rule_matches.c.state)
    )
    counts: dict[str, dict[RuleMatchState, int]] = defaultdict(dict)
    last: dict[str, list[datetime]] = defaultdict(list)
    for rule, state, count, matched_at in found:
        counts[rule][RuleMatchState(state)] = count
        last[rule] += [] if matched_at is None else [matched_at]
    return {rule: RuleActivity(dict(of), max(last[rule], default=None)) for rule, of in counts.items()}
