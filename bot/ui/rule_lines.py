"""The list of rules in Slack and on the command line, and the reasons why some events have none."""

from collections.abc import Mapping

from bot.rules import Origin, RuleSet, unhandled_reasons
from bot.ui.rules_page import RuleLine
from polar.catalog import event_types
from store.models import RuleActivity, RuleMatchState

_NOTHING = RuleActivity({}, None)
_SWITCHED_OFF = "Every rule for it is switched off."


def rule_lines(rules: RuleSet, activity: Mapping[str, RuleActivity]) -> list[RuleLine]:
    """All rules: first those in force, in their order, then those switched off."""
    on = [
        _line(rule.name, rule.on, rules.origins.get(rule.name, Origin.OWN), activity) for rule in rules.rules
    ]
    off = sorted(name for name, origin in rules.origins.items() if origin is Origin.OFF)
    return on + [_line(name, (), Origin.OFF, activity) for name in off]


def _line(
    name: str, events: tuple[str, ...], origin: Origin, activity: Mapping[str, RuleActivity]
) -> RuleLine:
    done = activity.get(name, _NOTHING)
    return RuleLine(
        name,
        events,
        origin.value,
        fired=done.matched,
        carded=done.counts.get(RuleMatchState.PROPOSED, 0),
        waiting=done.counts.get(RuleMatchState.WAITING, 0),
        silent=done.counts.get(RuleMatchState.SILENT, 0),
        last_matched_at=done.last_matched_at,
    )


def reasons(rules: RuleSet) -> list[tuple[str, str]]:
    """The reason for each event type that no rule in force listens to."""
    known = unhandled_reasons()
    return [(type_, known.get(type_, _SWITCHED_OFF)) for type_ in sorted(event_types() - rules.event_types())]
