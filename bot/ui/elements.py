"""The parts of messages and modals: texts, elements, blocks, and the values of buttons. Pure.

Text is cleaned, cut and escaped here, so that the words of a customer never become markup.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from string import Formatter
from typing import Any, Self

from polar.text.words import clean

Block = dict[str, Any]
Element = dict[str, Any]

# Slack's limits (docs.slack.dev/reference/block-kit); the texts of a rich_text block are kept within what a
# section may hold.
BLOCK_TEXT = 3_000
MESSAGE_TEXT = 4_000
_OPTION_VALUE = 150
_BUTTON_VALUE = 2_000
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class Message:
    """A message for Slack. `text` is the whole question in one line, for notifications and screen readers.

    Slack reads `text` alone as markup, so there is always a block. Raises ValueError.
    """

    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse a message without a block."""
        if not self.blocks:
            raise ValueError("a message needs a block")

    @property
    def content(self) -> dict[str, Any]:
        """The message as the Web API and the outbox take it."""
        metadata = {} if self.metadata is None else {"metadata": dict(self.metadata)}
        return {"text": self.text, "blocks": list(self.blocks)} | metadata


# --- Rich text ----------------------------------------------------------------------------------------------


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
    return glue(clean(text, limit) or "–") | ({"style": {"bold": True}} if bold else {})


def struck(text: str, limit: int) -> Element:
    """The element of `words`, struck through, for the old value."""
    return words(text, limit) | {"style": {"strike": True}}


def glue(text: str) -> Element:
    """Our own words between elements. Spaces and line ends stay."""
    return {"type": "text", "text": text}


def person(actor: str) -> Element:
    """A Slack user as a mention, anybody else (the command line) by name."""
    return {"type": "user", "user_id": actor} if is_user(actor) else words(actor, 80)


def is_user(actor: str) -> bool:
    """Tell whether this is the id of a Slack user."""
    return bool(actor) and actor[0] in "UW" and actor.isalnum()


def mention(identity: str) -> Element:
    """A user or a user group by id, so that Slack notifies them."""
    if identity.startswith("S"):
        return {"type": "usergroup", "usergroup_id": identity}
    return {"type": "user", "user_id": identity}


def preformatted(text: str) -> Element:
    """A block of text in columns, unchanged."""
    return {"type": "rich_text_preformatted", "elements": [glue(text)]}


def when(at: datetime, *, seconds: bool = False) -> Element:
    """A point in time in the reader's zone, or in UTC where Slack cannot convert it."""
    shown = "{date_short_pretty} {time_secs}" if seconds else "{date_short_pretty} {time}"
    fallback = f"{at:%d %b %Y %H:%M:%S} UTC" if seconds else f"{at:%d %b %Y %H:%M} UTC"
    return {"type": "date", "timestamp": int(at.timestamp()), "format": shown, "fallback": fallback}


def filled(sentences: str, **values: str | Element | Sequence[Element]) -> list[Element]:
    """Our sentences with values in their {places}. A value is our own words, or elements."""
    found: list[Element] = []
    for literal, name, _, _ in Formatter().parse(sentences):
        found += [glue(literal)] if literal else []
        value = values[name] if name is not None else ""
        if isinstance(value, str):
            found += [glue(value)] if value else []
        else:
            found += [value] if isinstance(value, dict) else [*value]
    return found


def emoji(name: str) -> Element:
    """An emoji by its Slack name."""
    return {"type": "emoji", "name": name}


def line(*elements: Element) -> Element:
    """One rich_text section."""
    return {"type": "rich_text_section", "elements": list(elements)}


def link_to(url: str, text: str = "open") -> Element:
    """A link."""
    return {"type": "link", "url": url, "text": text}


def opens(url: str | None, text: str = "open") -> list[Element]:
    """The link at the end of a row; nothing without one."""
    return [glue("  "), link_to(url, text)] if url else []


def bullet_list(rows: Sequence[Element]) -> Element:
    """A rich_text bullet list of lines."""
    return {"type": "rich_text_list", "style": "bullet", "elements": list(rows)}


def bullets(texts: Iterable[str], limit: int = 500) -> Element:
    """A rich_text bullet list of texts."""
    return bullet_list([line(words(text, limit)) for text in texts])


def joined(parts: Iterable[Sequence[Element]], between: str) -> list[Element]:
    """The parts as one list of elements, with our own words between them."""
    return [one for n, part in enumerate(parts) for one in ([glue(between)] if n else []) + [*part]]


def rich(block_id: str, *parts: Element) -> Block:
    """A rich_text block."""
    return {"type": "rich_text", "block_id": block_id, "elements": list(parts)}


def context(block_id: str, *texts: str) -> Block:
    """A line of small print."""
    return {"type": "context", "block_id": block_id, "elements": [plain(text, 300) for text in texts]}


def labelled(rows: Iterable[tuple[str, str | Element]], limit: int = 120) -> Element:
    """Short fields, one a line: the label in bold, the value unchanged."""
    fields = (
        [words(label, 30, bold=True), glue("  "), words(value, limit) if isinstance(value, str) else value]
        for label, value in rows
    )
    return line(*joined(fields, "\n"))


# --- What one person is told --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A text as elements of a rich text: our sentences, mentions, and the words of people."""

    elements: tuple[Element, ...]

    @property
    def message(self) -> Message:
        """The text as a message: blocks in which no word is markup, and one line for notifications."""
        pieces = enumerate(_pieces(self.elements))
        return Message(self.mrkdwn, tuple(rich(f"said.{n}", line(*piece)) for n, piece in pieces))

    @property
    def content(self) -> dict[str, Any]:
        """The message as the Web API takes it."""
        return self.message.content

    @property
    def mrkdwn(self) -> str:
        """The line for notifications. Our mentions stay, and all other text is escaped."""
        found = ""
        for one in self.elements:
            part = f"<@{one['user_id']}>" if one["type"] == "user" else escape(str(one["text"]))
            if len(found) + len(part) > MESSAGE_TEXT:
                return f"{found[: MESSAGE_TEXT - 1]}…"
            found += part
        return found

    @property
    def plain(self) -> str:
        """The text without markup, users by their ids."""
        return "".join(one.get("user_id") or str(one["text"]) for one in self.elements)

    def __add__(self, other: "Text") -> "Text":
        between = (glue(" "),) if self.elements and other.elements else ()
        return Text((*self.elements, *between, *other.elements))


def _pieces(elements: Sequence[Element]) -> Iterator[list[Element]]:
    """The elements in groups that each fit into one block, words beside words as one element."""
    piece: list[Element] = []
    size = 0
    for one in elements:
        length = len(str(one.get("text", "")))
        if piece and size + length > BLOCK_TEXT:
            yield piece
            piece, size = [], 0
        if piece and piece[-1].keys() == one.keys() == {"type", "text"}:
            piece[-1] = glue(piece[-1]["text"] + one["text"])
        else:
            piece.append(one)
        size += length
    yield piece or [glue("–")]


def paragraphs(texts: Sequence[Text]) -> Text:
    """The texts below one another."""
    rows = [[glue("\n"), *each.elements] for each in texts]
    return Text(tuple(one for row in rows for one in row)[1:])


def text(sentences: str, **values: str | Element | Sequence[Element]) -> Text:
    """The text of `filled`."""
    return Text(tuple(filled(sentences, **values)))


# --- Values of buttons, options and modals: in messages, and in the requests of Slack -----------------------

NO_REVISION = 0  # no proposal has this revision, so it decides nothing
_FIRST_REVISION = 1  # meant by buttons from before there were revisions
_MOST_REVISIONS = 10**9  # fits the database's integer
_VALUE = re.compile(
    r"(?P<id>[A-Za-z0-9_-]{1,80})(?::(?P<number>[0-9]{1,18})(?::(?P<detail>.*))?)?", re.DOTALL
)
# Forms that existing cards hold: `edit:ID:REVISION` of a menu's option, `ID:KEY` of a bundle's reason.
_MENU_FIRST = re.compile(r"(?P<detail>[a-z]+):(?P<id>[A-Za-z][A-Za-z0-9_-]{0,79}):(?P<number>[0-9]{1,18})")
_ID_ALONE = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,80}):.*", re.DOTALL)
_NO_NUMBER = re.compile(r"(?P<id>[A-Za-z0-9_-]{1,80}):(?P<detail>[a-z_]{1,40})")


@dataclass(frozen=True, slots=True)
class ButtonValue:
    """The form `ID`, `ID:NUMBER` or `ID:NUMBER:DETAIL`. Other data that Slack sends with a button is ignored.

    `id` names a proposal, a bundle or a kind of case. `number` is the shown revision of a proposal, the
    drawing time of a bundle's card, or the page of a list. `detail` is the rest: an item of the menu, the key
    of a reason, or the words of a search.
    """

    id: str
    number: int = _FIRST_REVISION
    detail: str = ""

    @property
    def revision(self) -> int:
        """The number as a proposal's revision; NO_REVISION when it is not a possible one."""
        return self.number if self.number < _MOST_REVISIONS else NO_REVISION

    def __str__(self) -> str:
        return f"{self.id}:{self.number}:{self.detail}" if self.detail else f"{self.id}:{self.number}"

    @classmethod
    def parse(cls, value: object) -> Self:
        """The parsed value. Any other text gives NO_REVISION, which decides nothing. Never raises."""
        text = value if isinstance(value, str) else ""
        if found := _NO_NUMBER.fullmatch(text):
            return cls(found["id"], NO_REVISION, found["detail"])
        found = _MENU_FIRST.fullmatch(text) or _VALUE.fullmatch(text)
        if found is None:
            named = _ID_ALONE.fullmatch(text)
            return cls("" if named is None else named["id"], NO_REVISION)
        number = found["number"]
        return cls(found["id"], _FIRST_REVISION if number is None else int(number), found["detail"] or "")


# --- Controls and modals ------------------------------------------------------------------------------------


def plain(text: str, limit: int) -> Element:
    """A plain text object. Text of customers cannot become markup in it."""
    return {"type": "plain_text", "text": clean(text, limit) or "–", "emoji": False}


def option(text: str, value: str | ButtonValue, description: str = "") -> Element:
    """One option of a select. A cut value would name something else, so it is never cut: see `options`."""
    found: Element = {"text": plain(text, 75), "value": str(value)}
    return found | ({"description": plain(description, 75)} if description else {})


def options(choices: Iterable[tuple[str, str]]) -> list[Element]:
    """Options for (text, value), with the value below the text. A value too long for Slack is left out."""
    return [option(text, value, value) for text, value in choices if len(value) <= _OPTION_VALUE]


def button(
    action_id: str, label: str, value: str | ButtonValue = "", *, style: str | None = None, about: str = ""
) -> Element:
    """A button. `about` names the subject of its decision, for screen readers."""
    element: Element = {"type": "button", "action_id": action_id, "text": plain(label, 75)}
    if value:
        element["value"] = str(value)[:_BUTTON_VALUE]
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
