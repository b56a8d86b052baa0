"""An operation's schema as a tree of questions, for what a person has chosen so far. Pure."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from bot.forms import names
from polar.catalog import Operation, Parameter, Schema

MOST_ENTRIES = 20


class Kind(StrEnum):
    """The kind of input for a value."""

    TEXT = "text"
    LINES = "lines"  # a list of texts, one a line
    PAIRS = "pairs"  # a free-form object, `name = value` a line
    AMOUNTS = "amounts"  # currency to amount, `eur = 5.00` a line
    JSON = "json"  # what no input fits
    SCALAR = "scalar"  # text, a number, or true or false
    WHOLE = "whole number"
    DECIMAL = "number"
    MONEY = "money"
    UNIT_PRICE = "unit price"  # money, also in fractions of the smallest unit
    PERCENT = "percent"
    CHOICE = "choice"
    CHOICES = "choices"
    TICK = "tick"
    YES_NO = "yes or no"  # a boolean that may be left out
    MOMENT = "moment"
    DAY = "day"
    ONE = "one object"
    MANY = "many objects"


@dataclass(frozen=True, slots=True)
class Leaf:
    """One question. `path` names it ("body.amount"); `must` says whether it may not be left empty.

    `required`: left empty, it is sent as empty or null where the schema lets it. `source` is where objects
    are looked up. `currency` of an amount: "=usd", "@" for that of an object, or the path of the question.
    """

    path: str
    label: str
    kind: Kind
    shape: Schema = field(repr=False)
    required: bool
    must: bool
    source: str = ""
    currency: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Pick:
    """A choice that changes which questions follow; `current` is None as long as nothing is chosen."""

    path: str
    label: str
    options: tuple[str, ...]
    current: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """An object: its members, and what it holds without asking.

    Left empty it is sent empty or as null when `required`, else left out.
    """

    path: str
    label: str
    members: Mapping[str, "Node"]
    fixed: Mapping[str, Any]
    required: bool
    nullable: bool
    pick: Pick | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A list of objects; `required` as in Group."""

    path: str
    label: str
    entries: tuple["Node", ...]
    required: bool
    nullable: bool


Node = Leaf | Group | Series


@dataclass(frozen=True, slots=True)
class Form:
    """Everything one operation asks. `more` are the labels of what may be asked too, by path; `added` were
    chosen of them.
    """

    operation: Operation
    places: tuple[Leaf, ...]  # what the path names
    asked: tuple[Leaf, ...]  # of the query string
    way: Pick | None
    body: Group | None
    more: Mapping[str, str]
    added: frozenset[str]

    @property
    def complete(self) -> bool:
        """Tell whether the way is chosen."""
        return self.way is None or self.way.current is not None


# --- The ways of a body: the select that comes first --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One form of a body; see ways.toml for the words. `more` is None when any other field may be added."""

    name: str
    shape: Schema
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ask: Sequence[str] = ()
    more: Sequence[str] | None = None


def ways(operation: Operation) -> tuple[Way, ...]:
    """The forms of its body; none when it takes no body."""
    if operation.body is None:
        return ()
    own = _table().get(operation.id)
    variants = {shape.name: shape for shape in operation.body.variants}
    if own is None:
        return tuple(Way(name_of(shape), shape) for shape in variants.values())
    only = next(iter(variants.values()))
    return tuple(Way(**raw | {"shape": variants[raw["shape"]] if "shape" in raw else only}) for raw in own)


def name_of(shape: Schema) -> str:
    """An alternative of a union, in words."""
    return str(_table()["names"].get(shape.name) or shape.name)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("ways.toml").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of a shape in the tree."""

    path: str
    label: str
    required: bool
    must: bool
    currency: str = ""


class _Builder:
    def __init__(self, picks: Mapping[str, str], operation: Operation) -> None:
        self._picks = picks
        self._currency = "@" if operation.id in names.OBJECT_CURRENCY else ""
        self._labels = names.OWN_LABELS.get(operation.id, {})

    def node(self, name: str, shape: Schema, at: _Place) -> Node:
        objects = [option for option in shape.options if option.type == "object"]
        if objects and (shape.type == "union" or objects[0].values is None):
            return self._object(objects, at, nullable=shape.nullable)
        if shape.type == "array" and any(option.type == "object" for option in shape.items.options):
            return self._series(shape, at)
        kind, source = _kind(name, shape, required=at.required)
        currency = names.FIXED_CURRENCY.get(name) or at.currency or self._currency
        money = kind in (Kind.MONEY, Kind.UNIT_PRICE)
        # An unticked box is an answer, and an empty list or null may be one.
        free = shape.nullable or kind in (Kind.TICK, Kind.PAIRS, Kind.LINES, Kind.CHOICES, Kind.MANY)
        least = shape.facts.get("minItems", 0)
        must = at.must and at.required and (not free or (least > 0 and not shape.nullable))
        return Leaf(at.path, at.label, kind, shape, at.required, must, source, currency if money else "")

    def _object(self, options: list[Schema], at: _Place, *, nullable: bool) -> Group:
        pick = None
        chosen = options[0]
        if len(options) > 1:
            current = int(self._picks.get(at.path, 0))
            current = current if current < len(options) else 0
            pick = Pick(at.path, at.label, tuple(name_of(one) for one in options), current)
            chosen = options[current]
        fixed = constants(chosen)
        wanted = [name for name in chosen.fields if name not in fixed and _askable(chosen, name)]
        must = at.must and at.required and not nullable
        members = self.members(chosen, wanted, at, chosen.required, must=must)
        return Group(at.path, at.label, members, fixed, at.required, nullable, pick)

    def members(
        self, shape: Schema, wanted: list[str], at: _Place, required: frozenset[str], *, must: bool
    ) -> dict[str, Node]:
        """The questions for these fields of an object; the currency of an amount is asked with it."""
        fields = shape.fields
        currency = next((name for name in names.CURRENCY if name in fields), "")
        own = at.currency
        if currency and (not self._currency or currency in wanted):
            own = f"{at.path}.{currency}"
            if any(name in names.MONEY or name == "unit_amount" for name in wanted):
                required = required | {currency}
                wanted = [currency, *(name for name in wanted if name != currency)]
        found: dict[str, Node] = {}
        for name in sorted(wanted, key=lambda name: name not in required):
            path = f"{at.path}.{name}"
            label = self._labels.get(path) or _under(at.label, name)
            place = _Place(path, label, name in required, must, own)
            found[name] = self.node(name, fields[name], place)
            if name == currency and must and name in required and isinstance(asked := found[name], Leaf):
                found[name] = replace(asked, must=True)  # an amount needs its currency
        return found

    def _series(self, shape: Schema, at: _Place) -> Series:
        count = min(int(self._picks.get(f"{at.path}#", 1 if at.required else 0)), MOST_ENTRIES)
        must = at.must and at.required and not shape.nullable
        entries = []
        for number in range(count):
            label = at.label if number == 0 else f"{at.label} {number + 1}"
            # Only the first has to be filled in: one that was added and left empty is left out.
            place = _Place(f"{at.path}.{number}", label, True, must and number == 0, at.currency)
            entries.append(self.node("", shape.items, place))
        return Series(at.path, at.label, tuple(entries), at.required, shape.nullable)


def form_of(operation: Operation, picks: Mapping[str, str], added: frozenset[str] = frozenset()) -> Form:
    """The questions of an operation. `picks` are choices by path ("body" for the way), `added` of `more`."""
    builder = _Builder(picks, operation)
    places = tuple(_place(operation, one) for one in operation.parameters if one.where == "path")
    query = [one for one in operation.parameters if one.where == "query" and not one.deprecated]
    more = {f"query.{one.name}": names.label(one.name) for one in query}
    nodes = (
        builder.node(one.name, one.shape, _Place(path, more[path], True, True))
        for one in query
        if (path := f"query.{one.name}") in added
    )
    asked = tuple(one for one in nodes if isinstance(one, Leaf))
    way, pick = _chosen(ways(operation), picks)
    if way is not None:
        body, options = _body(operation, way, added, builder)
        return Form(operation, places, asked, pick, body, more | options, added)
    if pick is not None:
        more, added = {}, frozenset()
    return Form(operation, places, asked, pick, None, more, added)


def _chosen(found: tuple[Way, ...], picks: Mapping[str, str]) -> tuple[Way | None, Pick | None]:
    if len(found) < 2:
        return next(iter(found), None), None
    current = int(picks["body"]) if picks.get("body", "x").isdigit() else None
    current = current if current is not None and current < len(found) else None
    pick = Pick("body", "What exactly?", tuple(way.name for way in found), current)
    return (None if current is None else found[current]), pick


def _body(
    operation: Operation, way: Way, added: frozenset[str], builder: _Builder
) -> tuple[Group, dict[str, str]]:
    shape = way.shape
    repeats = names.REPEATS.get(operation.id, {})
    fixed = constants(shape) | dict(way.fixed)
    free = [name for name in shape.fields if name not in fixed and name not in repeats]
    first = [name for name in free if name in shape.required or name in way.ask]
    rest = [n for n in free if n not in first and _askable(shape, n) and (way.more is None or n in way.more)]
    chosen = [name for name in rest if f"body.{name}" in added]
    required = frozenset(first) | frozenset(chosen)
    at = _Place("body", "", required=True, must=True)
    members = builder.members(shape, [*first, *chosen], at, required, must=True)
    options = {f"body.{name}": names.label(name) for name in rest}
    return Group("body", "", members, fixed, required=True, nullable=False), options


def _place(operation: Operation, parameter: Parameter) -> Leaf:
    source, label = names.path_source(operation, parameter)
    kind = Kind.ONE if source else Kind.TEXT
    path = f"path.{parameter.name}"
    return Leaf(path, label, kind, parameter.shape, required=True, must=True, source=source)


def constants(shape: Schema) -> dict[str, Any]:
    """The members of an object that can have one value only, which is therefore not asked for."""
    found: dict[str, Any] = {}
    for name, member in shape.fields.items():
        if len(member.enum) == 1:
            found[name] = member.enum[0]
        elif member.type == "null" and name in shape.required:
            found[name] = None
    return found


def _askable(shape: Schema, name: str) -> bool:
    member = shape.fields[name]
    if name in shape.required:
        return True
    # With an organization token Polar answers 422 to an optional organization_id
    return not member.deprecated and member.type != "null" and name != "organization_id"


def _under(label: str, name: str) -> str:
    own = names.label(name)
    return f"{label}: {own[:1].lower()}{own[1:]}" if label and label not in ("Properties", "Upload") else own


def _kind(name: str, shape: Schema, *, required: bool) -> tuple[Kind, str]:
    """The kind of input for a value, and the source in which an object is looked up."""
    source = names.SOURCES.get(name, "prices" if name == "id" else "")
    if shape.type == "boolean":
        return (Kind.TICK if required else Kind.YES_NO), ""
    if source and shape.type == "string":
        return Kind.ONE, source
    if source and shape.type == "array" and shape.items.type == "string" and not shape.items.enum:
        return Kind.MANY, source
    fitting = (kind for types, fits, kind in _KINDS if shape.type in types and fits(name, shape))
    return next(fitting, Kind.SCALAR), ""


# The first row that fits a value counts: its types, a condition, and the kind.
_KINDS: tuple[tuple[tuple[str, ...], Callable[[str, Schema], bool], Kind], ...] = (
    (("union",), lambda name, _: name == "unit_amount", Kind.UNIT_PRICE),
    (("union",), lambda _, shape: any(one.format == "date-time" for one in shape.options), Kind.MOMENT),
    (("array",), lambda _, shape: bool(shape.items.enum), Kind.CHOICES),
    (("array",), lambda _, shape: shape.items.type == "string", Kind.LINES),
    (("array",), lambda *_: True, Kind.JSON),
    (("object",), lambda _, shape: _type_of_values(shape) == "integer", Kind.AMOUNTS),
    (("object",), lambda _, shape: _type_of_values(shape) in ("array", "object"), Kind.JSON),
    (("object",), lambda *_: True, Kind.PAIRS),
    (("integer", "number"), lambda name, _: name in names.MONEY, Kind.MONEY),
    (("integer", "number"), lambda name, _: name == "basis_points", Kind.PERCENT),
    (("integer",), lambda *_: True, Kind.WHOLE),
    (("number",), lambda *_: True, Kind.DECIMAL),
    (("string",), lambda name, shape: bool(shape.enum) or name in names.CURRENCY, Kind.CHOICE),
    (("string",), lambda _, shape: shape.format == "date-time", Kind.MOMENT),
    (("string",), lambda _, shape: shape.format == "date", Kind.DAY),
    (("string",), lambda *_: True, Kind.TEXT),
)


def _type_of_values(shape: Schema) -> str:
    return "" if shape.values is None else shape.values.type


def walk(node: Node | None) -> Iterator[Node]:
    """A part of a form and all parts in it: an object before its members, a list after its entries."""
    if isinstance(node, Group):
        yield node
        for member in node.members.values():
            yield from walk(member)
    elif node is not None:
        for entry in node.entries if isinstance(node, Series) else ():
            yield from walk(entry)
        yield node


def leaves(node: Node | None) -> list[Leaf]:
    """Every question of a part, in order."""
    return [one for one in walk(node) if isinstance(one, Leaf)]


def all_leaves(form: Form) -> list[Leaf]:
    """Every question of a form."""
    return [*form.places, *form.asked, *leaves(form.body)]
