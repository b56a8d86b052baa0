"""Block Kit elements that messages and modals share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bot.sanitize import clean
from bot.ui.button_value import ButtonValue
from bot.ui.text import Block, Element

LONGEST_VALUE = 150  # characters of an option's value
_LONGEST_BUTTON_VALUE = 2_000


def plain(text: str, limit: int) -> Element:
    """A plain text object. Text of customers cannot become markup in it."""
    return {"type": "plain_text", "text": clean(text, limit) or "–", "emoji": False}


def option(text: str, value: str | ButtonValue, description: str = "") -> Element:
    """One option of a select. A cut value would name something else, so it is never cut: see `options`."""
    found: Element = {"text": plain(text, 75), "value": str(value)}
    return found | ({"description": plain(description, 75)} if description else {})


def options(told: Iterable[tuple[str, str]]) -> list[Element]:
    """Options for (text, value), with the value below the text. A value too long for Slack is left out."""
    return [option(text, value, value) for text, value in told if len(value) <= LONGEST_VALUE]


def button(
    action_id: str, label: str, value: str | ButtonValue = "", *, style: str | None = None, about: str = ""
) -> Element:
    """A button. `about` names the subject of its decision, for screen readers."""
    element: Element = {"type": "button", "action_id": action_id, "text": plain(label, 75)}
    if value:
        element["value"] = str(value)[:_LONGEST_BUTTON_VALUE]
    if style is not None:
        element["style"] = style
    return element | ({"accessibility_label": clean(f"{label}: {about}", 75)} if about else {})


def select(action_id: str, placeholder: str, offered: Sequence[Element]) -> Element:
    """A select of fixed options."""
    return {
        "type": "static_select",
        "action_id": action_id,
        "placeholder": plain(placeholder, 75),
        "options": list(offered),
    }


def actions(block_id: str, elements: Sequence[Element]) -> Block:
    """A row of buttons, selects and menus."""
    return {"type": "actions", "block_id": block_id, "elements": list(elements)}


def header(block_id: str, text: str) -> Block:
    """A heading."""
    return {"type": "header", "block_id": block_id, "text": plain(text, 150)}


def section(block_id: str, text: str, limit: int = 2_900) -> Block:
    """A paragraph of plain text."""
    return {"type": "section", "block_id": block_id, "text": plain(text, limit)}


def input_block(
    block_id: str,
    label: str,
    element: Mapping[str, Any],
    *,
    optional: bool = False,
    hint: str = "",
    dispatch: bool = False,
) -> Block:
    """An input of a modal. With `dispatch`, Slack sends the input before the modal is submitted."""
    block: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label, 150),
        "element": dict(element),
        "optional": optional,
    }
    if dispatch:
        block["dispatch_action"] = True
    return block | ({"hint": plain(hint, 300)} if hint else {})


def modal(
    title: str,
    blocks: Iterable[Block],
    *,
    callback_id: str = "",
    metadata: str | ButtonValue = "",
    submit: str = "",
    close: str = "Close",
) -> dict[str, Any]:
    """A modal. `metadata` is returned with the submission: it holds ids, and no words of people."""
    view: dict[str, Any] = {
        "type": "modal",
        "title": plain(title, 24),
        "close": plain(close, 24),
        "blocks": list(blocks),
    }
    view |= {"callback_id": callback_id} if callback_id else {}
    view |= {"private_metadata": str(metadata)} if metadata else {}
    return view | ({"submit": plain(submit, 24)} if submit else {})


def notice(title: str, *paragraphs: str) -> dict[str, Any]:
    """A modal with text only."""
    return modal(title, (section(f"said.{number}", each) for number, each in enumerate(paragraphs)))
