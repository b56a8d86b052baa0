"""Payloads drawn from Polar's schemas are understood, whichever optional fields are absent or null."""

import json
import uuid
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from polar.events import RESOURCES, facts, parse, summarise

DOCUMENT = json.loads((Path(__file__).parent.parent / "payloads" / "webhook-schemas.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
# Published after the document was recorded: a subscription with two fields beside it.
PAYLOADS = {
    **DOCUMENT["webhooks"],
    "subscription.migrated": DOCUMENT["webhooks"]["subscription.updated"],
}
DEEPEST = 9

TEXTS = [
    "",
    "Jane Doe",
    "a\nb\tc\x00\x1b",
    "\u202eevil",
    "<!channel> *_~`",
    "{0} {who} %s",
    "é漢字👩‍👩‍👧",
    "x" * 3000,
    "'; DROP TABLE events; --",
    "null",
]
DATES = [
    "2026-11-21T03:18:14.744690Z",
    "2026-11-21T03:18:14Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-11-21T03:18:14+02:00",
]
NUMBERS = [0, 1, -1, 99, 2900, 123_456_789_012, -(2**62), 2**62]


class Drawing:
    """Values for schemas; `fill` says whether optional fields are absent, null, present or mixed."""

    def __init__(self, random: Random, fill: str) -> None:
        self.random = random
        self.fill = fill

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        if "$ref" in schema:
            return self.value(SCHEMAS[schema["$ref"].rpartition("/")[2]], depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "anyOf" in schema:
            return self.value(self.option(schema["anyOf"], depth), depth)
        return getattr(self, schema.get("type", "string"))(schema, depth + 1)

    def option(self, options: list[dict[str, Any]], depth: int) -> dict[str, Any]:
        null = {"type": "null"}
        if null in options and (self.fill == "null" or (self.fill == "mixed" and self.random.random() < 0.5)):
            return null
        values = [one for one in options if one != null]
        # A filter may hold filters: deep down only the first variant, which does not.
        return values[0] if depth > DEEPEST else self.random.choice(values)

    def object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        drawn = {
            name: self.value(field, depth)
            for name, field in schema.get("properties", {}).items()
            if name in required or self.present()
        }
        free = schema.get("additionalProperties")
        if isinstance(free, dict) and self.fill != "absent":
            keys = [self.string(schema.get("propertyNames", {}), depth) for _ in range(2)]
            drawn |= {key: self.value(free, depth) for key in keys}
        return drawn

    def present(self) -> bool:
        return self.fill != "absent" and (self.fill != "mixed" or self.random.random() < 0.5)

    def array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(item, depth) for item in schema["prefixItems"]]
        most = 0 if depth > DEEPEST or self.fill == "absent" else 2
        length = max(schema.get("minItems", 0), self.random.randint(0, most))
        return [self.value(schema.get("items", {}), depth) for _ in range(length)]

    def string(self, schema: dict[str, Any], _: int) -> str:
        match schema.get("format"):
            case "uuid" | "uuid4":
                return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
            case "date-time":
                return self.random.choice(DATES)
        if "pattern" in schema:
            return "0.25"
        text = self.random.choice(TEXTS)
        return (text or "x" * schema.get("minLength", 0))[: schema.get("maxLength")]

    def integer(self, schema: dict[str, Any], _: int) -> int:
        low = max(schema.get("minimum", -(2**62)), schema.get("exclusiveMinimum", -(2**62)) + 1)
        return int(min(max(self.random.choice(NUMBERS), low), schema.get("maximum", 2**62)))

    def number(self, _: dict[str, Any], __: int) -> float:
        return self.random.choice([0, 0.5, -3, 1e15, 1e300])

    def boolean(self, _: dict[str, Any], __: int) -> bool:
        return self.random.random() < 0.5

    def null(self, _: dict[str, Any], __: int) -> None:
        return None


def draw(random: Random, fill: str, event_type: str) -> dict[str, Any]:
    payload: dict[str, Any] = Drawing(random, fill).value(PAYLOADS[event_type])
    return payload | {"type": event_type}


def assert_understood(payload: dict[str, Any]) -> None:
    event = parse(json.dumps(payload).encode())

    assert event.problem is None
    assert event.subject is not None
    assert event.subject.id == payload["data"]["id"]
    assert event.subject.id in event.related_ids
    assert event.fact_key is not None
    assert event.order_key.timestamp == event.timestamp
    line = summarise(event)
    assert 0 < len(line) <= 200
    assert line.replace("\u200d", "").isprintable()
    shown = facts(event)
    assert 0 < len(shown) <= 4
    assert all(fact.label and 0 < len(fact.value) <= 100 for fact in shown)


def test_the_document_and_the_table_name_the_same_types() -> None:
    assert set(PAYLOADS) == set(RESOURCES)


@pytest.mark.parametrize("fill", ["absent", "null", "present", "mixed"])
@pytest.mark.parametrize("event_type", sorted(DOCUMENT["webhooks"]))
def test_the_drawn_payloads_are_what_polar_documents(event_type: str, fill: str) -> None:
    schema = {**DOCUMENT["webhooks"][event_type], "components": DOCUMENT["components"]}

    Draft202012Validator(schema).validate(draw(Random(event_type), fill, event_type))  # noqa: S311 (not secret)


@pytest.mark.parametrize("fill", ["absent", "null", "present", "mixed"])
@given(random=st.randoms(use_true_random=True), event_type=st.sampled_from(sorted(PAYLOADS)))
def test_a_payload_of_any_type_is_understood_and_summarised(
    fill: str, random: Random, event_type: str
) -> None:
    assert_understood(draw(random, fill, event_type))


def fields_that_may_be_missing(event_type: str) -> list[tuple[str, bool]]:
    """The fields of `data` that may be absent (True) or null (False), over all variants of the data."""
    found: set[tuple[str, bool]] = set()
    variants = [SCHEMAS[PAYLOADS[event_type]["$ref"].rpartition("/")[2]]["properties"]["data"]]
    while variants:
        schema = variants.pop()
        if "$ref" in schema:
            schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
        variants.extend(schema.get("anyOf", ()))
        for name, field in schema.get("properties", {}).items():
            if name not in schema["required"]:
                found.add((name, True))
            if {"type": "null"} in field.get("anyOf", ()):
                found.add((name, False))
    return sorted(found)


@pytest.mark.parametrize("event_type", sorted(PAYLOADS))
def test_each_optional_field_alone_may_be_absent_or_null(event_type: str) -> None:
    random = Random(event_type)  # noqa: S311 (not secret)
    for field, absent in fields_that_may_be_missing(event_type):
        payload = draw(random, "present", event_type)
        if absent:
            payload["data"].pop(field, None)
        elif field in payload["data"]:
            payload["data"][field] = None
        assert_understood(payload)


@given(random=st.randoms(use_true_random=True), event_type=st.sampled_from(sorted(PAYLOADS)))
def test_no_broken_payload_is_lost_or_raises(random: Random, event_type: str) -> None:
    payload = draw(random, "mixed", event_type)
    place: Any = payload["data"]
    while True:
        key = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or random.random() < 0.3:
            break
        place = place[key]
    place[key] = random.choice([None, [], {}, "", "x", -1, 2**70, True, [[]], {"id": 1}])

    event = parse(json.dumps(payload).encode())

    assert (event.problem is None) == (event.resource is not None)
    assert event.type == event_type
    assert 0 < len(summarise(event)) <= 200
    assert len(facts(event)) <= 4
