"""The grammar of the Block Kit we send, as tables: every block, element and text object with its limits."""

import re
from collections.abc import Mapping
from typing import Any

from bot.demo.blockkit_nodes import Anything, Array, Bool, Int, Json, Node, Obj, Rule, Str, Tagged


def _one_of(*names: str) -> Rule:
    def rule(value: Mapping[str, Any]) -> tuple[str, str] | None:
        if sum(name in value for name in names) != 1:
            return "", f"needs exactly one of {', '.join(names)}"
        return None

    return rule


def _at_least_one_of(*names: str) -> Rule:
    def rule(value: Mapping[str, Any]) -> tuple[str, str] | None:
        return None if any(name in value for name in names) else ("", f"needs {' or '.join(names)}")

    return rule


def _initial_is_an_option(value: Mapping[str, Any]) -> tuple[str, str] | None:
    offered = _offered(value)
    if "initial_option" in value and value["initial_option"] not in offered:
        return "initial_option", "must be one of the options"
    chosen = value.get("initial_options", [])
    if isinstance(chosen, list) and any(option not in offered for option in chosen):
        return "initial_options", "must be among the options"
    return None


def _offered(value: Mapping[str, Any]) -> list[Any]:
    groups = value.get("option_groups", [value])
    groups = groups if isinstance(groups, list) else []
    lists = [group.get("options") for group in groups if isinstance(group, dict)]
    return [option for options in lists if isinstance(options, list) for option in options]


def _length_range(value: Mapping[str, Any]) -> tuple[str, str] | None:
    least, most = value.get("min_length"), value.get("max_length")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        return "min_length", "must not be greater than max_length"
    return None


# --- Texts and objects ------------------------------------------------------------------------------

WEB = Str(3000, pattern=re.compile(r"https?://\S+"), should="an http or https URL")
LINK = Str(3000, pattern=re.compile(r"(https?://|mailto:)\S+"), should="an http, https or mailto URL")
ID = Str(255)
TYPE = Anything()  # Tagged has read it
DATE = Str(10, pattern=re.compile(r"\d{4}-\d{2}-\d{2}"), should="a date like 2026-11-21")
DATE_TOKENS = (
    "date_num|date_slash|date_long_full|date_long_pretty|date_long|date_short_pretty|date_short|date_pretty|date|"
    "time_secs|time|ago|day_divider_pretty"
)
DATE_FORMAT = Str(
    pattern=re.compile(rf"[^{{}}]*(?:\{{(?:{DATE_TOKENS})\}}[^{{}}]*)+"),
    should="a date format of known {tokens}",
)
IMAGE_KEYS: dict[str, Node] = {
    "type": TYPE,
    "image_url": WEB,
    "slack_file": Json(),
    "alt_text": Str(2000),
}


def _plain(most: int) -> Obj:
    return Obj({"type": TYPE, "text": Str(most), "emoji": Bool()}, ("type", "text"))


def plain(most: int) -> Tagged:
    """A text object where markup is not allowed."""
    return Tagged({"plain_text": _plain(most)}, "text object (plain_text only)")


def text(most: int) -> Tagged:
    """A text object, plain_text or mrkdwn."""
    mrkdwn = Obj({"type": TYPE, "text": Str(most), "verbatim": Bool()}, ("type", "text"))
    return Tagged({"plain_text": _plain(most), "mrkdwn": mrkdwn}, "text object")


CONFIRM = Obj(
    {
        "title": plain(100),
        "text": text(300),
        "confirm": plain(30),
        "deny": plain(30),
        "style": Str(among=("primary", "danger")),
    },
    ("title", "text", "confirm", "deny"),
)


def _option(label: Node, **more: Node) -> Obj:
    return Obj({"text": label, "value": Str(150), "description": plain(75), **more}, ("text", "value"))


OPTION = _option(plain(75))
MARKED_OPTION = Obj({"text": text(75), "value": Str(150), "description": text(75)}, ("text", "value"))
GROUP = Obj({"label": plain(75), "options": Array(OPTION, 1, 100)}, ("label", "options"))

# --- Elements ---------------------------------------------------------------------------------------


def _element(
    keys: Mapping[str, Node],
    needed: tuple[str, ...] = (),
    rules: tuple[Rule, ...] = (),
    *,
    confirm: bool = True,
) -> Obj:
    common: dict[str, Node] = {"type": TYPE, "action_id": ID}
    if confirm:
        common["confirm"] = CONFIRM
    return Obj({**common, **keys}, ("type", *needed), rules)


PLACED: dict[str, Node] = {"placeholder": plain(150), "focus_on_load": Bool()}
CHOICES: dict[str, Node] = {**PLACED, "options": Array(OPTION, 1, 100), "option_groups": Array(GROUP, 1, 100)}
EITHER_OPTIONS = (_one_of("options", "option_groups"), _initial_is_an_option)
TICKS: dict[str, Node] = {"options": Array(MARKED_OPTION, 1, 10), "focus_on_load": Bool()}
TYPED: dict[str, Node] = {
    **PLACED,
    "dispatch_action_config": Obj(
        {"trigger_actions_on": Array(Str(among=("on_enter_pressed", "on_character_entered")), 1, 2)}
    ),
}

BUTTON = _element(
    {
        "text": plain(75),
        "value": Str(2000),
        "url": LINK,
        "style": Str(among=("primary", "danger")),
        "accessibility_label": Str(75),
    },
    ("text",),
)
OVERFLOW = _element({"options": Array(_option(plain(75), url=LINK), 1, 5)}, ("options",))
SELECTS = {
    "static_select": _element({**CHOICES, "initial_option": OPTION}, rules=EITHER_OPTIONS),
    "external_select": _element({**PLACED, "initial_option": OPTION, "min_query_length": Int(0, 100)}),
    "datepicker": _element({**PLACED, "initial_date": DATE}),
    "users_select": _element({**PLACED, "initial_user": ID}),
    "checkboxes": _element(
        {**TICKS, "initial_options": Array(MARKED_OPTION, 1, 10)}, ("options",), (_initial_is_an_option,)
    ),
    "radio_buttons": _element(
        {**TICKS, "initial_option": MARKED_OPTION}, ("options",), (_initial_is_an_option,)
    ),
}
MULTI = _element(
    {**CHOICES, "initial_options": Array(OPTION, 1, 100), "max_selected_items": Int(1, 100)},
    rules=EITHER_OPTIONS,
)
MULTI_EXTERNAL = _element(
    {
        **PLACED,
        "initial_options": Array(OPTION, 1, 100),
        "min_query_length": Int(0, 100),
        "max_selected_items": Int(1, 100),
    }
)
MOMENT = _element({"initial_date_time": Int(10**9, 10**10 - 1), "focus_on_load": Bool()})
IMAGE = Obj(IMAGE_KEYS, ("type", "alt_text"), (_one_of("image_url", "slack_file"),))
INPUTS = {
    **SELECTS,
    "multi_static_select": MULTI,
    "multi_external_select": MULTI_EXTERNAL,
    "datetimepicker": MOMENT,
    "plain_text_input": _element(
        {
            **TYPED,
            "initial_value": Str(3000, 0),
            "multiline": Bool(),
            "min_length": Int(0, 3000),
            "max_length": Int(1, 3000),
        },
        rules=(_length_range,),
        confirm=False,
    ),
    "number_input": _element(
        {
            **TYPED,
            "is_decimal_allowed": Bool(),
            "initial_value": Str(40),
            "min_value": Str(40),
            "max_value": Str(40),
        },
        ("is_decimal_allowed",),
        confirm=False,
    ),
}
ACTIONS = {"button": BUTTON, "overflow": OVERFLOW, **SELECTS, "datetimepicker": MOMENT}
ACCESSORIES = {
    "button": BUTTON,
    "overflow": OVERFLOW,
    "image": IMAGE,
    **SELECTS,
    "multi_static_select": MULTI,
}

# --- Rich text --------------------------------------------------------------------------------------

STYLE = Obj({"bold": Bool(), "italic": Bool(), "strike": Bool(), "code": Bool(), "underline": Bool()})
MENTION_STYLE = Obj({**STYLE.keys, "highlight": Bool(), "client_highlight": Bool(), "unlink": Bool()})


def _part(keys: Mapping[str, Node], needed: tuple[str, ...], style: Obj = STYLE) -> Obj:
    return Obj({"type": TYPE, "style": style, **keys}, ("type", *needed))


PARTS = {
    "text": _part({"text": Str(40_000)}, ("text",)),
    "link": _part({"url": LINK, "text": Str(3000), "unsafe": Bool()}, ("url",)),
    "user": _part({"user_id": ID}, ("user_id",), MENTION_STYLE),
    "usergroup": _part({"usergroup_id": ID}, ("usergroup_id",), MENTION_STYLE),
    "channel": _part({"channel_id": ID}, ("channel_id",), MENTION_STYLE),
    "emoji": _part({"name": Str(100), "unicode": Str(100), "skin_tone": Int(1, 6)}, ("name",)),
    "date": _part(
        {"timestamp": Int(), "format": DATE_FORMAT, "url": LINK, "fallback": Str()}, ("timestamp", "format")
    ),
    "broadcast": _part({"range": Str(among=("here", "channel", "everyone"))}, ("range",)),
    "color": _part(
        {"value": Str(7, pattern=re.compile("#[0-9a-fA-F]{6}"), should="like #1f2937")}, ("value",)
    ),
}
LINE = Obj({"type": TYPE, "elements": Array(Tagged(PARTS, "rich text element"))}, ("type", "elements"))
BORDER = Int(0, 1)
RICH = {
    "rich_text_section": LINE,
    "rich_text_quote": Obj({**LINE.keys, "border": BORDER}, LINE.needed),
    "rich_text_preformatted": Obj(
        {
            "type": TYPE,
            "elements": Array(
                Tagged({kind: PARTS[kind] for kind in ("text", "link")}, "preformatted element")
            ),
            "border": BORDER,
            "language": Str(50),
        },
        LINE.needed,
    ),
    "rich_text_list": Obj(
        {
            "type": TYPE,
            "style": Str(among=("bullet", "ordered")),
            "elements": Array(Tagged({"rich_text_section": LINE}, "list item")),
            "indent": Int(0, 8),
            "offset": Int(0, 10_000),
            "border": BORDER,
        },
        ("type", "style", "elements"),
    ),
}

# --- Blocks, messages, views ------------------------------------------------------------------------


def _block(keys: Mapping[str, Node], needed: tuple[str, ...] = (), rules: tuple[Rule, ...] = ()) -> Obj:
    return Obj({"type": TYPE, "block_id": ID, **keys}, ("type", *needed), rules)


BLOCK_TYPES = {
    "section": _block(
        {
            "text": text(3000),
            "fields": Array(text(2000), 1, 10),
            "accessory": Tagged(ACCESSORIES, "accessory"),
            "expand": Bool(),
        },
        rules=(_at_least_one_of("text", "fields"),),
    ),
    "rich_text": _block({"elements": Array(Tagged(RICH, "rich text object"))}, ("elements",)),
    "context": _block(
        {"elements": Array(Tagged({"image": IMAGE, **text(3000).kinds}, "context element"), 1, 10)},
        ("elements",),
    ),
    "divider": _block({}),
    "header": _block({"text": plain(150)}, ("text",)),
    "actions": _block({"elements": Array(Tagged(ACTIONS, "action element"), 1, 25)}, ("elements",)),
    "image": _block({**IMAGE_KEYS, "title": plain(2000)}, IMAGE.needed, IMAGE.rules),
    "input": _block(
        {
            "label": plain(2000),
            "element": Tagged(INPUTS, "input element"),
            "hint": plain(2000),
            "optional": Bool(),
            "dispatch_action": Bool(),
        },
        ("label", "element"),
    ),
}
BLOCKS = Array(Tagged(BLOCK_TYPES, "block"), 0)

_FLAGS = (
    "mrkdwn", "reply_broadcast", "unfurl_links", "unfurl_media", "replace_original", "delete_original",
)  # fmt: skip
_WORDS = ("channel", "ts", "user", "thread_ts", "response_type")
MESSAGE = Obj(
    {
        "text": Str(10**9, 0),  # its limit depends on the method: lint_message knows
        "blocks": Anything(),
        "metadata": Anything(),
        **dict.fromkeys(_FLAGS, Bool()),
        **dict.fromkeys(_WORDS, ID),
    }
)
METADATA = Obj({"event_type": ID, "event_payload": Json()}, ("event_type", "event_payload"))

_VIEW: dict[str, Node] = {
    "type": TYPE,
    "blocks": Anything(),
    "callback_id": ID,
    "external_id": ID,
    "private_metadata": Str(3000, 0),
}
VIEWS = Tagged(
    {
        "home": Obj(_VIEW, ("type", "blocks")),
        "modal": Obj(
            {
                **_VIEW,
                "title": plain(24),
                "submit": plain(24),
                "close": plain(24),
                "clear_on_close": Bool(),
                "notify_on_close": Bool(),
                "submit_disabled": Bool(),
            },
            ("type", "blocks", "title"),
        ),
    },
    "view",
)
