"""The modal as Slack draws it: questions as Block Kit inputs. Pure."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from bot.forms import names
from bot.forms.drafts import ADDED, PICKED, Adder, FormDraft, More
from bot.forms.fields import Form, Kind, Leaf, Pick, all_leaves
from bot.forms.names import family, title
from bot.forms.values import currencies, entry
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
LONGEST_TEXT = 3_000  # characters of what an input holds
_FEW = 100


# --- The views ----------------------------------------------------------------------------------------------


def operation_options(found: Sequence[Operation]) -> list[Element]:
    """Operations as the groups of a select, by family."""
    return [
        {"label": plain(name, 75), "options": [option(title(one), one.id, one.id) for one in group]}
        for name, group in groupby(sorted(found, key=family), family)
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


def chosen_operation(values: Mapping[str, Any]) -> str:
    """The operation chosen on the first page; empty when none is."""
    state = next(iter((values.get(OPERATION) or {}).values()), None)
    held = entry(state)
    return str(held["value"]) if isinstance(held, Mapping) else ""


def page_view(draft: FormDraft, said: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The page at which a form is. `said` is what is wrong, by question."""
    form, found = draft.page_items()
    number, is_end = draft.page, draft.page + 1 >= len(found)
    edits = "" if draft.edits is None else draft.edits.title
    units, watched = currencies(form, draft.answers, draft.known_currency), watched_in(form)
    page = f" – page {number + 1}" if number else ""
    blocks = [section("head", (edits or title(form.operation)) + page)]
    if said:
        blocks.append(section("wrong", " ".join(dict.fromkeys(said.values()))))
    for item in found[number]:
        if isinstance(item, Leaf):
            answer, watch = draft.answers.get(item.path), item.path in watched
            blocks.append(leaf_block(item, answer, units.get(item.path), watch=watch))
        else:
            blocks.append(_choice_block(item))
    if number:
        blocks.append(actions("back", [button(BACK, "Back", "back")]))
    if seen := form.operation.customer_sees:
        blocks.append(context("sees", f"The customer: {seen}."))
    if edits:
        return _form("Edit", blocks, draft.id, "Save" if is_end else "Next")
    is_end = is_end and not any(isinstance(item, More) for item in found[number])
    return _form("Propose", blocks, draft.id, "Propose" if is_end else "Next")


def watched_in(form: Form) -> frozenset[str]:
    """The questions whose answer changes how another one is asked: the currency, the object to look in."""
    own = names.OBJECT_CURRENCY.get(form.operation.id)
    found = {own[1]} if own else set()
    for leaf in all_leaves(form):
        if leaf.currency[:1] not in ("", "=", "@"):
            found.add(leaf.currency)
        found.update(names.LIMITS.get(leaf.source, {}).values())
    return frozenset(found)


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
    hint = (
        "The next page asks for these values. One that you leave empty is cleared, where Polar allows that."
    )
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
    if redaction.is_secret(leaf.name):
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
        bounds = (("minimum", 0), ("exclusiveMinimum", 1))
        least = [facts[name] + more for name, more in bounds if name in facts]
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


def _select(leaf: Leaf, answer: Mapping[str, Any]) -> Element:
    offered, several = choices(leaf), leaf.kind == Kind.CHOICES
    element: Element = {"type": "multi_static_select" if several else "static_select"}
    if several or len(offered) <= _FEW:
        element["options"] = offered
    else:  # countries and currencies: more than one list may have, but groups may
        groups = groupby(offered, lambda one: one["value"][:1].upper())
        element["option_groups"] = [{"label": plain(name, 75), "options": list(of)} for name, of in groups]
    state = answer.get("selected_options") if several else [answer.get("selected_option")]
    held = {one["value"] for one in state or () if one}
    found = [one for one in offered if one["value"] in held]
    if not found:
        return element
    return element | ({"initial_options": found} if several else {"initial_option": found[0]})


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
    **dict.fromkeys((Kind.CHOICE, Kind.CHOICES, Kind.YES_NO), _select),
    Kind.TICK: _tick,
    Kind.MOMENT: _with_state("datetimepicker", "selected_date_time"),
    Kind.DAY: _with_state("datepicker", "selected_date"),
    Kind.ONE: _with_state("external_select", "selected_option", **_FOUND),
    Kind.MANY: _with_state("multi_external_select", "selected_options", **_FOUND),
}
