"""The answer to `/polar rules`: every rule, its results, and the reasons why some events have none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.rules import Origin, RuleSet, unhandled_reasons
from bot.sanitize import clean
from bot.ui.elements import Block, Element, Message, actions, button, escape, glue, line, rich, when, words
from polar.catalog import event_types
from store.models import RuleActivity, RuleMatchState

RULES_BACK, RULES_ON = "rules.back", "rules.on"  # action ids; the value is the command of that page
# Slack accepts fifty blocks. This leaves room for the heading, the buttons, and blocks that Slack may count.
PAGE = 45


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule in words: its state, the number of its events, and their results."""

    name: str
    events: tuple[str, ...]
    state: str
    fired: int = 0
    carded: int = 0
    waiting: int = 0
    silent: int = 0
    last_matched_at: datetime | None = None


def rules_message(rules: Sequence[RuleLine], reasons: Sequence[tuple[str, str]], page: int = 1) -> Message:
    """One page of the rules, and after them the event types without a rule: (type, reason)."""
    entries = [*(_rule(one) for one in rules), *(_reason(type_, why) for type_, why in reasons)]
    pages = max(-(-len(entries) // PAGE), 1)
    page = min(max(page, 1), pages)
    of = f", page {page} of {pages}" if pages > 1 else ""
    on = sum(rule.state != "off" for rule in rules)
    text = f"{on} of {len(rules)} rules are on; {len(reasons)} kinds of event have none{of}"
    first = (page - 1) * PAGE
    blocks = [rich("rules.head", line(words(text, bold=True)))]
    for number, entry in enumerate(entries[first : first + PAGE], first):
        blocks.append(rich(f"rules.{number}", line(*entry)))
    if pages > 1:
        blocks.append(_turn(page, pages))
    return Message(escape(clean(text, 300)), tuple(blocks))


def _rule(one: RuleLine) -> list[Element]:
    about = " – ".join(filter(None, [one.state, ", ".join(one.events)]))
    heading = [words(one.name, 80, bold=True), glue(" – "), words(about, 400)]
    if not one.fired:
        return [*heading, glue("\nHas not fired yet.")]
    came = [
        f"{count} {words_}"
        for count, words_ in (
            (one.carded, "with a card"),
            (one.waiting, "waiting"),
            (one.silent, "with nothing left to do"),
        )
        if count
    ]
    last = [glue("; last "), when(one.last_matched_at)] if one.last_matched_at else []
    times = "once" if one.fired == 1 else f"{one.fired} times"
    return [*heading, glue(f"\nFired {times}: {', '.join(came)}"), *last, glue(".")]


def _reason(type_: str, why: str) -> list[Element]:
    return [words(type_, 80, bold=True), glue(" – no rule\n"), words(why, 400)]


def _turn(page: int, pages: int) -> Block:
    ways = [(RULES_BACK, "Back", page - 1), (RULES_ON, "Next", page + 1)]
    elements = [button(action_id, label, f"rules {to}") for action_id, label, to in ways if 1 <= to <= pages]
    return actions(f"rules.turn.{page}", elements)


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
