"""The small modals behind a card's menu. Pure."""

from collections.abc import Mapping, Sequence
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
    when,
    words,
)
from store.models import Proposal

MENU = "menu"  # action id of the overflow
SNOOZE, ASSIGN, ASK, SAY = "menu.snooze", "menu.assign", "menu.ask", "menu.reason"  # callback ids
SPAN, MOMENT, WHOM, TEXT = "span", "moment", "whom", "text"  # blocks; each holds one element, VALUE
VALUE = "value"
OWN = "own"  # an option of SPAN: a time that the person chooses
_OWN_WORDS: Element = {
    "type": "plain_text_input",
    "action_id": VALUE,
    "multiline": True,
    "min_length": 2,
    "max_length": 1_000,
}
_SOMEBODY: Element = {"type": "users_select", "action_id": VALUE, "placeholder": plain("Somebody", 150)}
TITLES = {
    "details": "Details",
    "edit": "Edit",
    "snooze": "Snooze",
    "assign": "Assign",
    "ask": "Ask in thread",
    "reason": "Why declined?",
}
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
