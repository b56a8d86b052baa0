"""Block Kit elements that several messages and modals share."""

from collections.abc import Iterable

from bot.sanitize import clean
from bot.ui.text import Element

LONGEST_VALUE = 150  # characters of an option's value


def plain(text: str, limit: int) -> Element:
    """A plain text object; what customers typed cannot become markup in it."""
    return {"type": "plain_text", "text": clean(text, limit) or "–", "emoji": False}


def option(text: str, value: str, description: str = "") -> Element:
    """One option of a select. Its value is never cut, or it would name something else: see `options`."""
    found: Element = {"text": plain(text, 75), "value": value}
    return found | ({"description": plain(description, 75)} if description else {})


def options(told: Iterable[tuple[str, str]]) -> list[Element]:
    """Options for (text, value), the value below the text; a value too long for Slack is left out."""
    return [option(text, value, value) for text, value in told if len(value) <= LONGEST_VALUE]
