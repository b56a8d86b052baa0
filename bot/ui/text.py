"""Text for Slack: cleaned, cut and escaped, so that the words of a customer never become markup."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bot.sanitize import clean

Block = dict[str, Any]
Element = dict[str, Any]

# Slack's limits (docs.slack.dev/reference/block-kit); the texts of a rich_text block are kept within what a
# section may hold.
BLOCK_TEXT = 3_000
MESSAGE_TEXT = 4_000
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escape(text: str) -> str:
    """The `text` with `&`, `<` and `>` escaped in one pass, so that it makes no link and mentions nobody.

    https://docs.slack.dev/messaging/formatting-message-text/#escaping
    """
    return text.translate(_ESCAPES)


def fitted(text: str, limit: int) -> str:
    """The `text` cleaned and escaped, with at most `limit` characters after escaping."""
    cleaned = clean(text, limit)
    while len(escape(cleaned)) > limit:
        cleaned = clean(cleaned, len(cleaned) * limit // len(escape(cleaned)))
    return escape(cleaned)


def words(text: str, limit: int = BLOCK_TEXT, *, bold: bool = False) -> Element:
    """A rich_text text element. Slack shows its text unchanged."""
    element: Element = {"type": "text", "text": clean(text, limit) or "–"}
    if bold:
        element["style"] = {"bold": True}
    return element


def struck(text: str, limit: int) -> Element:
    """The element of `words`, struck through, for the old value."""
    return words(text, limit) | {"style": {"strike": True}}


def glue(text: str) -> Element:
    """Our own words between elements. Spaces and line ends stay."""
    return {"type": "text", "text": text}


def person(actor: str) -> Element:
    """A Slack user as a mention, anybody else (the command line) by name."""
    if actor[:1] in "UW" and actor.isalnum():
        return {"type": "user", "user_id": actor}
    return words(actor, 80)


def mention(identity: str) -> Element:
    """A user or a user group by id, so that Slack notifies them."""
    if identity.startswith("S"):
        return {"type": "usergroup", "usergroup_id": identity}
    return {"type": "user", "user_id": identity}


def preformatted(text: str) -> Element:
    """A block of text in columns, unchanged."""
    return {"type": "rich_text_preformatted", "elements": [glue(text)]}


def moment(seconds: int, fallback: str, *, shown: str = "{date_short_pretty} {time}") -> Element:
    """A point in time, shown in the reader's own zone; `shown` is a format of Slack's."""
    return {"type": "date", "timestamp": seconds, "format": shown, "fallback": fallback}


def when(at: datetime) -> Element:
    """A point in time in the reader's zone, or in UTC where Slack cannot convert it."""
    return moment(int(at.timestamp()), f"{at:%d %b %Y %H:%M} UTC")


def to_the_second(at: datetime) -> Element:
    """The element of `when`, for a time a few seconds from now."""
    return moment(int(at.timestamp()), f"{at:%d %b %Y %H:%M:%S} UTC", shown="{date_short_pretty} {time_secs}")


def emoji(name: str) -> Element:
    """An emoji by its Slack name."""
    return {"type": "emoji", "name": name}


def line(*elements: Element) -> Element:
    """One rich_text section."""
    return {"type": "rich_text_section", "elements": list(elements)}


def bullets(texts: Iterable[str], limit: int = 500) -> Element:
    """A rich_text bullet list."""
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [line(words(text, limit)) for text in texts],
    }


def rich(block_id: str, *parts: Element) -> Block:
    """A rich_text block."""
    return {"type": "rich_text", "block_id": block_id, "elements": list(parts)}


def context(block_id: str, *texts: str) -> Block:
    """A line of small print."""
    elements = [{"type": "plain_text", "text": clean(text, 300) or "–", "emoji": False} for text in texts]
    return {"type": "context", "block_id": block_id, "elements": elements}


def labelled(rows: Iterable[tuple[str, str]], limit: int = 120) -> Element:
    """Short fields, one a line: the label in bold, the value unchanged."""
    elements: list[Element] = []
    for label, value in rows:
        elements += [glue("\n")] if elements else []
        elements += [words(label, 30, bold=True), glue("  "), words(value, limit)]
    return line(*elements)


def metadata(proposal_id: str) -> Mapping[str, Any]:
    """The link from a message to its proposal. Any app in the workspace can read it, so it is the id only."""
    return {"event_type": "polar_approvals_card", "event_payload": {"proposal_id": proposal_id}}
