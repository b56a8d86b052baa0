"""One operation of Polar's API, a call of it, and the 186 there are."""

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Protocol

from polar.catalog.effects import Effect, Inverse, Repeat, Risk, Row, effect_of, table
from polar.catalog.schema import Schema, contract

ACRONYMS = frozenset({"ID", "Id", "CSV"})
# The first of these that may call gives the reason why an organization token may not.
WITHOUT_TOKEN = ("user", "customer", "member", "anonymous", "openid")


class UnknownOperation(KeyError):
    """Polar has no operation of this name."""

    def __init__(self, id: str, known: Collection[str] = ()) -> None:  # noqa: A002  the contract's own word
        self.id = id
        self.close = tuple(difflib.get_close_matches(id, known, 3))
        hint = f"; did you mean {' or '.join(f'`{one}`' for one in self.close)}?" if self.close else ""
        super().__init__(f"Polar has no operation `{id}`{hint}")

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError itself would show it in quotes


class CallValues(Protocol):
    """The parts of a call, planned, stored or sent."""

    @property
    def operation(self) -> str: ...
    @property
    def path(self) -> Mapping[str, Any]: ...
    @property
    def query(self) -> Mapping[str, Any]: ...
    @property
    def body(self) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation with its values, which are JSON types."""

    operation: str
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {"operation": self.operation, "path": self.path, "query": self.query, "body": self.body}

    @classmethod
    def of(cls, values: CallValues) -> "Call":
        """The call that was planned or stored elsewhere, as the catalog and the client take it."""
        body = None if values.body is None else dict(values.body)
        return cls(values.operation, dict(values.path), dict(values.query), body)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Call":
        """The reverse of `to_json`. Raises KeyError when `operation` is missing; the rest may be."""
        body = stored.get("body")
        path, query = dict(stored.get("path") or {}), dict(stored.get("query") or {})
        return cls(stored["operation"], path, query, None if body is None else dict(body))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the path or the query string.

    `multiple` ones take one value or a list; `style` "deepObject" is sent as `metadata[key]=value`.
    """

    name: str
    where: Literal["path", "query"]
    shape: Schema
    required: bool = False
    multiple: bool = False
    style: str = ""
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """The body that an operation takes."""

    shape: Schema
    required: bool
    media: str = "application/json"

    @property
    def variants(self) -> tuple[Schema, ...]:
        """The alternatives, one if there is no choice; `shape.discriminator` may tell them apart."""
        return self.shape.options


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what Polar's contract says of it, and what we know of its effect."""

    id: str
    method: str
    path: str
    summary: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    scopes: tuple[str, ...]  # any one of them will do
    callers: tuple[str, ...]  # organization, user, customer, member, anonymous, openid
    paginated: bool  # takes `page` and `limit`, answers `items` and `pagination`
    row: Row = field(repr=False)
    effect: Effect
    refused: str | None  # why an organization token may not call it

    @property
    def is_write(self) -> bool:
        """Tell whether it may change something. Polar's reads are exactly its GETs."""
        return self.method != "GET"

    @property
    def title(self) -> str:
        return self.effect.title

    @property
    def risk(self) -> Risk:
        return self.effect.risk

    @property
    def reversible(self) -> bool:
        """Tell whether one call of ours, `undo_call`, restores what was."""
        return self.effect.reversible

    @property
    def customer_sees(self) -> str:
        """The effect that the customer notices, as a sentence without its full stop; empty when there is
        none.
        """
        return self.effect.customer_sees

    @property
    def inverse(self) -> Inverse | None:
        return self.effect.inverse

    @property
    def repeat(self) -> Repeat:
        return self.effect.repeat

    @property
    def echo(self) -> frozenset[str]:
        """The event types that our own call may cause."""
        return self.effect.echo

    @property
    def money(self) -> bool:
        """Tell whether it moves money or commits somebody to it."""
        return self.effect.money

    @property
    def verify(self) -> str | None:
        """The id of the read that shows whether the call was done; `verify_call` makes the call."""
        return self.row.verify

    def parameter(self, name: str) -> Parameter | None:
        return next((one for one in self.parameters if one.name == name), None)

    def describe(self, call: Call) -> "Operation":
        """The same operation with the title, risk, inverse, ... of exactly this call."""
        return dataclasses.replace(self, effect=effect_of(self.row, {**call.query, **(call.body or {})}))

    def verify_call(self, call: Call, answer: Mapping[str, Any] | None = None) -> Call | None:
        """The read that shows what became of a call.

        None when there is none, or when what it needs is only in the answer and that never came.
        """
        if self.verify is None:
            return None
        target, sources = operations()[self.verify], self.row.verify_with
        places = _places(call, answer)
        path = _path(target, sources, places)
        asked = [one.name for one in target.parameters if one.where == "query" and one.name in sources]
        query = {name: value for name in asked if (value := _value(sources[name], places)) is not None}
        # A list without any of its filters would show the objects of others.
        return None if path is None or (asked and not query) else Call(target.id, path, query)

    def needs_before(self, call: Call) -> frozenset[str]:
        """The fields of the object as it was that `undo_call` writes back; none when no read is needed."""
        inverse = self.describe(call).inverse
        if inverse is None:
            return frozenset()
        sources = [source.partition(".") for source in (*inverse.path.values(), *inverse.copied.values())]
        names = tuple(call.body or ()) if "*" in inverse.old else inverse.old
        return frozenset(names) | {name for place, _, name in sources if place == "before"}

    def undo_call(
        self, call: Call, before: Mapping[str, Any] | None = None, answer: Mapping[str, Any] | None = None
    ) -> Call | None:
        """The call that undoes this one; None when nothing does, or a value it needs is not given.

        `before` is the object as a read showed it before the call, `answer` is Polar's answer to the call.
        """
        inverse = self.describe(call).inverse
        if inverse is None:
            return None
        target, places = operations()[inverse.operation], _places(call, answer, before)
        names = tuple(call.body or ()) if "*" in inverse.old else inverse.old
        path = _path(target, inverse.path, places)
        copied = {name: _value(source, places) for name, source in inverse.copied.items()}
        if path is None or None in copied.values() or not set(names) <= places["before"].keys():
            return None
        old = {name: _as_written(target, name, places["before"][name]) for name in names}
        return Call(target.id, path, {}, {**old, **copied, **inverse.body} if target.body else None)


def _places(
    call: Call, answer: Mapping[str, Any] | None, before: Mapping[str, Any] | None = None
) -> dict[str, Mapping[str, Any]]:
    return {"path": call.path, "body": call.body or {}, "answer": answer or {}, "before": before or {}}


def _value(source: str, places: Mapping[str, Mapping[str, Any]]) -> Any:
    """The value at a source such as "path.id" or "answer.id"; None when it is not there."""
    place, _, name = source.partition(".")
    return places[place].get(name)


def _path(
    target: Operation, sources: Mapping[str, str], places: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """The path parameters of a call that follows; from the same names of the earlier one unless told."""
    names = [one.name for one in target.parameters if one.where == "path"]
    values = {name: _value(sources.get(name, f"path.{name}"), places) for name in names}
    return None if None in values.values() else values


def _as_written(target: Operation, name: str, value: Any) -> Any:
    """Polar shows a product's benefits as objects and takes their ids."""
    shapes = (
        [shape.fields[name] for shape in target.body.variants if name in shape.fields] if target.body else []
    )
    takes_ids = any(option.items.type == "string" for shape in shapes for option in shape.options)
    if takes_ids and isinstance(value, list):
        return [one["id"] if isinstance(one, Mapping) else one for one in value]
    return value


class _Operations(dict[str, Operation]):
    def __missing__(self, identity: str) -> Operation:
        raise UnknownOperation(identity, self.keys())


@cache
def operations() -> Mapping[str, Operation]:
    """Every operation by its id, in the order of the ids. A wrong id raises UnknownOperation."""
    rows, refused = table()
    known = _Operations()
    for identity, facts in contract()["operations"].items():
        known[identity] = _operation(identity, facts, rows.get(identity), refused)
    return MappingProxyType(known)


def _operation(
    identity: str, facts: Mapping[str, Any], row: Row | None, refused: Mapping[str, str]
) -> Operation:
    callers = tuple(facts["callers"])
    row = row or _plain_row(facts)
    body = facts.get("body")
    reason = (
        next(refused[one] for one in WITHOUT_TOKEN if one in callers)
        if "organization" not in callers
        else None
    )
    return Operation(
        id=identity,
        method=facts["method"],
        path=facts["path"],
        summary=facts["summary"],
        parameters=tuple(_parameter(one) for one in facts.get("parameters", ())),
        body=Body(Schema.of(body["schema"]), body["required"], body.get("media", "application/json"))
        if body
        else None,
        scopes=tuple(facts["scopes"]),
        callers=callers,
        paginated=facts.get("paginated", False),
        row=row,
        effect=row.effect,
        refused=reason,
    )


def _plain_row(facts: Mapping[str, Any]) -> Row:
    """The row of an operation that is not in our table: a read, or a write that always asks."""
    risk = Risk.R0 if facts["method"] == "GET" else Risk.R4
    repeat = Repeat.SAME if risk is Risk.R0 else Repeat.CREATES_ANOTHER
    return Row(Effect(_sentence(facts["summary"]), risk, repeat=repeat))


def _sentence(summary: str) -> str:
    """A summary as a sentence: Get Customer by External ID → Get customer by external ID."""
    first, *rest = summary.split()
    return " ".join([first, *(word if word in ACRONYMS else word.lower() for word in rest)])


def _parameter(facts: Mapping[str, Any]) -> Parameter:
    return Parameter(
        facts["name"],
        facts["in"],
        Schema.of(facts["schema"]),
        facts.get("required", False),
        facts.get("multiple", False),
        facts.get("style", ""),
        facts.get("deprecated", False),
    )
