"""The answer to `/polar rules`: every rule, its results, and the reasons why some events have none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.rules import Origin, RuleSet, unhandled_reasons
from bot.sanitize import clean
from bot.ui.elements import Element, Message, escape, glue, line, rich, when, words
from bot.ui.lists import Pages, turn
from polar.catalog import event_types
from store.models import RuleActivity, RuleMatchState

# Slack accepts fifty blocks. This leaves room for the heading, the buttons, and blocks that Slack may count.
PAGE = 45


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule: its events, its state, and the results of its matches."""

    name: str
    events: tuple[str, ...]
    state: Origin
    activity: RuleActivity


def rules_message(rules: Sequence[RuleLine], reasons: Sequence[tuple[str, str]], page: int = 1) -> Message:
    """One page of the rules, and after them the event types without a rule: (type, reason)."""
    entries = [*(_rule(one) for one in rules), *(_reason(type_, why) for type_, why in reasons)]
    pages = max(-(-len(entries) // PAGE), 1)
    page = min(max(page, 1), pages)
    of = f", page {page} of {pages}" if pages > 1 else ""
    on = sum(rule.state is not Origin.OFF for rule in rules)
    text = f"{on} of {len(rules)} rules are on; {len(reasons)} kinds of event have none{of}"
    first = (page - 1) * PAGE
    blocks = [rich("rules.head", line(words(text, bold=True)))]
    for number, entry in enumerate(entries[first : first + PAGE], first):
        blocks.append(rich(f"rules.{number}", line(*entry)))
    turned = turn(Pages("rules", number=page, more=page < pages))
    return Message(escape(clean(text, 300)), (*blocks, *turned))


def _rule(one: RuleLine) -> list[Element]:
    about = " – ".join(filter(None, [one.state, ", ".join(one.events)]))
    heading = [words(one.name, 80, bold=True), glue(" – "), words(about, 400)]
    fired, counts, at = one.activity.matched, one.activity.counts, one.activity.last_matched_at
    if not fired:
        return [*heading, glue("\nHas not fired yet.")]
    came = [f"{counts[result]} {said}" for result, said in _RESULTS.items() if counts.get(result)]
    last = [glue("; last "), when(at)] if at else []
    times = "once" if fired == 1 else f"{fired} times"
    return [*heading, glue(f"\nFired {times}: {', '.join(came)}"), *last, glue(".")]


def _reason(type_: str, why: str) -> list[Element]:
    return [words(type_, 80, bold=True), glue(" – no rule\n"), words(why, 400)]


_NOTHING = RuleActivity({}, None)
_RESULTS: Mapping[RuleMatchState, str] = {
    RuleMatchState.PROPOSED: "with a card",
    RuleMatchState.WAITING: "waiting",
    RuleMatchState.SILENT: "with nothing left to do",
}
_SWITCHED_OFF = "Every rule for it is switched off."


def rule_lines(rules: RuleSet, activity: Mapping[str, RuleActivity]) -> list[RuleLine]:
    """All rules: first those in force, in their order, then those switched off."""
    on = [(rule.name, rule.on, rules.origins.get(rule.name, Origin.OWN)) for rule in rules.rules]
    off = [(name, (), Origin.OFF) for name, origin in sorted(rules.origins.items()) if origin is Origin.OFF]
    return [RuleLine(*one, activity.get(one[0], _NOTHING)) for one in [*on, *off]]


def reasons(rules: RuleSet) -> list[tuple[str, str]]:
    """The reason for each event type that no rule in force listens to."""
    known = unhandled_reasons()
    return [(type_, known.get(type_, _SWITCHED_OFF)) for type_ in sorted(event_types() - rules.event_types())]
