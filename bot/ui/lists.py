"""Lists for `/polar`: proposals that wait, one's own, past ones, one by its id; and the rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.rules import Origin, RuleSet, unhandled_reasons
from bot.ui.elements import (
    Block,
    Element,
    Message,
    actions,
    bullet_list,
    button,
    context,
    escape,
    glue,
    joined,
    line,
    link_to,
    opens,
    person,
    rich,
    when,
    words,
)
from bot.ui.reasons import because
from bot.ui.states import open_problems, phrase, title
from polar.catalog import event_types
from polar.text.words import clean, format_money
from store.models import Proposal, ProposalState, RuleMatchState, Transition
from store.models.details import RuleActivity

BACK, NEXT = "back", "on"  # ends of the action ids `WORD.back`, `WORD.on`; the value is the command
_TITLE = 150
PAGE = 8  # proposals on one page, as in store.proposals.lists
_STEPS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Pages:
    """The position in a list. `word` and `rest` are the command that shows it, without the page."""

    word: str
    rest: str = ""
    number: int = 1
    more: bool = False


def queue_message(
    found: Sequence[Proposal],
    links: Mapping[str, str],
    *,
    pages: Pages,
    total: int,
    counts: Mapping[str, int],
    now: datetime,
) -> Message:
    """One page of waiting or filtered proposals; `counts` are all proposals by state, `links` by id."""
    of = f", page {pages.number}" if pages.number > 1 or pages.more else ""
    some, none = _QUEUES.get(pages.rest, _QUEUES[""])
    head = (some.format(total=total, waits="waits" if total == 1 else "wait") if total else none) + of
    small = [] if pages.rest else [said for _, said in open_problems(counts)]
    return _list_message(head, [("", found)], links=links, pages=pages, now=now, small=[*small, _FILTERS])


# The heading of each queue: with a number of proposals in it, and without any.
_QUEUES: Mapping[str, tuple[str, str]] = {
    "": ("{total:,} {waits} for a decision, most urgent first", "Nothing waits for a decision"),
    "urgent": ("{total:,} due within two days", "Nothing is due within two days"),
    "mine": ("{total:,} assigned to you", "Nothing that waits is assigned to you"),
    "snoozed": ("{total:,} snoozed", "Nothing is snoozed"),
    "unknown": (title(ProposalState.UNKNOWN) + "{total:,}", "Polar has answered everything"),
    "failed": (title(ProposalState.FAILED) + "{total:,}", "Nothing has failed"),
}
QUEUES = tuple(name for name in _QUEUES if name)
_FILTERS = f"/polar queue {', '.join(QUEUES)} shows these alone; /polar show ID shows one."


def mine_message(
    groups: Sequence[tuple[str, Sequence[Proposal]]], links: Mapping[str, str], *, pages: Pages, now: datetime
) -> Message:
    """The unfinished proposals of the person who asked: (heading, proposals) for each relation to them."""
    there = [group for group in groups if group[1]]
    head = "Your unfinished proposals" if there else "You have no unfinished proposals"
    return _list_message(head, there, links=links, pages=pages, now=now)


def history_message(
    about: str, found: Sequence[Proposal], links: Mapping[str, str], *, pages: Pages, now: datetime
) -> Message:
    """A page of the past. `about` names its subject ("jane@example.com", "rule x"), or is empty for all."""
    of = f" – {clean(about, 120)}" if about else ""
    head = f"History{of}" if found else f"Nothing in the history{of}"
    return _list_message(head, [("", found)], links=links, pages=pages, now=now, small=[_LOOK_UP])


def history_heading(by: str, value: str) -> str:
    """The subject of the past. `by` is as in the store's `history`; a person is given by name."""
    if by == "person":
        return f"what {value} decided"
    return {"rule": f"rule {value}", "customer_id": f"customer {value}"}.get(by, value)


_LOOK_UP = (
    "/polar history jane@example.com, a customer's id, rule NAME or @somebody narrows it; "
    "/polar show ID shows one."
)


def _list_message(
    head: str,
    groups: Sequence[tuple[str, Sequence[Proposal]]],
    *,
    links: Mapping[str, str],
    pages: Pages,
    now: datetime,
    small: Sequence[str] = (),
) -> Message:
    tag = pages.word
    blocks = [rich(f"{tag}.head", line(words(head, 300, bold=True)))]
    for number, (heading, found) in enumerate(groups):
        if heading:
            blocks.append(rich(f"{tag}.{number}.head", line(words(heading, 100))))
        if found:
            rows = bullet_list([line(*row(each, links.get(each.id), now)) for each in found])
            start = min((pages.number - 1) * PAGE, 10_000)
            blocks.append(rich(f"{tag}.{number}.list", rows | {"style": "ordered", "offset": start}))
    blocks += [context(f"{tag}.small", *small)] if small else []
    return Message(escape(clean(head, 300)), (*blocks, *turn(pages)))


def row(p: Proposal, link: str | None, now: datetime) -> list[Element]:
    """One proposal in a list: its question, and below it the state and a link."""
    money = [words(format_money(p.amount, p.currency), 40)] if p.amount and p.currency else []
    stands = _open_for(p, now) if p.state == ProposalState.PENDING else _how_it_ended(p)
    where = [link_to(link) if link else words(p.id, 40)]
    details = [part for part in (money, stands, where) if part]
    return [words(p.title, _TITLE, bold=True), glue("\n"), *joined(details, " · ")]


def _how_it_ended(p: Proposal) -> list[Element]:
    by = [glue(", decided by "), person(p.decided_by)] if p.decided_by else []
    at = [glue(", "), when(p.decided_at)] if p.decided_at else []
    explained = p.state in (ProposalState.FAILED, ProposalState.WITHDRAWN)
    return [words(phrase(p.state)), *by, *at, *(because(p.status_reason, 120) if explained else [])]


def _open_for(p: Proposal, now: datetime) -> list[Element]:
    due = p.deadline or p.expires_at
    over = "due" if p.deadline else "expires"
    parts = [[glue(f"{over} "), when(due)]] if due else [[glue("since "), when(p.created_at)]]
    if p.snoozed_until is not None and p.snoozed_until > now:
        parts.append([glue("snoozed until "), when(p.snoozed_until)])
    if p.held_by:
        parts.append([glue("held by "), person(p.held_by)])
    if p.assignee:
        parts.append([glue("for "), person(p.assignee)])
    return joined(parts, " · ")


def turn(pages: Pages) -> list[Block]:
    """The buttons Back and Next, if such a page exists. The value is the command of that page."""
    ways = [(BACK, "Back", pages.number - 1, pages.number > 1), (NEXT, "Next", pages.number + 1, pages.more)]
    elements = [
        button(f"{pages.word}.{way}", label, " ".join(filter(None, [pages.word, pages.rest, str(to)])))
        for way, label, to, there in ways
        if there
    ]
    return [actions(f"{pages.word}.turn.{pages.number}", elements)] if elements else []


def content(blocks: Sequence[Block], tag: str) -> list[Block]:
    """The text of a card without its buttons. The blocks get new ids for use in another message."""
    kept = [block for block in blocks if block["type"] not in ("actions", "input")]
    return [
        {key: value for key, value in block.items() if key != "accessory"} | {"block_id": f"{tag}.{number}"}
        for number, block in enumerate(kept)
    ]


def show_message(proposal: Proposal, card: Message, trail: Sequence[Transition], link: str | None) -> Message:
    """One proposal: the content of its card, every step with its actor, and a link to the card.

    A proposal on the card of a bundle has no card of its own, so its buttons are here.
    """
    steps = [
        line(words(phrase(one.to)), glue(" – "), person(one.actor), glue(", "), when(one.at),
             *because(one.reason, 200))
        for one in trail[-_STEPS_SHOWN:]
    ]  # fmt: skip
    stands: list[Element] = [words(f"{proposal.id}: {phrase(proposal.state)}.", bold=True)]
    stands += opens(link, "Open the card")
    controls: list[Block] = []
    if proposal.card_ts is None:
        stands += [glue("  It has no card of its own. Its buttons are below.")]
        controls = [block for block in card.blocks if block["type"] == "actions"]
    shown_trail = [rich("show.trail", bullet_list(steps))] if steps else []
    shown = content(card.blocks, "show.card")
    return Message(card.text, (rich("show.stands", line(*stands)), *shown, *controls, *shown_trail))


def not_found_message(typed: str, alike: Sequence[str]) -> Message:
    """The answer when no proposal, or several, begin with the typed text."""
    start = clean(typed, 60)
    if alike:
        said = (
            f"Several begin with {start}: {', '.join(alike[:5])}{' …' if len(alike) > 5 else ''}. Type more."
        )
    elif start:
        said = f"No proposal has an id that begins with {start}. /polar queue and /polar history show ids."
    else:
        said = "Which one? /polar show ID, where the id is the small print of its card, or the start of it."
    return Message(escape(said), (rich("show.none", line(words(said))),))


# Slack accepts fifty blocks. This leaves room for the heading, the buttons, and blocks that Slack may count.
RULES_PAGE = 45


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule: its events, its state, and the results of its matches."""

    name: str
    events: tuple[str, ...]
    state: Origin
    activity: RuleActivity


def rules_message(rules: Sequence[RuleLine], reasons: Sequence[tuple[str, str]], page: int = 1) -> Message:
    """One page of the rules, and after them the event types without a rule: (type, reason)."""
    entries = [_rule(one) for one in rules] + [
        [words(type_, 80, bold=True), glue(" – no rule\n"), words(why, 400)] for type_, why in reasons
    ]
    pages = max(-(-len(entries) // RULES_PAGE), 1)
    page = min(max(page, 1), pages)
    of = f", page {page} of {pages}" if pages > 1 else ""
    on = sum(rule.state is not Origin.OFF for rule in rules)
    text = f"{on} of {len(rules)} rules are on; {len(reasons)} kinds of event have none{of}"
    first = (page - 1) * RULES_PAGE
    blocks = [rich("rules.head", line(words(text, bold=True)))]
    for number, entry in enumerate(entries[first : first + RULES_PAGE], first):
        blocks.append(rich(f"rules.{number}", line(*entry)))
    turned = turn(Pages("rules", number=page, more=page < pages))
    return Message(escape(clean(text, 300)), (*blocks, *turned))


def _rule(one: RuleLine) -> list[Element]:
    about = " – ".join(filter(None, [one.state, ", ".join(one.events)]))
    heading = [words(one.name, 80, bold=True), glue(" – "), words(about, 400)]
    fired, counts, at = one.activity.matched, one.activity.counts, one.activity.last_matched_at
    if not fired:
        return [*heading, glue("\nHas matched no event yet.")]
    results = [f"{counts[result]} {said}" for result, said in _RESULTS.items() if counts.get(result)]
    last = [glue("; last "), when(at)] if at else []
    times = "once" if fired == 1 else f"{fired} times"
    return [*heading, glue(f"\nMatched {times}: {', '.join(results)}"), *last, glue(".")]


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


def events_without_rule(rules: RuleSet) -> list[tuple[str, str]]:
    """The reason for each event type that no rule in force listens to."""
    known = unhandled_reasons()
    return [(type_, known.get(type_, _SWITCHED_OFF)) for type_ in sorted(event_types() - rules.event_types())]
