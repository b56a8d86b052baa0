"""The Block Kit linter: what Slack would refuse in a message or a view, as JSON pointers; pure.

Only the blocks and elements this program sends are known, as pydantic models with their limits: anything else
is a finding.
Limits: https://docs.slack.dev/reference/block-kit and the method pages of `chat.*` and `views.*`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails, PydanticCustomError

METADATA_BYTES = 16_000
VIEW_BYTES = 250_000
SENTENCES = {  # by pydantic's name of an error, where its own words are less plain
    "missing": "is missing",
    "extra_forbidden": "is not a key we know here",
    "model_type": "must be an object",
    "union_tag_not_found": "must be an object",
    "union_tag_invalid": "must be one of {expected_tags}",
}
TAG = "type="  # begins the step that a union adds to the path of an error


def _model(needs: str = "", *rules: Any, **keys: Any) -> Any:
    """An object that may have these keys and no other; `needs` names the keys that must be there."""
    fields: dict[str, Any] = {
        key: (kind, ... if key in needs.split() else None) for key, kind in keys.items()
    }
    made = create_model("Object", __config__=ConfigDict(extra="forbid", defer_build=True), **fields)
    return Annotated[made, *rules] if rules else made


def _union(**models: Any) -> Any:
    """One of these objects: its `type` says which."""
    tagged = tuple(Annotated[made, Tag(TAG + kind)] for kind, made in models.items())
    by_type = Discriminator(lambda value: f"{TAG}{value.get('type')}" if isinstance(value, dict) else None)
    return Annotated[Union[tagged], by_type]  # noqa: UP007 - the members are known at run time only


def _chars(most: int = 3000, least: int = 1) -> Any:
    return Annotated[str, Field(strict=True, min_length=least, max_length=most)]


def _number(least: int, most: int) -> Any:
    return Annotated[int, Field(strict=True, ge=least, le=most)]


def _list(item: Any, most: int | None = None, least: int = 1, *rules: Any) -> Any:
    return Annotated[list[item], Field(min_length=least, max_length=most), *rules]


# --- Rules, for what the kind of a value cannot say -------------------------------------------------


def _fault(message: str, *at: str | int) -> PydanticCustomError:
    """A broken rule; `at` leads from what the rule is about to where the fault is."""
    return PydanticCustomError("rule", "{message}", {"message": message, "at": at})


def _rule(message: str, holds: Callable[[Any], Any], *at: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if not holds(value):
            raise _fault(message, *at)
        return value

    return AfterValidator(check)


def _distinct(key: str) -> AfterValidator:
    def check(items: list[Any]) -> list[Any]:
        names = [getattr(item, key, None) for item in items]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                raise _fault(f"{name!r} is used twice", index, key)
        return items

    return AfterValidator(check)


def _matching(pattern: str, should: str, most: int = 3000) -> Any:
    return Annotated[_chars(most), _rule(f"must be {should}", re.compile(pattern).fullmatch)]


def _from_options(key: str) -> AfterValidator:
    def holds(select: Any) -> bool:
        groups = getattr(select, "option_groups", None) or [select]
        offered = [option for group in groups for option in group.options]
        chosen = getattr(select, key) or []
        return all(option in offered for option in (chosen if isinstance(chosen, list) else [chosen]))

    return _rule("must be among the options", holds, key)


def _focused(view: Any) -> int:
    inside = [getattr(block, key, None) for block in view.blocks for key in ("accessory", "element")]
    inside += [each for block in view.blocks if block.type == "actions" for each in block.elements]
    return sum(getattr(each, "focus_on_load", None) is True for each in inside)


OPTIONS_ONCE = _rule(
    "needs exactly one of options and option_groups",
    lambda select: (select.options is None) != (select.option_groups is None),
)
OFFERED, ALL_OFFERED = _from_options("initial_option"), _from_options("initial_options")
ONE_SOURCE = _rule(
    "needs exactly one of image_url and slack_file",
    lambda image: (image.image_url is None) != (image.slack_file is None),
)
TEXT_OR_FIELDS = _rule("needs text or fields", lambda section: section.text or section.fields)
TEXT_OR_BLOCKS = _rule("needs text or blocks", lambda message: message.text or message.blocks)
LENGTHS = _rule(
    "must not be greater than max_length",
    lambda entry: (entry.min_length or 0) <= (entry.max_length or 3000),
    "min_length",
)
SUBMIT = _rule(
    "is required when the modal has an input block",
    lambda modal: modal.submit or all(block.type != "input" for block in modal.blocks),
    "submit",
)
ONE_FOCUS = _rule("only one element may have focus_on_load", lambda view: _focused(view) <= 1, "blocks")

# --- Texts and options ------------------------------------------------------------------------------

BOOL: Any = Annotated[bool, Field(strict=True)]
ID, STYLE = _chars(255), Literal["primary", "danger"]
WEB = _matching(r"https?://\S+", "an http or https URL")
LINK = _matching(r"(https?://|mailto:)\S+", "an http, https or mailto URL")
DATE = _matching(r"\d{4}-\d{2}-\d{2}", "a date like 2026-11-21", 10)
DATE_PARTS = (
    r"\{(date_num|date_slash|date_long_full|date_long_pretty|date_long|date_short_pretty|date_short|date_pretty|"
    r"date|time_secs|time|ago|day_divider_pretty)\}"
)
DATE_FORMAT = _matching(rf"[^{{}}]*({DATE_PARTS}[^{{}}]*)+", "a date format of known {tokens}")
_typed = partial(_model, type=Any)  # an object of a union, which has read its type


@cache
def _texts(most: int) -> dict[str, Any]:
    plain = _typed("text", text=_chars(most), emoji=BOOL)
    return {"plain_text": plain, "mrkdwn": _typed("text", text=_chars(most), verbatim=BOOL)}


def _text(most: int) -> Any:
    return _union(**_texts(most))


def _plain(most: int) -> Any:
    return _union(plain_text=_texts(most)["plain_text"])


CONFIRM = _model(
    "title text confirm deny",
    title=_plain(100), text=_text(300), confirm=_plain(30), deny=_plain(30), style=STYLE,
)  # fmt: skip
OPTION = _model("text value", text=_plain(75), value=_chars(150), description=_plain(75))
LINKED = _model("text value", text=_plain(75), value=_chars(150), description=_plain(75), url=LINK)
MARKED = _model("text value", text=_text(75), value=_chars(150), description=_text(75))
OPTIONS, TICKS = _list(OPTION, 100), _list(MARKED, 10)
GROUP = _model("label options", label=_plain(75), options=OPTIONS)

# --- Elements ---------------------------------------------------------------------------------------

FOCUS: dict[str, Any] = {"focus_on_load": BOOL}
PLACED = {**FOCUS, "placeholder": _plain(150)}
CHOICES = {**PLACED, "options": OPTIONS, "option_groups": _list(GROUP, 100)}
SOME, QUERY = {"max_selected_items": _number(1, 100)}, {"min_query_length": _number(0, 100)}
DISPATCH = _model(trigger_actions_on=_list(Literal["on_enter_pressed", "on_character_entered"], 2))
_element = partial(_typed, action_id=ID, confirm=CONFIRM)
_entry = partial(_typed, action_id=ID, dispatch_action_config=DISPATCH, **PLACED)

IMAGE = {"image_url": WEB, "slack_file": dict[str, Any], "alt_text": _chars(2000)}
PICTURE = _typed("alt_text", ONE_SOURCE, **IMAGE)
BUTTON = _element(
    "text", text=_plain(75), value=_chars(2000), url=LINK, style=STYLE, accessibility_label=_chars(75)
)
OVERFLOW = _element("options", options=_list(LINKED, 5))
MULTI = _element("", OPTIONS_ONCE, ALL_OFFERED, initial_options=OPTIONS, **SOME, **CHOICES)
MOMENT = _element(initial_date_time=_number(10**9, 10**10 - 1), **FOCUS)
SELECT = _element("", OPTIONS_ONCE, OFFERED, initial_option=OPTION, **CHOICES)
SELECTS = {
    "static_select": SELECT,
    "external_select": _element(initial_option=OPTION, **QUERY, **PLACED),
    "datepicker": _element(initial_date=DATE, **PLACED),
    "users_select": _element(initial_user=ID, **PLACED),
    "checkboxes": _element("options", ALL_OFFERED, options=TICKS, initial_options=TICKS, **FOCUS),
    "radio_buttons": _element("options", OFFERED, options=TICKS, initial_option=MARKED, **FOCUS),
}
INPUTS = {
    **SELECTS,
    "multi_static_select": MULTI,
    "multi_external_select": _element(initial_options=OPTIONS, **SOME, **QUERY, **PLACED),
    "datetimepicker": MOMENT,
    "plain_text_input": _entry(
        "", LENGTHS, initial_value=_chars(3000, 0), multiline=BOOL,
        min_length=_number(0, 3000), max_length=_number(1, 3000),
    ),
    "number_input": _entry(
        "is_decimal_allowed",
        is_decimal_allowed=BOOL, initial_value=_chars(40), min_value=_chars(40), max_value=_chars(40),
    ),
}  # fmt: skip
ACTIONS = {"button": BUTTON, "overflow": OVERFLOW, **SELECTS, "datetimepicker": MOMENT}
BESIDE = {"button": BUTTON, "overflow": OVERFLOW, "image": PICTURE, **SELECTS, "multi_static_select": MULTI}

# --- Rich text --------------------------------------------------------------------------------------

STYLES: dict[str, Any] = dict.fromkeys(("bold", "italic", "strike", "code", "underline"), BOOL)
MENTION = _model(**STYLES, highlight=BOOL, client_highlight=BOOL, unlink=BOOL)
_part, _mention = partial(_typed, style=_model(**STYLES)), partial(_typed, style=MENTION)
LINKS = {
    "text": _part("text", text=_chars(40_000)),
    "link": _part("url", url=LINK, text=_chars(), unsafe=BOOL),
}
PARTS = {
    **LINKS,
    "user": _mention("user_id", user_id=ID),
    "usergroup": _mention("usergroup_id", usergroup_id=ID),
    "channel": _mention("channel_id", channel_id=ID),
    "emoji": _part("name", name=_chars(100), unicode=_chars(100), skin_tone=_number(1, 6)),
    "date": _part(
        "timestamp format", timestamp=_number(0, 10**11), format=DATE_FORMAT, url=LINK, fallback=_chars()
    ),
    "broadcast": _part("range", range=Literal["here", "channel", "everyone"]),
    "color": _part("value", value=_matching("#[0-9a-fA-F]{6}", "like #1f2937", 7)),
}
LINE, BORDER = {"elements": _list(_union(**PARTS))}, {"border": _number(0, 1)}
SECTION = _typed("elements", **LINE)
RICH = {
    "rich_text_section": SECTION,
    "rich_text_quote": _typed("elements", **LINE, **BORDER),
    "rich_text_preformatted": _typed(
        "elements", elements=_list(_union(**LINKS)), language=_chars(50), **BORDER
    ),
    "rich_text_list": _typed(
        "style elements", elements=_list(_union(rich_text_section=SECTION)),
        style=Literal["bullet", "ordered"], indent=_number(0, 8), offset=_number(0, 10_000), **BORDER,
    ),
}  # fmt: skip

# --- Blocks, messages, views ------------------------------------------------------------------------

_block = partial(_typed, block_id=ID)
BLOCKS = {
    "section": _block(
        "", TEXT_OR_FIELDS, text=_text(3000), fields=_list(_text(2000), 10),
        accessory=_union(**BESIDE), expand=BOOL,
    ),
    "rich_text": _block("elements", elements=_list(_union(**RICH))),
    "context": _block("elements", elements=_list(_union(image=PICTURE, **_texts(3000)), 10)),
    "divider": _block(),
    "header": _block("text", text=_plain(150)),
    "actions": _block(
        "elements", elements=_list(_union(**ACTIONS), 25, 1, _distinct("action_id"))
    ),
    "image": _block("alt_text", ONE_SOURCE, title=_plain(2000), **IMAGE),
}  # fmt: skip
INPUT = _block(
    "label element", label=_plain(2000), element=_union(**INPUTS), hint=_plain(2000),
    optional=BOOL, dispatch_action=BOOL,
)  # fmt: skip
IN_MESSAGE = _list(_union(**BLOCKS), 50, 0, _distinct("block_id"))
IN_VIEW = _list(_union(**BLOCKS, input=INPUT), 100, 0, _distinct("block_id"))

METADATA = _model("event_type event_payload", event_type=ID, event_payload=dict[str, Any])
_FLAGS = "mrkdwn reply_broadcast unfurl_links unfurl_media replace_original delete_original".split()
_WORDS = "channel ts user thread_ts response_type".split()
_message: Any = partial(
    _model, blocks=IN_MESSAGE | None, metadata=METADATA | None,
    **dict.fromkeys(_FLAGS, BOOL), **dict.fromkeys(_WORDS, ID),
)  # fmt: skip
_view = partial(_typed, blocks=IN_VIEW, callback_id=ID, external_id=ID, private_metadata=_chars(3000, 0))
MODAL = _view(
    "blocks title", SUBMIT, ONE_FOCUS, title=_plain(24), submit=_plain(24), close=_plain(24),
    clear_on_close=BOOL, notify_on_close=BOOL, submit_disabled=BOOL,
)  # fmt: skip

NEW_MESSAGE = TypeAdapter[Any](_message("", TEXT_OR_BLOCKS, text=_chars(40_000, 0)))
CHANGED_MESSAGE = TypeAdapter[Any](_message(text=_chars(4_000, 0)))
VIEW = TypeAdapter[Any](_union(home=_view("blocks", ONE_FOCUS), modal=MODAL))
SUGGESTED = TypeAdapter[Any](SELECT)

# --- Findings --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where (RFC 6901 pointer) and what Slack would say."""

    pointer: str
    message: str


def lint_message(payload: Mapping[str, Any], *, update: bool = False) -> list[Finding]:
    """The faults of one message's arguments (`chat.postMessage`, or `chat.update` when `update`).

    Empty when Slack would take it. Pointers start at the payload: `/blocks/0/text/text`.
    """
    faults = _faults(CHANGED_MESSAGE if update else NEW_MESSAGE, dict(payload))
    return faults or _too_large(payload.get("metadata"), METADATA_BYTES, "/metadata")


def lint_view(view: Mapping[str, Any]) -> list[Finding]:
    """The faults of a modal or a home view; pointers start at the view."""
    return _faults(VIEW, dict(view)) or _too_large(view, VIEW_BYTES, "")


def lint_options(answer: Mapping[str, Any]) -> list[Finding]:
    """The faults of an answer to a block suggestion (`options` or `option_groups`)."""
    return _faults(SUGGESTED, {"type": "static_select", **answer})


def _faults(model: TypeAdapter[Any], value: Any) -> list[Finding]:
    try:
        model.validate_python(value)
    except ValidationError as error:
        found = error.errors(include_url=False)
        if all(each["type"] != "string_unicode" for each in found):
            return [_finding(each) for each in found]
        # JSON may hold half a surrogate pair and pydantic may not: a "?" is as long.
        return _faults(model, json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace")))
    return []


def _finding(error: ErrorDetails) -> Finding:
    """The error in Slack's terms: without the steps that say which object of a union it is."""
    kind, context, way = error["type"], error.get("ctx", {}), list(error["loc"])
    last = [way.pop()] if kind == "extra_forbidden" else []  # a key of the app's own, whatever it looks like
    if kind == "union_tag_invalid":
        last = ["type"]
    way = [step for step in way if not str(step).startswith(TAG)] + [*last, *context.get("at", ())]
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in way)
    message = SENTENCES[kind].format(**context).replace(TAG, "") if kind in SENTENCES else error["msg"]
    return Finding("".join(f"/{step}" for step in steps), message)


def _too_large(value: Any, most: int, pointer: str) -> list[Finding]:
    try:
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        fits = len(written.encode("utf-8", "surrogatepass")) <= most
    except (TypeError, ValueError, RecursionError):  # not JSON, or nested past what any parser takes
        fits = False
    return [] if fits else [Finding(pointer, f"must be at most {most} bytes of JSON")]
