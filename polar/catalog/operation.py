"""One operation of Polar's API, a call of it with its effect and its faults, and the 186 there are."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Protocol

from polar.catalog.effects import Effect, Inverse, Repeat, Row, UnknownOperation, plain_row, table
from polar.catalog.schema import UNKNOWN, Place, Problem, Schema, closest, contract, problems

# The first of these that may call gives the reason why an organization token may not.
WITHOUT_TOKEN = ("user", "customer", "member", "anonymous", "openid")


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
    """A parameter of the path or the query string; `multiple` ones take one value or a list."""

    name: str
    where: Literal["path", "query"]
    shape: Schema
    required: bool = False
    multiple: bool = False
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Effect):
    """One operation: what Polar's contract says of it, and its effect, as a rule or of one call."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    body: Body | None
    scopes: tuple[str, ...]  # any one of them will do
    callers: tuple[str, ...]  # organization, user, customer, member, anonymous, openid
    paginated: bool  # takes `page` and `limit`, answers `items` and `pagination`
    row: Row = field(repr=False)
    refused: str | None  # why an organization token may not call it

    @property
    def is_write(self) -> bool:
        """Tell whether it may change something. Polar's reads are exactly its GETs."""
        return self.method != "GET"

    @property
    def verify(self) -> str | None:
        """The id of the read that shows whether the call was done; `verify_call` makes the call."""
        return self.row.verify

    def describe(self, call: Call) -> "Operation":
        """The same operation with the title, risk, inverse, ... of exactly this call."""
        effect = _effect_of(self.row, {**call.query, **(call.body or {})})
        return dataclasses.replace(self, **_facts_of(effect))

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


def _effect_of(row: Row, given: Mapping[str, Any]) -> Effect:
    """The effect of a call that sets these fields.

    When several variants fit, or a field is set that none of them speaks for, the worst of all counts.
    """
    fitting = [variant for variant in row.variants if variant.fits(given)]
    effects = [variant.effect for variant in fitting]
    covered = frozenset[str]().union(*(variant.covers for variant in fitting))
    if not effects or not given.keys() <= covered:
        effects.append(row.effect)
    return effects[0] if len(effects) == 1 else _combined(effects)


def _combined(effects: Sequence[Effect]) -> Effect:
    """The worst of several effects that one call has at once."""
    order = list(Repeat)
    inverse = _together([effect.inverse for effect in effects])
    worst = max(effects, key=lambda effect: effect.risk)  # the first of equals: table order
    return Effect(
        title=worst.title,
        risk=worst.risk,
        reversible=inverse is not None,
        customer_sees=". ".join(
            dict.fromkeys(effect.customer_sees for effect in effects if effect.customer_sees)
        ),
        inverse=inverse,
        repeat=max((effect.repeat for effect in effects), key=order.index),
        echo=frozenset().union(*(effect.echo for effect in effects)),
        money=any(effect.money for effect in effects),
    )


def _together(inverses: Sequence[Inverse | None]) -> Inverse | None:
    """One call that undoes all; None when one of them cannot be undone, or not by the same call."""
    known = [inverse for inverse in inverses if inverse is not None]
    if len(known) < len(inverses) or len({inverse.operation for inverse in known}) > 1:
        return None
    return Inverse(
        known[0].operation,
        {name: source for inverse in known for name, source in inverse.path.items()},
        {name: source for inverse in known for name, source in inverse.copied.items()},
        {name: value for inverse in known for name, value in inverse.body.items()},
        tuple(name for inverse in known for name in inverse.old),
    )


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
    variants = target.body.variants if target.body else ()
    shapes = [shape.fields[name] for shape in variants if name in shape.fields]
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
        row, body, callers = rows.get(identity) or plain_row(facts), facts.get("body"), facts["callers"]
        without_token = "organization" not in callers
        known[identity] = Operation(
            id=identity,
            method=facts["method"],
            path=facts["path"],
            parameters=tuple(_parameter(one) for one in facts.get("parameters", ())),
            body=Body(Schema.of(body["schema"]), **_given(body, "required", "media")) if body else None,
            scopes=tuple(facts["scopes"]),
            callers=tuple(callers),
            paginated=facts.get("paginated", False),
            refused=next(refused[one] for one in WITHOUT_TOKEN if one in callers) if without_token else None,
            row=row,
            **_facts_of(row.effect),
        )
    return MappingProxyType(known)


def _facts_of(effect: Effect) -> dict[str, Any]:
    return {one.name: getattr(effect, one.name) for one in dataclasses.fields(Effect)}


def _parameter(facts: Mapping[str, Any]) -> Parameter:
    given = _given(facts, "required", "multiple", "deprecated")
    return Parameter(facts["name"], facts["in"], Schema.of(facts["schema"]), **given)


def _given(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names if name in facts}


def check_call(
    operation: str | Operation,
    path: Mapping[str, Any],
    query: Mapping[str, Any],
    body: Mapping[str, Any] | None,
) -> list[Problem]:
    """The problems of a call before it is sent; none when it fits.

    A value that is not known yet may be UNKNOWN: it fits anything. Says nothing of who may call
    (`Operation.refused`). Raises UnknownOperation.
    """
    known = operations()[operation] if isinstance(operation, str) else operation
    found = _check_parameters(known, "path", path) + _check_parameters(known, "query", query)
    if known.body is None:
        return found if body is None else [*found, Problem((), "takes no body", known.id)]
    if body is None:
        return [*found, Problem(("body",), "is missing")] if known.body.required else found
    return found + problems(known.body.shape, body, ("body",))


def _check_parameters(operation: Operation, where: str, given: Mapping[str, Any]) -> list[Problem]:
    known = {one.name: one for one in operation.parameters if one.where == where}
    found = [
        Problem((where, one.name), "is missing")
        for one in known.values()
        if one.required and one.name not in given
    ]
    for name, value in given.items():
        place = (where, name)
        if name not in known:
            words = f"has no {where} parameter `{name}`{closest(name, known)}"
            found.append(Problem((), words, operation.id))
        elif known[name].multiple and isinstance(value, list | tuple):
            for position, one in enumerate(value):
                found += _check_value(known[name], one, (*place, position))
        else:
            found += _check_value(known[name], value, place)
    return found


def _check_value(parameter: Parameter, value: Any, where: Place) -> list[Problem]:
    if value is None:
        return [Problem(where, "must not be null; leave it out instead")]
    # A dot segment would be resolved away and the call would reach another path, without the id.
    if parameter.where == "path" and value in ("", ".", ".."):
        return [Problem(where, "must name something")]
    return problems(parameter.shape, value, where)


def check_names(
    operation: str | Operation,
    path: Collection[str] = (),
    query: Collection[str] = (),
    body: Collection[str] | None = None,
) -> list[Problem]:
    """As `check_call`, for a template whose values are not known yet: wrong names and missing ones.

    `body=None` means no body at all. Raises UnknownOperation.
    """
    return check_call(operation, _unknown(path), _unknown(query), None if body is None else _unknown(body))


def _unknown(names: Collection[str]) -> dict[str, Any]:
    return dict.fromkeys(names, UNKNOWN)


# --- The money of calls ------------------------------------------------------------------------------------

# What these come to is in no call: only a read of Polar tells.
AMOUNT_IS_READ = frozenset({"orders:finalize", "disputes:accept"})


def moves_money(call: CallValues) -> bool:
    """Tell whether a call moves money; one that this version does not know counts as one that does."""
    known = operations().get(call.operation)
    return known is None or known.describe(Call.of(call)).money


def stated_amount(call: CallValues) -> tuple[int, str | None] | None:
    """The money that a call states (minor units), and its currency if it has one; None if it states none.

    Amounts in several currencies are none: it is not known which one counts.
    """
    body = call.body or {}
    amount, currency = body.get("amount"), body.get("currency")
    if "amounts" in body:
        listed = body["amounts"]
        if not isinstance(listed, Mapping) or len(listed) != 1 or amount is not None:
            return None
        currency, amount = next(iter(listed.items()))
    if isinstance(amount, bool) or not isinstance(amount, int):
        return None
    return amount, currency.lower() if isinstance(currency, str) else None


def money_moved(
    calls: Iterable[CallValues], amount: int | None, currency: str | None
) -> tuple[int, str] | None:
    """The money that calls move: (0, "") if none does, None if an amount or a currency is not known.

    `amount` (minor units) and `currency` are what is known of all of them, from a read of Polar too.
    """
    money = [call for call in calls if moves_money(call)]
    if not money:
        return 0, ""
    if amount is None or currency is None:
        return None
    total, code = 0, currency.lower()
    for call in money:
        stated = stated_amount(call)
        if stated is None and call.operation not in AMOUNT_IS_READ:
            return None
        if stated is not None and stated[1] not in (None, code):
            return None
        total += 0 if stated is None else abs(stated[0])
    return max(total, abs(amount)), code
