"""Fills in forms as a person would, and checks a request against Polar's own document."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from polar.catalog import Call

SCHEMAS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "payloads" / "request-schemas.json").read_text("utf-8")
)
ANY_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
OPTION = {
    "text": {"type": "plain_text", "text": "Jane Doe (jane@example.com)", "emoji": False},
    "value": ANY_ID,
}
# What a person types where any text will not do, by the last part of a question's path.
TYPED = {
    "amounts": "eur = 5.00\njpy = 300",
    "archived": f"{ANY_ID} = true",
    "customer_ip_address": "192.0.2.7",
    "country": "DE",
    "prices": "{}",
    "slug": "t-shirt_size",
    "mime_type": "image/png",
    "activation_id": ANY_ID,
    "slack_integration_id": ANY_ID,
}
EMAILS = ("email", "customer_email")
URLS = ("url", "avatar_url", "website", "success_url", "return_url")


def typed(block: Mapping[str, Any]) -> str:
    """A text for a plain text input."""
    name = str(block["block_id"]).rpartition(".")[2]
    if name in TYPED:
        return TYPED[name]
    if name in EMAILS:
        return "jane@example.com"
    if name in URLS:
        return "https://example.com/here"
    if "plan = gold" in block.get("hint", {}).get("text", ""):
        return "plan = gold\nseats = 5\ntrial = false"
    return "Anything"


def answer(block: Mapping[str, Any], *, more: str = "none") -> dict[str, Any]:
    """What somebody enters into one input; `more`: "none" (but what is needed) or "all" that may be added."""
    return _ENTERED[block["element"]["type"]](block, more)


def _number(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    whole = not block["element"]["is_decimal_allowed"]
    return {"value": "29" if whole else "12.5" if "ercent" in _label(block) else "7.00"}


def _select(block: Mapping[str, Any], _: str) -> dict[str, Any]:
    element = block["element"]
    if block["block_id"].endswith("currency"):
        return {"selected_option": _named(element, "eur")}
    return {"selected_option": element.get("initial_option") or _offered(element)[0]}


def _several(block: Mapping[str, Any], more: str) -> dict[str, Any]:
    offered = _offered(block["element"])
    if block["block_id"] != "more":
        return {"selected_options": offered[:2]}
    return {"selected_options": offered if more == "all" else [] if block["optional"] else offered[:1]}


_ENTERED: dict[str, Callable[[Mapping[str, Any], str], dict[str, Any]]] = {
    "plain_text_input": lambda block, _: {"value": typed(block)},
    "number_input": _number,
    "static_select": _select,
    "multi_static_select": _several,
    "checkboxes": lambda block, _: {"selected_options": block["element"]["options"]},
    "datetimepicker": lambda _, __: {"selected_date_time": 1_893_456_000},
    "external_select": lambda _, __: {"selected_option": OPTION},
    "multi_external_select": lambda _, __: {"selected_options": [OPTION]},
}


def state(view: Mapping[str, Any], *, more: str = "none") -> dict[str, Any]:
    """`view.state.values` after everything was filled in."""
    inputs = [block for block in view["blocks"] if block["type"] == "input"]
    return {
        block["block_id"]: {
            block["element"]["action_id"]: {"type": block["element"]["type"], **answer(block, more=more)}
        }
        for block in inputs
    }


def _label(block: Mapping[str, Any]) -> str:
    return str(block["label"]["text"])


def _offered(element: Mapping[str, Any]) -> list[Any]:
    groups = element.get("option_groups") or [element]
    return [option for group in groups for option in group["options"]]


def _named(element: Mapping[str, Any], value: str) -> Any:
    return next(one for one in _offered(element) if one["value"] == value)


def _is_uuid4(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", value)
    )


CHECKER = FormatChecker()
CHECKER.checks("uuid4")(_is_uuid4)


def faults(call: Call) -> list[str]:
    """What Polar's document has against a request; nothing when it is exactly what it asks for."""
    known = SCHEMAS["operations"].get(call.operation)
    if known is None:
        return [f"{call.operation} is none of the 62"]
    found = [
        f"{name} is missing"
        for name, one in known["parameters"].items()
        if one["required"] and name not in {**call.path, **call.query}
    ]
    for where, values in (("path", call.path), ("query", call.query)):
        for name, value in values.items():
            one = known["parameters"].get(name)
            if one is None or one["in"] != where:
                found.append(f"there is no {where} parameter {name}")
            else:
                found += _against(one["schema"], value)
    body = known["body"]
    if body is None:
        return found + ([] if call.body is None else ["it takes no body"])
    if call.body is None:
        return found + (["the body is missing"] if body["required"] else [])
    return found + _against(body["schema"], call.body)


def _against(schema: Mapping[str, Any], value: Any) -> list[str]:
    whole = {**schema, "components": SCHEMAS["components"]}
    return [
        f"{error.json_path}: {error.message}"[:300]
        for error in Draft202012Validator(whole, format_checker=CHECKER).iter_errors(value)
    ]
