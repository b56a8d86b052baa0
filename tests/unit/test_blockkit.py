"""The Block Kit linter: each of Slack's limits, the surfaces, and whatever else may come as JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.models import blocks as sdk

from bot.demo.blockkit import lint_message, lint_options, lint_view


def lint_blocks(blocks):
    return lint_message({"text": "x", "blocks": blocks})


def plain(length=1):
    return {"type": "plain_text", "text": "x" * length}


def mrkdwn(length=1):
    return {"type": "mrkdwn", "text": "x" * length}


def option(label=1, value=1, **more):
    return {"text": plain(label), "value": "v" * value, **more}


def button(**more):
    return {"type": "button", "text": plain(), "action_id": "a", **more}


def actions(*elements):
    return {"type": "actions", "elements": list(elements)}


def select(**more):
    return {"type": "static_select", "action_id": "s", **more}


def field(element, **more):
    return {"type": "input", "label": plain(), "element": {"action_id": "e", **element}, **more}


def rich(*elements, kind="rich_text_section", **more):
    return {"type": "rich_text", "elements": [{"type": kind, "elements": list(elements), **more}]}


def confirm(**more):
    return button(confirm={"title": plain(), "text": mrkdwn(), "confirm": plain(), "deny": plain(), **more})


def modal(*blocks, **more):
    return {"type": "modal", "title": plain(), "submit": plain(), "blocks": list(blocks), **more}


DIVIDER = {"type": "divider"}
GROUP = {"label": plain(), "options": [option()]}
TEXT = {"type": "text", "text": "x"}


def pointers(findings):
    return [finding.pointer for finding in findings]


# Each line: what makes a block with n of something, the greatest n, and where it is said.
BLOCK_LIMITS = {
    "section text": (lambda n: {"type": "section", "text": mrkdwn(n)}, 3000, "/text/text"),
    "section field": (lambda n: {"type": "section", "fields": [mrkdwn(n)]}, 2000, "/fields/0/text"),
    "section fields": (lambda n: {"type": "section", "fields": [mrkdwn()] * n}, 10, "/fields"),
    "header": (lambda n: {"type": "header", "text": plain(n)}, 150, "/text/text"),
    "context elements": (lambda n: {"type": "context", "elements": [mrkdwn()] * n}, 10, "/elements"),
    "actions elements": (lambda n: actions(*[button(action_id=f"a{i}") for i in range(n)]), 25, "/elements"),
    "block_id": (lambda n: {"type": "divider", "block_id": "b" * n}, 255, "/block_id"),
    "action_id": (lambda n: actions(button(action_id="a" * n)), 255, "/elements/0/action_id"),
    "button text": (lambda n: actions(button(text=plain(n))), 75, "/elements/0/text/text"),
    "button value": (lambda n: actions(button(value="v" * n)), 2000, "/elements/0/value"),
    "button url": (lambda n: actions(button(url="https://e.x/" + "u" * (n - 12))), 3000, "/elements/0/url"),
    "label": (lambda n: actions(button(accessibility_label="l" * n)), 75, "/elements/0/accessibility_label"),
    "confirm title": (lambda n: actions(confirm(title=plain(n))), 100, "/elements/0/confirm/title/text"),
    "confirm text": (lambda n: actions(confirm(text=mrkdwn(n))), 300, "/elements/0/confirm/text/text"),
    "confirm button": (lambda n: actions(confirm(confirm=plain(n))), 30, "/elements/0/confirm/confirm/text"),
    "confirm deny": (lambda n: actions(confirm(deny=plain(n))), 30, "/elements/0/confirm/deny/text"),
    "overflow options": (
        lambda n: actions({"type": "overflow", "action_id": "o", "options": [option()] * n}),
        5,
        "/elements/0/options",
    ),
    "select options": (lambda n: actions(select(options=[option()] * n)), 100, "/elements/0/options"),
    "select groups": (lambda n: actions(select(option_groups=[GROUP] * n)), 100, "/elements/0/option_groups"),
    "option text": (lambda n: actions(select(options=[option(n)])), 75, "/elements/0/options/0/text/text"),
    "option value": (lambda n: actions(select(options=[option(1, n)])), 150, "/elements/0/options/0/value"),
    "option description": (
        lambda n: actions(select(options=[option(description=plain(n))])),
        75,
        "/elements/0/options/0/description/text",
    ),
    "placeholder": (
        lambda n: actions(select(options=[option()], placeholder=plain(n))),
        150,
        "/elements/0/placeholder/text",
    ),
    "checkboxes": (
        lambda n: actions({"type": "checkboxes", "action_id": "c", "options": [option()] * n}),
        10,
        "/elements/0/options",
    ),
    "radio buttons": (
        lambda n: actions({"type": "radio_buttons", "action_id": "c", "options": [option()] * n}),
        10,
        "/elements/0/options",
    ),
    "image alt text": (
        lambda n: {"type": "image", "image_url": "https://e.x/i.png", "alt_text": "a" * n},
        2000,
        "/alt_text",
    ),
}

INPUT_LIMITS = {
    "label": (lambda n: field({"type": "datepicker"}, label=plain(n)), 2000, "/label/text"),
    "hint": (lambda n: field({"type": "datepicker"}, hint=plain(n)), 2000, "/hint/text"),
    "max_length": (
        lambda n: field({"type": "plain_text_input", "max_length": n}),
        3000,
        "/element/max_length",
    ),
}

VIEW_LIMITS = {
    "title": (lambda n: modal(DIVIDER, title=plain(n)), 24, "/title/text"),
    "submit": (lambda n: modal(DIVIDER, submit=plain(n)), 24, "/submit/text"),
    "close": (lambda n: modal(DIVIDER, close=plain(n)), 24, "/close/text"),
    "callback_id": (lambda n: modal(DIVIDER, callback_id="c" * n), 255, "/callback_id"),
    "private_metadata": (lambda n: modal(DIVIDER, private_metadata="p" * n), 3000, "/private_metadata"),
    "blocks": (lambda n: modal(*[DIVIDER] * n), 100, "/blocks"),
}


@pytest.mark.parametrize(("make", "most", "where"), BLOCK_LIMITS.values(), ids=BLOCK_LIMITS)
def test_a_block_is_taken_up_to_its_limit_and_refused_above(make, most, where):
    assert lint_blocks([make(most)]) == []
    assert pointers(lint_blocks([make(most + 1)])) == [f"/blocks/0{where}"]


@pytest.mark.parametrize(("make", "most", "where"), INPUT_LIMITS.values(), ids=INPUT_LIMITS)
def test_an_input_is_taken_up_to_its_limit_and_refused_above(make, most, where):
    assert lint_view(modal(make(most))) == []
    assert pointers(lint_view(modal(make(most + 1)))) == [f"/blocks/0{where}"]


@pytest.mark.parametrize(("make", "most", "where"), VIEW_LIMITS.values(), ids=VIEW_LIMITS)
def test_a_view_is_taken_up_to_its_limit_and_refused_above(make, most, where):
    assert lint_view(make(most)) == []
    assert pointers(lint_view(make(most + 1))) == [where]


@pytest.mark.parametrize(("update", "most"), [(False, 40_000), (True, 4_000)])
def test_the_text_of_a_message_has_another_limit_when_it_is_updated(update, most):
    assert lint_message({"text": "x" * most}, update=update) == []
    assert pointers(lint_message({"text": "x" * (most + 1)}, update=update)) == ["/text"]


def test_a_message_holds_fifty_blocks():
    assert lint_message({"blocks": [DIVIDER] * 50}) == []
    assert pointers(lint_message({"blocks": [DIVIDER] * 51})) == ["/blocks"]


def test_a_message_needs_text_or_blocks():
    assert pointers(lint_message({"channel": "C1"})) == [""]
    assert pointers(lint_message({"text": "", "blocks": []})) == [""]
    assert lint_message({"metadata": {"event_type": "e", "event_payload": {}}}, update=True) == []


def test_metadata_has_its_two_keys_and_a_size():
    assert lint_message({"text": "x", "metadata": {"event_type": "e", "event_payload": {"id": "p"}}}) == []
    assert pointers(lint_message({"text": "x", "metadata": {"event_type": "e"}})) == [
        "/metadata/event_payload"
    ]
    large = {"event_type": "e", "event_payload": {"text": "x" * 16_000}}
    assert pointers(lint_message({"text": "x", "metadata": large})) == ["/metadata"]


def test_a_view_is_at_most_250_kilobytes():
    blocks = [{"type": "section", "text": mrkdwn(2990)} for _ in range(90)]
    assert pointers(lint_view(modal(*blocks))) == [""]


# Each line: a block that Slack refuses, and where.
REFUSED = {
    "empty text": ({"type": "section", "text": mrkdwn(0)}, "/text/text"),
    "section of nothing": ({"type": "section"}, ""),
    "mrkdwn in a header": ({"type": "header", "text": mrkdwn()}, "/text/type"),
    "mrkdwn in a button": (actions(button(text=mrkdwn())), "/elements/0/text/type"),
    "unknown block": ({"type": "alert"}, "/type"),
    "no type": ({}, "/type"),
    "no object": (7, ""),
    "no string": ({"type": "divider", "block_id": 7}, "/block_id"),
    "unknown element": (actions({"type": "channels_select"}), "/elements/0/type"),
    "typed text among actions": (actions({"type": "plain_text_input"}), "/elements/0/type"),
    "unknown key": ({"type": "divider", "style": "thick"}, "/style"),
    "hidden button": (actions(button(visible_to_user_ids=["U1"])), "/elements/0/visible_to_user_ids"),
    "unknown style": (actions(button(style="default")), "/elements/0/style"),
    "script link": (actions(button(url="javascript:alert(1)")), "/elements/0/url"),
    "no overflow options": (
        actions({"type": "overflow", "action_id": "o", "options": []}),
        "/elements/0/options",
    ),
    "options twice": (actions(select(options=[option()], option_groups=[GROUP])), "/elements/0"),
    "options nowhere": (actions(select()), "/elements/0"),
    "initial is no option": (
        actions(select(options=[option()], initial_option=option(1, 2))),
        "/elements/0/initial_option",
    ),
    "initials are no options": (
        {
            "type": "section",
            "text": mrkdwn(),
            "accessory": {"type": "checkboxes", "options": [option()], "initial_options": [option(2)]},
        },
        "/accessory/initial_options",
    ),
    "same action twice": (actions(button(), button()), "/elements/1/action_id"),
    "image without alt text": ({"type": "image", "image_url": "https://e.x/i"}, "/alt_text"),
    "image without source": ({"type": "image", "alt_text": "a"}, ""),
    "empty rich text": (rich({"type": "text", "text": ""}), "/elements/0/elements/0/text"),
    "unknown rich style": (rich({**TEXT, "style": {"blink": True}}), "/elements/0/elements/0/style/blink"),
    "mention in preformatted": (
        rich({"type": "user", "user_id": "U1"}, kind="rich_text_preformatted"),
        "/elements/0/elements/0/type",
    ),
    "text straight in a list": (
        rich(TEXT, kind="rich_text_list", style="bullet"),
        "/elements/0/elements/0/type",
    ),
    "list without style": (
        rich({"type": "rich_text_section", "elements": [TEXT]}, kind="rich_text_list"),
        "/elements/0/style",
    ),
    "date without a token": (
        rich({"type": "date", "timestamp": 1, "format": "soon"}),
        "/elements/0/elements/0/format",
    ),
    "unknown date token": (
        rich({"type": "date", "timestamp": 1, "format": "{hour}"}),
        "/elements/0/elements/0/format",
    ),
    "date in milliseconds": (
        rich({"type": "date", "timestamp": 1_700_000_000_000, "format": "{date}"}),
        "/elements/0/elements/0/timestamp",
    ),
    "broadcast to all": (rich({"type": "broadcast", "range": "all"}), "/elements/0/elements/0/range"),
    "colour by name": (rich({"type": "color", "value": "red"}), "/elements/0/elements/0/value"),
    "text is no string": ({"type": "section", "text": {"type": "mrkdwn", "text": 7}}, "/text/text"),
    "emoji is no bool": ({"type": "header", "text": {**plain(), "emoji": 1}}, "/text/emoji"),
    "elements are no array": ({"type": "actions", "elements": {}}, "/elements"),
    "input in a message": (field({"type": "datepicker"}), "/type"),
}


@pytest.mark.parametrize(("block", "where"), REFUSED.values(), ids=REFUSED)
def test_what_slack_refuses_is_found_where_it_is(block, where):
    assert pointers(lint_blocks([block])) == [f"/blocks/0{where}"]


# Each line: an input element that Slack refuses in a modal, and where.
REFUSED_INPUTS = {
    "decimals not said": ({"type": "number_input"}, "/is_decimal_allowed"),
    "shorter than shortest": ({"type": "plain_text_input", "min_length": 9, "max_length": 3}, "/min_length"),
    "no date": ({"type": "datepicker", "initial_date": "tomorrow"}, "/initial_date"),
    "moment as text": ({"type": "datetimepicker", "initial_date_time": "1"}, "/initial_date_time"),
    "button": (button(), "/type"),
}


@pytest.mark.parametrize(("element", "where"), REFUSED_INPUTS.values(), ids=REFUSED_INPUTS)
def test_what_slack_refuses_in_an_input_is_found(element, where):
    assert pointers(lint_view(modal(field(element)))) == [f"/blocks/0/element{where}"]


def test_a_block_id_may_be_used_once_and_an_action_id_once_in_a_block():
    twice = [{"type": "divider", "block_id": "b"}] * 2
    assert pointers(lint_blocks(twice)) == ["/blocks/1/block_id"]
    assert lint_blocks([actions(button()), actions(button())]) == []


def test_a_modal_with_an_input_needs_a_submit():
    view = modal(field({"type": "datepicker"}))
    del view["submit"]
    assert pointers(lint_view(view)) == ["/submit"]
    assert lint_view({**view, "blocks": [DIVIDER]}) == []


def test_a_home_has_neither_title_nor_submit_nor_close():
    home = {"type": "home", "blocks": [DIVIDER]}
    assert lint_view(home) == []
    extra = {"title": plain(), "submit": plain(), "close": plain()}
    assert sorted(pointers(lint_view({**home, **extra}))) == ["/close", "/submit", "/title"]


def test_one_element_of_a_view_may_take_the_focus():
    eager = {"type": "datepicker", "focus_on_load": True}
    assert lint_view(modal(field(eager))) == []
    assert pointers(lint_view(modal(field(eager), field(eager)))) == ["/blocks"]


def test_options_for_a_suggestion_have_the_limits_of_a_select():
    assert lint_options({"options": [option()] * 100}) == []
    assert pointers(lint_options({"options": [option()] * 101})) == ["/options"]
    assert lint_options({"option_groups": [GROUP]}) == []


def test_a_pointer_escapes_what_rfc_6901_escapes():
    assert pointers(lint_blocks([{"type": "divider", "a/b~c": 1}])) == ["/blocks/0/a~1b~0c"]


def test_the_whole_rich_text_grammar_is_known():
    style = {"bold": True, "italic": True, "strike": True, "code": True}
    line = [
        {**TEXT, "style": style},
        {"type": "link", "url": "https://polar.sh", "text": "Polar"},
        {"type": "user", "user_id": "U1"},
        {"type": "usergroup", "usergroup_id": "S1"},
        {"type": "channel", "channel_id": "C1"},
        {"type": "emoji", "name": "wave", "skin_tone": 2},
        {"type": "date", "timestamp": 1, "format": "{date_short_pretty} at {time}", "fallback": "then"},
        {"type": "broadcast", "range": "here"},
        {"type": "color", "value": "#1f2937"},
    ]
    section = {"type": "rich_text_section", "elements": line}
    whole = [
        section,
        {"type": "rich_text_quote", "elements": line, "border": 1},
        {"type": "rich_text_preformatted", "elements": [TEXT], "border": 0},
        {"type": "rich_text_list", "style": "ordered", "elements": [section], "indent": 1, "offset": 2},
    ]
    assert lint_message({"text": "x", "blocks": [{"type": "rich_text", "elements": whole}]}) == []


def test_what_the_sdks_models_build_is_taken():
    text = sdk.MarkdownTextObject(text="*Refund EUR 40?*")
    choice = sdk.Option(text="Details", value="details")
    built = [
        sdk.HeaderBlock(text="Refund"),
        sdk.SectionBlock(text=text, accessory=sdk.OverflowMenuElement(action_id="more", options=[choice])),
        sdk.SectionBlock(fields=["*Who*\nBob", "*Why*\nAsked"]),
        sdk.RichTextBlock(
            elements=[sdk.RichTextQuoteElement(elements=[sdk.RichTextElementParts.Text(text="Hi")])]
        ),
        sdk.ContextBlock(elements=[text]),
        sdk.ActionsBlock(
            elements=[
                sdk.ButtonElement(text="Approve", action_id="approve", value="p", style="primary"),
                sdk.ButtonElement(text="Decline", action_id="decline", value="p", style="danger"),
            ]
        ),
    ]
    assert lint_blocks([block.to_dict() for block in built]) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
KINDS = st.sampled_from(
    ["section", "actions", "rich_text", "context", "input", "image", "header", "modal", "home"]
)
KEYS = st.sampled_from(
    "type text fields elements accessory element label options option_groups block_id action_id "
    "initial_options initial_option confirm blocks title style metadata".split()
)
NEARLY = st.recursive(
    KINDS | st.text(max_size=5) | st.integers() | st.none() | st.just("button") | st.just("plain_text"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner | KINDS, max_size=6),
    max_leaves=30,
)


@given(st.dictionaries(KEYS, JSON | NEARLY, max_size=6))
def test_no_json_makes_the_linter_fail(payload):
    findings = [*lint_message(payload), *lint_view(payload), *lint_options(payload)]
    assert all(finding.pointer == "" or finding.pointer.startswith("/") for finding in findings)


@given(st.lists(NEARLY, max_size=5))
def test_every_pointer_leads_to_a_place_or_to_a_missing_key(blocks):
    for finding in lint_blocks(blocks):
        place = {"blocks": blocks}
        *way, last = finding.pointer.split("/")[1:]
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        assert isinstance(place, (dict, list)), finding
        assert last.isdecimal() or isinstance(place, dict)


def test_json_nested_past_reason_is_a_finding():
    deep: dict = {}
    for _ in range(5000):
        deep = {"d": deep}
    found = lint_message({"text": "x", "metadata": {"event_type": "e", "event_payload": deep}})
    assert pointers(found) == ["/metadata"]
