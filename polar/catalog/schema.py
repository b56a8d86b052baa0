"""The JSON schema of a value in a request, and what is wrong with a value: each problem with its place."""

import difflib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final


@cache
def contract() -> Mapping[str, Any]:
    """catalog.json as parsed: `operations` by id, `schemas` by name. Read once."""
    content: Mapping[str, Any] = json.loads(Path(__file__).with_name("catalog.json").read_bytes())
    return content


@dataclass(frozen=True, slots=True)
class Schema:
    """One pruned schema. Its parts are made when asked for: most never are, and some hold themselves."""

    facts: Mapping[str, Any] = field(repr=False)
    name: str = ""  # of the schema in Polar's document, "" when it has none

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Schema":
        """Follows `$ref`; what stands beside the reference (nullable, deprecated) holds too."""
        name = ""
        while "$ref" in facts:
            name = facts["$ref"]
            beside = {key: value for key, value in facts.items() if key != "$ref"}
            facts = {**contract()["schemas"][name], **beside}
        return cls(facts, name)

    @property
    def type(self) -> str:
        """string, integer, number, boolean, array, object, null, union, or any."""
        if "anyOf" in self.facts:
            return "union"
        return str(self.facts.get("type", "any"))

    @property
    def nullable(self) -> bool:
        return bool(self.facts.get("nullable")) or self.type in ("null", "any")

    @property
    def format(self) -> str | None:
        """uuid4, uuid, date-time, date, email, uri, ...: as Polar's document has it."""
        return self.facts.get("format")

    @property
    def enum(self) -> tuple[Any, ...]:
        """The only values allowed; empty when any will do."""
        return tuple(self.facts.get("enum", ()))

    @property
    def deprecated(self) -> bool:
        return bool(self.facts.get("deprecated"))

    @property
    def fields(self) -> dict[str, "Schema"]:
        """The named members of an object."""
        return {name: Schema.of(facts) for name, facts in self.facts.get("properties", {}).items()}

    @property
    def required(self) -> frozenset[str]:
        return frozenset(self.facts.get("required", ()))

    @property
    def values(self) -> "Schema | None":
        """The schema of a free-form object's members (metadata, amounts); None for fixed names."""
        extra = self.facts.get("additionalProperties", "properties" not in self.facts)
        if extra is False:
            return None
        return Schema.of(extra if isinstance(extra, dict) else {})

    @property
    def keys(self) -> "Schema | None":
        """The schema of the names in a free-form object."""
        names = self.facts.get("propertyNames")
        return Schema.of({"type": "string", **names}) if names else None

    @property
    def items(self) -> "Schema":
        return Schema.of(self.facts.get("items", {}))

    @property
    def options(self) -> tuple["Schema", ...]:
        """The alternatives of a union, unions among them taken apart; of anything else, itself."""
        if self.type != "union":
            return (self,)
        return tuple(option for facts in self.facts["anyOf"] for option in Schema.of(facts).options)

    @property
    def discriminator(self) -> str | None:
        """The field whose value says which alternative is meant, where the contract names one."""
        return self.facts.get("discriminator")


class Unknown(Enum):
    """Stands for a value that a template has not filled yet; it fits every shape."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN
NAME_SHOWN = 40  # characters, the most that Polar allows in metadata

# By type of JSON: whether a value is one, and the words.
TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "string": (lambda value: isinstance(value, str), "text"),
    "integer": (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    "number": (
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        "a number",
    ),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "array": (lambda value: isinstance(value, list | tuple), "a list"),
    "object": (lambda value: isinstance(value, Mapping), "an object"),
    "any": (lambda value: True, "a value"),  # noqa: ARG005  a table of tests has one signature
    "null": (lambda value: value is None, "null"),
}


def _parses(parse: Callable[[str], Any], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_moment(text: str) -> bool:
    # Without an offset Polar would guess the zone; we hold UTC everywhere.
    return _parses(datetime.fromisoformat, text) and datetime.fromisoformat(text).tzinfo is not None


_HEX = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def _is_uuid4(text: str) -> bool:
    found = _HEX.fullmatch(text)
    return found is not None and found[1] == "4"


FORMATS: dict[str, tuple[Callable[[str], Any], str]] = {
    "uuid4": (_is_uuid4, "a UUID of version 4"),
    "uuid": (_HEX.fullmatch, "a UUID"),
    "date-time": (_is_moment, "a date and time with its zone, such as 2026-11-01T09:30:00Z"),
    "date": (lambda text: _parses(date.fromisoformat, text), "a date such as 2026-11-01"),
    "email": (re.compile(r"[^@\s]+@[^@\s]+").fullmatch, "an e-mail address"),
    "uri": (re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE).fullmatch, "a complete URL"),
}
# The fact of a schema, whether the value keeps to it, and the words.
BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", lambda value, bound: value >= bound, "must be at least {}"),
    ("maximum", lambda value, bound: value <= bound, "must be at most {}"),
    ("exclusiveMinimum", lambda value, bound: value > bound, "must be more than {}"),
    ("exclusiveMaximum", lambda value, bound: value < bound, "must be less than {}"),
    ("minLength", lambda value, bound: len(value) >= bound, "must have at least {} characters"),
    ("maxLength", lambda value, bound: len(value) <= bound, "must have at most {} characters"),
    ("minItems", lambda value, bound: len(value) >= bound, "must have at least {} entries"),
    ("maxItems", lambda value, bound: len(value) <= bound, "must have at most {} entries"),
    ("minProperties", lambda value, bound: len(value) >= bound, "must have at least {} entries"),
    ("maxProperties", lambda value, bound: len(value) <= bound, "must have at most {} entries"),
)


def expected(shape: Schema) -> str:
    """The values that a schema accepts, in words: "one of granted, revoked, disabled", "a whole number"."""
    if shape.type == "union":
        return " or ".join(dict.fromkeys(expected(option) for option in shape.options))
    if enum := shape.enum:
        shown = ", ".join(_show(value) for value in enum[:12])
        return shown if len(enum) == 1 else f"one of {shown}{', ...' if len(enum) > 12 else ''}"
    if shape.format in FORMATS:
        return FORMATS[shape.format][1]
    return TYPES[shape.type][1]


def _show(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


Place = tuple[str | int, ...]
"""The place of a value in a call, such as ("body", "prices", 0, "amount")."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of the value at `place`: its `words` go on from "`body.seats`", or from `about`."""

    place: Place
    words: str
    about: str = ""

    def __str__(self) -> str:
        return f"`{self.about or _named(self.place)}` {self.words}"


def _named(place: Place) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).removeprefix(".")


def closest(name: str, known: Collection[str]) -> str:
    """The hint after an unknown name: "; did you mean `status`?", or the few names there are, or nothing."""
    if near := difflib.get_close_matches(name, sorted(known), 1):
        return f"; did you mean `{near[0]}`?"
    if known and len(known) <= 12:
        return f"; there is {', '.join(f'`{one}`' for one in sorted(known))}"
    return ""


def problems(shape: Schema, value: Any, where: Place) -> list[Problem]:
    """The problems of a value; none when it fits.

    The value itself is never repeated: it may be a customer's.
    """
    if value is UNKNOWN or (value is None and shape.nullable):
        return []
    if value is None:
        return [Problem(where, "must not be null")]
    if shape.type == "union":
        return _union(shape, value, where)
    if not _fits(shape, value):
        return [Problem(where, f"must be {expected(shape)}")]
    found = [
        Problem(where, words.format(shape.facts[fact]))
        for fact, keeps, words in BOUNDS
        if fact in shape.facts and not keeps(value, shape.facts[fact])
    ]
    if shape.type == "array":
        for position, item in enumerate(value):
            found += problems(shape.items, item, (*where, position))
    if shape.type == "object":
        found += object_problems(shape, value, where)
    return found


def _fits(shape: Schema, value: Any) -> bool:
    if not TYPES[shape.type][0](value):
        return False
    if shape.enum and value not in shape.enum:
        return False
    check = FORMATS.get(shape.format or "")
    return check is None or not isinstance(value, str) or bool(check[0](value))


def object_problems(
    shape: Schema, value: Mapping[Any, Any], where: Place, elsewhere: Collection[str] = ()
) -> list[Problem]:
    """As `problems`, for the members of an object; `elsewhere` are the names that other variants have."""
    fields = shape.fields
    found = [Problem((*where, name), "is missing") for name in sorted(shape.required - value.keys())]
    for name, member in value.items():
        place = (*where, _shown(name))
        if name in fields:
            found += _member(shape, fields[name], name, member, place)
        elif shape.values is None:
            found.append(_unknown(shape, _shown(name), value, where, elsewhere))
        else:
            wrong = problems(shape.keys, name, where) if shape.keys else []
            found += [replace(one, about=f"a name in {_named(where)}") for one in wrong]
            found += problems(shape.values, member, place)
    return found


def _shown(name: Any) -> str:
    """A name as it may stand in a sentence: those of free-form objects may be a customer's."""
    text = "".join(one for one in str(name)[:NAME_SHOWN] if one.isalnum() or one in "_-.:$ ")
    return text if text == str(name) else f"{text}..."


def _member(shape: Schema, member: Schema, name: str, value: Any, where: Place) -> list[Problem]:
    # With an organization token Polar answers 422 to an optional organization_id
    if name == "organization_id" and name not in shape.required:
        return [Problem(where, "must be left out: the token already says which organization")]
    return problems(member, value, where)


def _unknown(
    shape: Schema, name: str, value: Mapping[Any, Any], where: Place, elsewhere: Collection[str]
) -> Problem:
    if name in elsewhere:
        others = ", ".join(f"`{other}`" for other in value if other in shape.fields and other != name)
        words = f"cannot be sent together with {others}" if others else "does not fit"
        return Problem((*where, name), words)
    return Problem(where, f"has no `{name}`{closest(name, shape.fields.keys() | set(elsewhere))}")


def _union(shape: Schema, value: Any, where: Place) -> list[Problem]:
    """None of the alternatives fits: the problems of the one that was probably meant."""
    fitting = [option for option in shape.options if TYPES[option.type][0](value)]
    if not fitting:
        return [Problem(where, f"must be {expected(shape)}")]
    if isinstance(value, Mapping):
        return _objects(shape, fitting, value, where)
    tried = [problems(option, value, where) for option in fitting]
    if all(tried) and len(tried) > 1 and not isinstance(value, list | tuple):
        return [Problem(where, f"must be {expected(shape)}")]
    return min(tried, key=len)


def _objects(shape: Schema, options: list[Schema], value: Mapping[Any, Any], where: Place) -> list[Problem]:
    named = shape.discriminator
    if named and named in value and not any(_agrees(option, value, named) for option in options):
        choice = sorted({_show(one) for option in options for one in option.fields[named].enum})
        return [Problem((*where, named), f"must be one of {', '.join(choice)}")]
    meant = [option for option in options if all(_agrees(option, value, name) for name in option.fields)]
    elsewhere = {name for option in options for name in option.fields}
    tried = [(option, object_problems(option, value, where, elsewhere)) for option in meant or options]
    return min(tried, key=lambda one: (len(value.keys() - one[0].fields.keys()), len(one[1])))[1]


def _agrees(option: Schema, value: Mapping[Any, Any], name: str) -> bool:
    """Tell whether a field that tells the alternatives apart has (or may yet have) this one's value."""
    choice = option.fields[name].enum if name in option.fields else ()
    if not choice or name not in value or value[name] is UNKNOWN:
        return True
    return value[name] in choice or (value[name] is None and option.fields[name].nullable)
