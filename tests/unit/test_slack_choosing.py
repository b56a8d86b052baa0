"""What Slack's client lets a person put into an element, and what it says when the form is not complete."""

import pytest

from bot.demo.slack.payloads import REQUIRED, CannotAct, chosen, unfinished, view_state


def plain(text):
    return {"type": "plain_text", "text": text}


def option(value):
    return {"text": plain(value), "value": value}


HOUR, DAY, WEEK = option("hour"), option("day"), option("week")
SELECT = {"type": "static_select", "action_id": "e", "options": [HOUR, DAY]}
GROUPED = {
    "type": "static_select",
    "action_id": "e",
    "option_groups": [{"label": plain("g"), "options": [DAY]}],
}
MULTI = {**SELECT, "type": "multi_static_select"}
EXTERNAL = {"type": "external_select", "action_id": "e", "initial_option": HOUR}
TYPED = {"type": "plain_text_input", "action_id": "e", "min_length": 2, "max_length": 4}
NUMBER = {
    "type": "number_input",
    "action_id": "e",
    "is_decimal_allowed": False,
    "min_value": "1",
    "max_value": "9",
}
DECIMAL = {"type": "number_input", "action_id": "e", "is_decimal_allowed": True}
DATE = {"type": "datepicker", "action_id": "e"}
MOMENT = {"type": "datetimepicker", "action_id": "e"}
BUTTON = {"type": "button", "action_id": "e", "text": plain("Go")}


def block(element, **more):
    return {"type": "input", "block_id": "b", "label": plain("l"), "element": element, **more}


# Each line: an element, what is given, and what the app gets.
CHOICES = [
    ({**BUTTON, "value": "own"}, {"value": "forged"}, {"value": "own"}),
    (BUTTON, {"value": "forged"}, {}),
    (SELECT, {"selected_option": DAY}, {"selected_option": DAY}),
    (SELECT, {"selected_option": {"value": "day", "text": plain("forged")}}, {"selected_option": DAY}),
    (SELECT, {"value": "hour"}, {"selected_option": HOUR}),
    (SELECT, {}, {"selected_option": None}),
    (GROUPED, {"value": "day"}, {"selected_option": DAY}),
    (MULTI, {"selected_options": [DAY, HOUR]}, {"selected_options": [DAY, HOUR]}),
    (MULTI, {"selected_options": None}, {"selected_options": []}),
    (MULTI, {"selected_options": 7}, {"selected_options": []}),
    (EXTERNAL, {"value": "hour"}, {"selected_option": HOUR}),
    (EXTERNAL, {"value": "week"}, {"selected_option": WEEK}),
    (DATE, {"selected_date": "2026-11-21"}, {"selected_date": "2026-11-21"}),
    (MOMENT, {"selected_date_time": 1_800_000_000}, {"selected_date_time": 1_800_000_000}),
    (TYPED, {"value": "abc"}, {"value": "abc"}),
]


@pytest.mark.parametrize(("element", "given", "sent"), CHOICES)
def test_what_is_chosen_is_sent_as_the_element_has_it(element, given, sent):
    assert chosen(element, given, [WEEK]) == sent


@pytest.mark.parametrize(
    ("element", "given"),
    [
        (SELECT, {"value": "week"}),
        (GROUPED, {"value": "hour"}),
        (MULTI, {"selected_options": [WEEK]}),
        (EXTERNAL, {"value": "day"}),
        ({**SELECT, "type": "overflow"}, {}),
    ],
)
def test_what_is_not_offered_cannot_be_chosen(element, given):
    with pytest.raises(CannotAct):
        chosen(element, given, [WEEK])


def test_an_element_nobody_touched_has_its_initial_value():
    initial = [
        ({**SELECT, "initial_option": DAY}, {"type": "static_select", "selected_option": DAY}),
        (MULTI, {"type": "multi_static_select", "selected_options": []}),
        ({**TYPED, "initial_value": "abc"}, {"type": "plain_text_input", "value": "abc"}),
        (DATE, {"type": "datepicker", "selected_date": None}),
    ]
    for element, state in initial:
        assert view_state([block(element)], {}) == {"b": {"e": state}}
        assert view_state([block(element)], {"b": {"e": "no object"}}) == {"b": {"e": state}}


def test_buttons_have_no_state():
    assert view_state([{"type": "actions", "block_id": "b", "elements": [BUTTON]}], {}) == {}


# Each line: an element, what it holds, and whether Slack's client lets it through.
ANSWERS = [
    (TYPED, "ab", True),
    (TYPED, "a", False),
    (TYPED, "abcde", False),
    (TYPED, 7, False),
    (NUMBER, "9", True),
    (NUMBER, "9.5", False),
    (NUMBER, "10", False),
    (NUMBER, "0", False),
    (NUMBER, "many", False),
    (NUMBER, "Infinity", False),
    (DECIMAL, "9.5", True),
    (DECIMAL, "NaN", False),
    (DATE, "2026-02-29", False),
    (DATE, "2028-02-29", True),
    (MOMENT, 1_800_000_000, True),
]


@pytest.mark.parametrize(("element", "value", "complete"), ANSWERS)
def test_the_client_lets_only_good_answers_through(element, value, complete):
    key = {"datepicker": "selected_date", "datetimepicker": "selected_date_time"}.get(
        element["type"], "value"
    )
    state = view_state([block(element)], {"b": {"e": {key: value}}})
    assert (unfinished([block(element)], state) == {}) is complete


def test_a_required_input_must_be_answered_and_an_optional_one_need_not():
    for element in (TYPED, SELECT, MULTI, DATE, MOMENT, NUMBER):
        state = view_state([block(element)], {})
        assert unfinished([block(element)], state) == {"b": REQUIRED}
        assert unfinished([block(element, optional=True)], state) == {}
