"""The small modals behind a card's menu, and the reasons offered for a decline. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.ui.elements import (
    Block,
    ButtonValue,
    Element,
    glue,
    input_block,
    line,
    modal,
    option,
    plain,
    rich,
    select,
    when,
    words,
)
from store.models import Proposal

MENU = "menu"  # action id of the overflow
SNOOZE, ASSIGN, ASK, SAY = "menu.snooze", "menu.assign", "menu.ask", "menu.reason"  # callback ids
SPAN, MOMENT, WHOM, TEXT = "span", "moment", "whom", "text"  # blocks; each holds one element, VALUE
VALUE = "value"
REASON = "reason"  # action id of the select on a declined card
REASON_ALL = "reason_all"  # and on the card of a bundle
OTHER = "other"
OWN = "own"  # an option of SPAN: a time that the person chooses
_OWN_WORDS: Element = {
    "type": "plain_text_input",
    "action_id": VALUE,
    "multiline": True,
    "min_length": 2,
    "max_length": 1_000,
}
_SOMEBODY: Element = {"type": "users_select", "action_id": VALUE, "placeholder": plain("Somebody", 150)}
MENU_ITEMS: Mapping[str, str] = {
    "details": "Details",
    "edit": "Edit",
    "snooze": "Snooze",
    "assign": "Assign",
    "ask": "Ask in thread",
}
TITLES: Mapping[str, str] = {**MENU_ITEMS, REASON: "Why declined?"}
DONE, NOT_DONE, OUT_OF_DATE, WAIT = "Done", "Nothing was done", "Out of date", "Please wait"
CHOOSE_SOMEBODY = "Choose somebody."
CHOOSE_A_TIME = "Choose a time here, or one of the spans above."


def form(
    callback: str, title: str, proposal: Proposal, blocks: Sequence[Block], submit: str
) -> dict[str, Any]:
    """A modal about one proposal. It holds only the id and the shown revision."""
    about = rich(f"about.{proposal.id}", line(words(proposal.title, 300, bold=True)))
    carried = ButtonValue(proposal.id, proposal.revision)
    return modal(
        title, [about, *blocks], callback_id=callback, metadata=carried, submit=submit, close="Cancel"
    )


def snooze_view(proposal: Proposal, offered: Mapping[str, str], ends: datetime | None) -> dict[str, Any]:
    """The modal for the end of a snooze. `offered` are {key: words}; the proposal closes at `ends`."""
    ways = [option(said, key) for key, said in offered.items()] + [option("A time of my own", OWN)]
    span = {"type": "static_select", "action_id": VALUE, "options": ways, "initial_option": ways[0]}
    own = {"type": "datetimepicker", "action_id": VALUE}
    hint = "In your own time zone. When it is set, it counts."
    blocks = [
        input_block(SPAN, "For how long?", span),
        input_block(MOMENT, "A time of my own", own, optional=True, hint=hint),
    ]
    if ends is not None:
        said = line(glue("It closes on "), when(ends), glue("; choose an earlier time."))
        blocks.append(rich("ends", said))
    return form(SNOOZE, "Snooze", proposal, blocks, "Snooze")


def assign_view(proposal: Proposal) -> dict[str, Any]:
    """The modal for the assignee. The submission checks if the assignee may decide."""
    element = _SOMEBODY | ({"initial_user": proposal.assignee} if proposal.assignee else {})
    hint = "They are mentioned in the thread. It must be somebody who may decide."
    asked = input_block(WHOM, "Who should decide?", element, hint=hint)
    return form(ASSIGN, "Assign", proposal, [asked], "Assign")


def ask_view(proposal: Proposal) -> dict[str, Any]:
    """The modal for a question in the thread, and for the person who is asked."""
    hint = "They are mentioned in the thread of the card."
    blocks = [
        input_block(TEXT, "What do you want to ask?", _OWN_WORDS),
        input_block(WHOM, "Whom?", _SOMEBODY, optional=True, hint=hint),
    ]
    return form(ASK, "Ask in thread", proposal, blocks, "Ask")


def reason_view(proposal: Proposal) -> dict[str, Any]:
    """The modal for the reason of a decline, in the approver's own words."""
    return form(SAY, "Why declined?", proposal, [input_block(TEXT, "Why?", _OWN_WORDS)], "Save")


# --- The reasons offered for a decline, by the operations of the proposal -----------------------------------

_MONEY = {
    "not_due": "Not due to them",
    "amount": "Wrong amount",
    "other_way": "Settled another way",
    "abuse": "Looks like abuse",
    "ask_first": "Ask the customer first",
}
_ACCESS = {
    "keep": "They should keep it",
    "too_early": "Too early",
    "by_mistake": "It happened by mistake",
    "by_hand": "Done by hand already",
    "ask_first": "Ask the customer first",
}
_INVOICE = {
    "not_wanted": "They do not want one",
    "wrong_details": "Billing details are wrong",
    "by_hand": "Done by hand already",
}
_OFFER = {
    "no_offer": "No offer for this one",
    "too_much": "Too generous",
    "abuse": "Looks like abuse",
    "ask_first": "Ask the customer first",
}
_ANY = {
    "not_needed": "Not needed",
    "wrong": "The rule is wrong here",
    "too_early": "Too early",
    "by_hand": "Done by hand already",
}
# By the operation, else by its family: the part of its id before the colon.
_BY_OPERATION: Mapping[str, Mapping[str, str]] = {
    "orders:generate_invoice": _INVOICE,
    "disputes": _MONEY,
    "orders": _MONEY,
    "refunds": _MONEY,
    "customer-seats": _ACCESS,
    "license_keys": _ACCESS,
    "benefits": _ACCESS,
    "subscriptions": _ACCESS,
    "discounts": _OFFER,
}


def presets(proposal: Proposal) -> Mapping[str, str]:
    """The reasons offered for declining it, {key: label}, in the order in which they are shown."""
    operation = proposal.calls[0].operation if proposal.calls else ""
    own = _BY_OPERATION.get(operation) or _BY_OPERATION.get(operation.partition(":")[0], {})
    return {**own, **{key: said for key, said in _ANY.items() if key not in own}}


def reason_select(proposal: Proposal) -> Element:
    """The select of a declined card."""
    offered = [*presets(proposal).items(), (OTHER, "Other…")]
    return _select(REASON, ButtonValue(proposal.id, proposal.revision), offered)


def reasons_select(proposal: Proposal, bundle_id: str) -> Element:
    """The select for all declined proposals of a bundle."""
    return _select(REASON_ALL, ButtonValue(bundle_id), presets(proposal).items())


def _select(action_id: str, about: ButtonValue, offered: Iterable[tuple[str, str]]) -> Element:
    return select(action_id, "Say why", [option(label, replace(about, detail=key)) for key, label in offered])
