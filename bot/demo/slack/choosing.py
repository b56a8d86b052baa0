"""The values that a person may put into an element, as Slack's client lets them; pure."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from bot.demo.slack.payloads import STATELESS, VALUE_KEYS, nothing_chosen
from bot.demo.slack.state import Json, elements

REQUIRED = "Please complete this required field."


class NotOffered(Exception):
    """Slack's client does not offer this choice."""


def chosen(element: Json, given: Json, suggested: Sequence[Json] = ()) -> Json:
    """The element's part of an action or of a view's state.

    `given` holds the element's own key (`selected_option`, …) or `value` as a shorthand: an option's value.
    Raises NotOffered for an option that is not there, and for a button's value that is not its own.
    """
    kind = element["type"]
    key = VALUE_KEYS[kind]
    if kind == "button":
        return {"value": element["value"]} if "value" in element else {}
    value = given.get(key, given.get("value"))
    if key == "selected_option":
        value = None if value is None and kind not in STATELESS else _option(element, value, suggested)
    elif key == "selected_options":
        wanted = value if isinstance(value, list) else []
        value = [_option(element, one, suggested) for one in wanted]
    return {key: value}


def view_state(blocks: list[Json], values: Json, suggested: Sequence[Json] = ()) -> Json:
    """`view.state.values` for what was typed (`values[block_id][action_id]`), initial values elsewhere."""
    state: Json = {}
    for block, element in elements(blocks):
        if element["type"] in STATELESS:
            continue
        given = _at(values, block["block_id"], element["action_id"])
        untouched = nothing_chosen(element)
        held = untouched if given is None else untouched | chosen(element, given, suggested)
        state.setdefault(block["block_id"], {})[element["action_id"]] = held
    return state


def unfinished(blocks: list[Json], state: Json) -> dict[str, str]:
    """The complaints of the client beside the inputs it does not let through, by block id."""
    complaints = {}
    for block, element in elements(blocks):
        if block["type"] != "input":
            continue
        value = state[block["block_id"]][element["action_id"]][VALUE_KEYS[element["type"]]]
        if value in (None, "", []):
            if not block.get("optional"):
                complaints[block["block_id"]] = REQUIRED
        elif (complaint := _complaint(element, value)) is not None:
            complaints[block["block_id"]] = complaint
    return complaints


def _complaint(element: Json, value: Any) -> str | None:
    check = {
        "plain_text_input": _length_complaint,
        "number_input": _number_complaint,
        "datepicker": _date_complaint,
    }.get(element["type"])
    return check(element, value) if check else None


def _length_complaint(element: Json, value: Any) -> str | None:
    least, most = element.get("min_length", 0), element.get("max_length", 3000)
    if not isinstance(value, str) or not least <= len(value) <= most:
        return f"This must be {least} to {most} characters."
    return None


def _number_complaint(element: Json, value: Any) -> str | None:
    try:
        number = Decimal(str(value))
        least, most = (
            Decimal(element.get("min_value", "-Infinity")),
            Decimal(element.get("max_value", "Infinity")),
        )
    except InvalidOperation:
        return "Enter a number."
    if not number.is_finite() or (not element["is_decimal_allowed"] and number != int(number)):
        return "Enter a whole number."
    return None if least <= number <= most else f"Enter a number from {least} to {most}."


def _date_complaint(_: Json, value: Any) -> str | None:
    try:
        date.fromisoformat(str(value))
    except ValueError:
        return "Enter a date."
    return None


def _option(element: Json, wanted: Any, suggested: Sequence[Json]) -> Json:
    name = wanted.get("value") if isinstance(wanted, dict) else wanted
    groups = element.get("option_groups") or [element]
    offered = [option for group in groups for option in group.get("options", ())]
    if element["type"] in ("external_select", "multi_external_select"):
        initial = [element["initial_option"]] if "initial_option" in element else []
        offered = [*suggested, *initial, *element.get("initial_options", ())]
    for option in offered:
        if option["value"] == name:
            return dict(option)
    raise NotOffered(f"There is no option {name!r} here.")


def _at(values: Json, block_id: str, action_id: str) -> Json | None:
    block = values.get(block_id)
    held = block.get(action_id) if isinstance(block, dict) else None
    return held if isinstance(held, dict) else None
