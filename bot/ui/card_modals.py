"""The small modals behind a card's menu, and the lines that acts leave in its thread. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bot.sanitize import clean
from bot.ui.elements import option, plain
from bot.ui.text import Block, Element, escape, glue, line, person, rich, when, words
from store.models import Proposal

MENU = "menu"  # action id of the overflow
SNOOZE, ASSIGN, ASK, SAY = "menu.snooze", "menu.assign", "menu.ask", "menu.reason"  # callback ids
SPAN, MOMENT, WHOM, TEXT = "span", "moment", "whom", "text"  # blocks; each holds one element, VALUE
VALUE = "value"
OWN = "own"  # of SPAN: a time of one's own
_LONGEST_TEXT = 1_000


def form(
    callback: str, title: str, proposal: Proposal, blocks: Sequence[Block], submit: str
) -> dict[str, Any]:
    """A modal about one proposal. It carries the id and the revision that was looked at, nothing else."""
    about = rich(f"about.{proposal.id}", line(words(proposal.title, 300, bold=True)))
    return {
        "type": "modal",
        "callback_id": callback,
        "title": plain(title, 24),
        "submit": plain(submit, 24),
        "close": plain("Cancel", 24),
        "private_metadata": f"{proposal.id}:{proposal.revision}",
        "blocks": [about, *blocks],
    }


def said_view(title: str, text: str) -> dict[str, Any]:
    """A modal that only says something."""
    return {
        "type": "modal",
        "callback_id": "menu.said",
        "title": plain(title, 24),
        "close": plain("Close", 24),
        "blocks": [rich("said", line(words(text, 1_500)))],
    }


def snooze_view(proposal: Proposal, offered: Mapping[str, str], ends: datetime | None) -> dict[str, Any]:
    """Until when? `offered` are {key: words}; it closes at `ends`."""
    ways = [option(said, key) for key, said in offered.items()] + [option("A time of my own", OWN)]
    select = {"type": "static_select", "action_id": VALUE, "options": ways, "initial_option": ways[0]}
    blocks = [
        _input(SPAN, "For how long?", select),
        _input(
            MOMENT,
            "A time of my own",
            {"type": "datetimepicker", "action_id": VALUE},
            optional=True,
            hint="In your own time zone. When it is set, it counts.",
        ),
    ]
    if ends is not None:
        blocks.append(
            rich("ends", line(glue("It closes on "), when(ends), glue("; choose an earlier time.")))
        )
    return form(SNOOZE, "Snooze", proposal, blocks, "Snooze")


def assign_view(proposal: Proposal) -> dict[str, Any]:
    """To whom? Whether they may decide is looked at when it is submitted."""
    element: Element = {"type": "users_select", "action_id": VALUE, "placeholder": plain("Somebody", 150)}
    element |= {"initial_user": proposal.assignee} if proposal.assignee else {}
    hint = "They are mentioned in the thread. It must be somebody who may decide."
    return form(
        ASSIGN, "Assign", proposal, [_input(WHOM, "Who should decide?", element, hint=hint)], "Assign"
    )


def ask_view(proposal: Proposal) -> dict[str, Any]:
    """What, and whom?"""
    blocks = [
        _input(TEXT, "What do you want to ask?", _text()),
        _input(
            WHOM,
            "Whom?",
            {"type": "users_select", "action_id": VALUE, "placeholder": plain("Somebody", 150)},
            optional=True,
            hint="They are mentioned in the thread of the card.",
        ),
    ]
    return form(ASK, "Ask in thread", proposal, blocks, "Ask")


def reason_view(proposal: Proposal) -> dict[str, Any]:
    """Why was it declined, in one's own words?"""
    return form(SAY, "Why declined?", proposal, [_input(TEXT, "Why?", _text())], "Save")


def _text() -> Element:
    return {
        "type": "plain_text_input",
        "action_id": VALUE,
        "multiline": True,
        "min_length": 2,
        "max_length": _LONGEST_TEXT,
    }


def _input(
    block_id: str, label: str, element: Mapping[str, Any], *, optional: bool = False, hint: str = ""
) -> Block:
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, 150),
        "element": dict(element),
        "optional": optional,
    }
    return block | ({"hint": plain(hint, 300)} if hint else {})


# --- Lines in the thread -----------------------------------------------------------------------------------


def thread_message(text: str, *elements: Element) -> dict[str, Any]:
    """A line for a thread, as a notice holds it: `text` for notifications, the elements as it is shown."""
    return {"text": escape(clean(text, 500)), "blocks": [rich("line", line(*elements))]}


def snoozed_line(actor: str, until: datetime) -> dict[str, Any]:
    """Put aside until then."""
    return thread_message(
        f"Snoozed until {until:%d %b %Y %H:%M} UTC.",
        person(actor), glue(" put this aside until "), when(until), glue(". It stays open."),
    )  # fmt: skip


def assigned_line(actor: str, assignee: str, proposal: Proposal) -> dict[str, Any]:
    """The assignee is mentioned, so that Slack tells them."""
    return thread_message(
        f"Please decide: {proposal.title}",
        person(assignee), glue(" please decide: "), words(proposal.title, 300),
        glue("\nAssigned by "), person(actor), glue("."),
    )  # fmt: skip


def asked_line(actor: str, whom: str | None, question: str) -> dict[str, Any]:
    """A question in somebody's own words."""
    start = [person(whom), glue(" ")] if whom else []
    return thread_message(
        f"A question: {question}", *start, person(actor), glue(" asks: "), words(question, _LONGEST_TEXT)
    )


def held_line(actor: str) -> dict[str, Any]:
    """Nobody approves or runs it now."""
    return thread_message(
        "On hold: nothing runs until it is released.",
        person(actor), glue(" put this on hold. Nobody approves it and nothing runs until somebody writes "),
        {"type": "text", "text": "release", "style": {"code": True}}, glue(" here."),
    )  # fmt: skip


def released_line(actor: str, *, runs: bool) -> dict[str, Any]:
    """The hold is over."""
    then = " What was approved goes on now." if runs else " It waits for a decision again."
    return thread_message(f"Released.{then}", person(actor), glue(f" released this.{then}"))


def reason_line(actor: str, reason: str) -> dict[str, Any]:
    """Why it was declined."""
    return thread_message(
        f"Why declined: {reason}", person(actor), glue(" says why it was declined: "), words(reason, 1_000)
    )


def edited_line(actor: str, changes: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """What was changed, and that it needs a decision again."""
    rows: list[Element] = []
    for label, before, now in changes:
        rows += [glue("\n"), words(label, 60, bold=True), glue("  "), words(before or "nothing", 150)]
        rows += [glue(" → "), words(now or "nothing", 150)]
    return thread_message(
        "Edited: it needs a decision of its own.",
        person(actor), glue(" edited this. It needs a decision of its own."), *rows,
    )  # fmt: skip
