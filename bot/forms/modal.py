"""The modal as Slack draws it: questions as Block Kit inputs. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bot.forms import names
from bot.forms.fields import MOST_ENTRIES, Form, Kind, Leaf, Node, Pick, Series, walk
from bot.forms.search import by_family, title
from bot.forms.values import Answers
from bot.ui.elements import (
    Block,
    Element,
    actions,
    button,
    context,
    input_block,
    modal,
    option,
    plain,
    section,
)
from polar import redaction
from polar.catalog import Operation, Schema
from polar.text.words import clean

CALLBACK = "propose"
OPERATION, PICK, FIND, VALUE, MORE, ADD, BACK = (
    f"propose.{name}" for name in ("operation", "pick", "find", "value", "more", "add", "back")
)
PICKED, ADDED = "pick:", "more"  # how the ids of blocks begin that hold no value
LONGEST_TEXT = 3_000  # characters of what an input holds
_FEW = 100


# --- The questions on each page: the required ones, then those chosen under "More" --------------------------

# Slack takes 100 blocks (https://docs.slack.dev/reference/views); on a phone this many is already a lot.
MOST_ON_A_PAGE = 15


@dataclass(frozen=True, slots=True)
class Adder:
    """A button for one more entry of a list; `count` entries are there."""

    path: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class More:
    """The select of the optional questions."""

    options: Mapping[str, str]  # labels by path
    chosen: frozenset[str]
    needed: bool  # whether at least one has to be chosen


Item = Leaf | Pick | Adder | More


def pages(form: Form) -> list[list[Item]]:
    """The pages in order; there is always a first."""
    first: list[Item] = [*form.places]
    first += [form.way] if form.way else []
    added: list[Item] = [leaf for leaf in form.asked if leaf.path in form.added]
    for member in form.body.members.values() if form.body else ():
        (added if member.path in form.added else first).extend(_items(member))
    found = _cut(first)
    if form.more:
        found[-1].append(More(form.more, form.added, _needs_one(form)))
    return found + (_cut(added) if added else [])


def together(found: list[list[Item]]) -> list[list[Item]]:
    """The pages as one, "More" last, when that is not too long: for changing what is there already."""
    items = [item for page in found for item in page]
    if len(items) > MOST_ON_A_PAGE:
        return found
    return [sorted(items, key=lambda item: isinstance(item, More))]


def _needs_one(form: Form) -> bool:
    """An update that changes nothing is no proposal."""
    if form.operation.method != "PATCH" or form.body is None or form.body.fixed.keys() - {"type"}:
        return False
    return all(member.path in form.added for member in form.body.members.values())


def _cut(items: list[Item]) -> list[list[Item]]:
    return [items[at : at + MOST_ON_A_PAGE] for at in range(0, len(items), MOST_ON_A_PAGE)] or [[]]


def _items(node: Node) -> Iterator[Item]:
    for part in walk(node):
        if isinstance(part, Leaf):
            yield part
        elif isinstance(part, Series):
            if len(part.entries) < MOST_ENTRIES:
                yield Adder(part.path, part.label, len(part.entries))
        elif part.pick is not None:
            yield part.pick


# --- The views ----------------------------------------------------------------------------------------------


def operation_options(found: Sequence[Operation]) -> list[Element]:
    """Operations as the groups of a select, by family."""
    return [
        {"label": plain(name, 75), "options": [option(title(one), one.id, one.id) for one in group]}
        for name, group in by_family(found)
    ]


def opening(draft: str, found: Sequence[Operation] | None, words: str) -> dict[str, Any]:
    """The first view: which operation? `found` are those that `words` of the command mean."""
    element: Element = {"action_id": OPERATION, "placeholder": plain("Search: refund, cancel, seat…", 150)}
    if found:
        element |= {"type": "static_select", "option_groups": operation_options(found)}
    else:
        element |= {"type": "external_select", "min_query_length": 0}
    blocks: list[Block] = []
    if words and not found:
        blocks.append(section("none", f"Nothing that can be proposed has the words “{words[:80]}”."))
    label = f"What should be done ({clean(words, 80)})?" if found else "What should be done?"
    blocks.append(input_block(OPERATION, label, element, dispatch=True))
    blocks.append(section("about", "It becomes a card in the channel; nothing is done until it is approved."))
    return _form("Propose", blocks, draft, "Next")


def page_view(
    operation: Operation,
    items: Sequence[Item],
    draft: str,
    *,
    answers: Answers,
    number: int,
    count: int,
    said: Mapping[str, str],
    currencies: Mapping[str, str],
    watched: frozenset[str],
    edits: str = "",
) -> dict[str, Any]:
    """One page of the form. `said` is what is wrong, by question; `currencies` of amounts, by question;
    `watched` are questions whose answer changes the page; `edits` is the question of what is edited.
    """
    blocks = [section("head", (edits or title(operation)) + (f" – page {number + 1}" if number else ""))]
    if said:
        blocks.append(section("wrong", " ".join(dict.fromkeys(said.values()))))
    for item in items:
        if isinstance(item, Leaf):
            watch = item.path in watched
            blocks.append(leaf_block(item, answers.get(item.path), currencies.get(item.path), watch=watch))
        else:
            blocks.append(_choice_block(item))
    if number:
        blocks.append(actions("back", [button(BACK, "Back", "back")]))
    seen = operation.customer_sees
    if seen:
        blocks.append(context("sees", f"The customer: {seen}."))
    if edits:
        return _form("Edit", blocks, draft, "Save" if number + 1 >= count else "Next")
    last = number + 1 >= count and not any(isinstance(item, More) for item in items)
    return _form("Propose", blocks, draft, "Propose" if last else "Next")


def _form(title_: str, blocks: Sequence[Block], draft: str, submit: str) -> dict[str, Any]:
    """A view of ours; it carries the draft's id and nothing else."""
    return modal(title_, blocks, callback_id=CALLBACK, metadata=draft, submit=submit)


def _choice_block(item: Pick | Adder | More) -> Block:
    if isinstance(item, Adder):
        text = f"Add {'another' if item.count else 'one'}: {item.label[:1].lower()}{item.label[1:]}"
        return actions(f"add:{item.path}", [button(ADD, text, item.path)])
    if isinstance(item, Pick):
        ways = [option(name, str(number)) for number, name in enumerate(item.options)]
        element: Element = {"type": "static_select", "action_id": PICK, "options": ways}
        if item.current is not None:
            element["initial_option"] = ways[item.current]
        return input_block(f"{PICKED}{item.path}", f"{item.label}", element, dispatch=True)
    further = [option(label, path) for path, label in item.options.items()]
    element = {"type": "multi_static_select", "action_id": MORE, "options": further}
    if chosen := [one for one in further if one["value"] in item.chosen]:
        element["initial_options"] = chosen
    label = "What should change?" if item.needed else "More"
    hint = "Asked next. Left empty there, what can be cleared is cleared."
    return input_block(ADDED, label, element, optional=not item.needed, hint=hint)


# --- Questions ------------------------------------------------------------------------------------------


def leaf_block(
    leaf: Leaf, answer: Mapping[str, Any] | None, currency: str | None = None, *, watch: bool = False
) -> Block:
    """The input for one question, with what has been answered already."""
    element = _ELEMENTS[leaf.kind](leaf, answer or {})
    element.setdefault("action_id", VALUE)
    hint = HINTS.get(leaf.kind, "") or _hint(leaf)
    label = leaf.label
    if leaf.kind in (Kind.MONEY, Kind.UNIT_PRICE):
        label += f" in {currency.upper()}" if currency else ""
        hint = f"In {currency.upper()}." if currency else "In the currency it is counted in, such as 29.00."
    return input_block(leaf.path, label, element, dispatch=watch, optional=not leaf.must, hint=hint)


def _hint(leaf: Leaf) -> str:
    if leaf.kind in (Kind.ONE, Kind.MANY):
        return "Search by name, e-mail or number, or paste an id."
    if leaf.shape.nullable and leaf.required:
        return "Left empty it is cleared."
    if leaf.name in redaction.SECRET:
        return "Kept off the card."
    if leaf.path in redaction.HOST_ONLY:
        return "Only its host is shown on the card."
    return "Its id, pasted." if leaf.shape.format in ("uuid4", "uuid") else ""


HINTS: Mapping[Kind, str] = {
    Kind.LINES: "One a line.",
    Kind.PAIRS: "One a line, such as: plan = gold. It replaces what is there.",
    Kind.AMOUNTS: "One a line, such as: eur = 5.00",
    Kind.JSON: "As JSON.",
    Kind.PERCENT: "Such as 12.5",
    Kind.MOMENT: "In your own time zone.",
}


_LONG = (Kind.LINES, Kind.PAIRS, Kind.AMOUNTS, Kind.JSON)  # several lines


def _typed(leaf: Leaf, answer: Mapping[str, Any]) -> Element:
    many = leaf.kind in _LONG
    most = LONGEST_TEXT if many else min(leaf.shape.facts.get("maxLength", LONGEST_TEXT), LONGEST_TEXT)
    element: Element = {"type": "plain_text_input", "max_length": most}
    if many or leaf.name in names.LONG:
        element["multiline"] = True
    if leaf.must and not many and (least := leaf.shape.facts.get("minLength")):
        element["min_length"] = least
    return element | ({"initial_value": answer["value"]} if answer.get("value") else {})


def _numbered(leaf: Leaf, answer: Mapping[str, Any]) -> Element:
    whole = leaf.kind == Kind.WHOLE
    element: Element = {"type": "number_input", "is_decimal_allowed": not whole}
    facts = leaf.shape.facts
    if whole:
        least = [facts["minimum"]] if "minimum" in facts else []
        least += [facts["exclusiveMinimum"] + 1] if "exclusiveMinimum" in facts else []
        element |= {"min_value": str(max(least))} if least else {}
        element |= {"max_value": str(facts["maximum"])} if "maximum" in facts else {}
    elif leaf.kind != Kind.DECIMAL:
        element["min_value"] = "0"
    return element | ({"initial_value": str(answer["value"])} if answer.get("value") else {})


def choices(leaf: Leaf) -> list[Element]:
    """The options of a question with fixed values."""
    if leaf.kind == Kind.YES_NO:
        return [option("Yes", "yes"), option("No", "no")]
    shape = leaf.shape.items if leaf.kind == Kind.CHOICES else leaf.shape
    values = shape.enum or Schema.of({"$ref": "PresentmentCurrency"}).enum
    return [option(_shown(leaf, str(value)), str(value)) for value in values]


def _shown(leaf: Leaf, value: str) -> str:
    if leaf.name.endswith("currency"):
        return value.upper()
    return value.replace("_", " ").capitalize() if leaf.kind != Kind.CHOICES and value.islower() else value


def _chosen(leaf: Leaf, answer: Mapping[str, Any]) -> Element:
    offered = choices(leaf)
    element: Element = {"type": "static_select"}
    if len(offered) <= _FEW:
        element["options"] = offered
    else:  # countries and currencies: more than one list may have, but groups may
        groups = groupby(offered, lambda one: one["value"][:1].upper())
        element["option_groups"] = [{"label": plain(name, 75), "options": list(of)} for name, of in groups]
    held = (answer.get("selected_option") or {}).get("value")
    found = next((one for one in offered if one["value"] == held), None)
    return element | ({"initial_option": found} if found else {})


def _several(leaf: Leaf, answer: Mapping[str, Any]) -> Element:
    offered = choices(leaf)
    held = {one["value"] for one in answer.get("selected_options") or ()}
    found = [one for one in offered if one["value"] in held]
    element: Element = {"type": "multi_static_select", "options": offered}
    return element | ({"initial_options": found} if found else {})


def _tick(_: Leaf, answer: Mapping[str, Any]) -> Element:
    yes = option("Yes", "yes")
    element: Element = {"type": "checkboxes", "options": [yes]}
    return element | ({"initial_options": [yes]} if answer.get("selected_options") else {})


def _with_state(type_: str, key: str, **fixed: Any) -> Callable[[Leaf, Mapping[str, Any]], Element]:
    """An element that starts with the answer as Slack sent it, under `key`."""

    def drawn(_: Leaf, answer: Mapping[str, Any]) -> Element:
        held = answer.get(key)
        return {"type": type_, **fixed} | ({key.replace("selected", "initial"): held} if held else {})

    return drawn


_FOUND = {"action_id": FIND, "min_query_length": 0}
_ELEMENTS: Mapping[Kind, Callable[[Leaf, Mapping[str, Any]], Element]] = {
    **dict.fromkeys((Kind.TEXT, *_LONG, Kind.SCALAR), _typed),
    **dict.fromkeys((Kind.WHOLE, Kind.DECIMAL, Kind.MONEY, Kind.UNIT_PRICE, Kind.PERCENT), _numbered),
    Kind.CHOICE: _chosen,
    Kind.CHOICES: _several,
    Kind.TICK: _tick,
    Kind.YES_NO: _chosen,
    Kind.MOMENT: _with_state("datetimepicker", "selected_date_time"),
    Kind.DAY: _with_state("datepicker", "selected_date"),
    Kind.ONE: _with_state("external_select", "selected_option", **_FOUND),
    Kind.MANY: _with_state("multi_external_select", "selected_options", **_FOUND),
}
