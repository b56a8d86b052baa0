"""All 186 operations of Polar's API: the contract's facts, joined with what we know of each one's effect.

The facts are catalog.json and event_fields.json (made by tests/fixtures/catalog_generator.py); our own
table is operations.toml.
"""

from collections.abc import Collection, Mapping
from typing import Any

from polar.catalog.effects import Effect, Inverse, Repeat, Risk, Variant
from polar.catalog.event_fields import FieldTree, event_fields, event_types
from polar.catalog.operation import Body, Call, Operation, Parameter, UnknownOperation, operations
from polar.catalog.schema import Schema
from polar.catalog.validation import UNKNOWN, closest, problems

__all__ = [
    "UNKNOWN",
    "Body",
    "Call",
    "Effect",
    "FieldTree",
    "Inverse",
    "Operation",
    "Parameter",
    "Repeat",
    "Risk",
    "Schema",
    "UnknownOperation",
    "Variant",
    "check_call",
    "check_names",
    "event_fields",
    "event_types",
    "operations",
    "to_json",
]


def check_call(
    operation: str | Operation,
    path: Mapping[str, Any],
    query: Mapping[str, Any],
    body: Mapping[str, Any] | None,
) -> list[str]:
    """The problems of a call before it is sent, each a sentence naming its parameter; none when it fits.

    A value that is not known yet may be UNKNOWN: it fits anything. Says nothing of who may call
    (`Operation.refused`). Raises UnknownOperation.
    """
    known = operations()[operation] if isinstance(operation, str) else operation
    found = _check_parameters(known, "path", path) + _check_parameters(known, "query", query)
    if known.body is None:
        return found if body is None else [*found, f"`{known.id}` takes no body"]
    if body is None:
        return [*found, "`body` is missing"] if known.body.required else found
    return found + problems(known.body.shape, body, "body")


def _check_parameters(operation: Operation, where: str, given: Mapping[str, Any]) -> list[str]:
    known = {one.name: one for one in operation.parameters if one.where == where}
    found = [
        f"`{where}.{one.name}` is missing" for one in known.values() if one.required and one.name not in given
    ]
    for name, value in given.items():
        place = f"{where}.{name}"
        if name not in known:
            found.append(f"`{operation.id}` has no {where} parameter `{name}`{closest(name, known)}")
        elif known[name].multiple and isinstance(value, list | tuple):
            for position, one in enumerate(value):
                found += _check_value(known[name], one, f"{place}[{position}]")
        else:
            found += _check_value(known[name], value, place)
    return found


def _check_value(parameter: Parameter, value: Any, where: str) -> list[str]:
    if value is None:
        return [f"`{where}` must not be null; leave it out instead"]
    # A dot segment would be resolved away and the call would reach another path, without the id.
    if parameter.where == "path" and value in ("", ".", ".."):
        return [f"`{where}` must name something"]
    return problems(parameter.shape, value, where)


def check_names(
    operation: str | Operation,
    path: Collection[str] = (),
    query: Collection[str] = (),
    body: Collection[str] | None = None,
) -> list[str]:
    """As `check_call`, for a template whose values are not known yet: wrong names and missing ones.

    `body=None` means no body at all. Raises UnknownOperation.
    """
    return check_call(operation, _unknown(path), _unknown(query), None if body is None else _unknown(body))


def _unknown(names: Collection[str]) -> dict[str, Any]:
    return dict.fromkeys(names, UNKNOWN)


def to_json() -> list[dict[str, Any]]:
    """Every operation as `polar-approvals operations --json` prints it."""
    return [_printed(one) for one in operations().values()]


def _printed(one: Operation) -> dict[str, Any]:
    return {
        "id": one.id,
        "method": one.method,
        "path": one.path,
        "title": one.title,
        "risk": one.risk.value,
        "callers": list(one.callers),
        "scopes": list(one.scopes),
        "refused": one.refused,
        "required": [parameter.name for parameter in one.parameters if parameter.required],
        "parameters": [_printed_parameter(parameter) for parameter in one.parameters],
        "body": _printed_body(one.body) if one.body else None,
        "paginated": one.paginated,
        "reversible": one.reversible,
        "inverse": one.inverse.operation if one.inverse else None,
        "verify": one.verify,
        "repeat": one.repeat.value,
        "echo": sorted(one.echo),
        "money": one.money,
        "customer_sees": one.customer_sees,
        "variants": [_printed_variant(variant) for variant in one.row.variants],
    }


def _printed_parameter(one: Parameter) -> dict[str, Any]:
    place = {"name": one.name, "in": one.where, "required": one.required, "multiple": one.multiple}
    return place | _printed_shape(one.shape)


def _printed_body(body: Body) -> dict[str, Any]:
    variants = [
        {
            "name": shape.name,
            "fields": [
                {"name": name, "required": name in shape.required} | _printed_shape(member)
                for name, member in shape.fields.items()
            ],
        }
        for shape in body.variants
    ]
    return {
        "required": body.required,
        "media": body.media,
        "discriminator": body.shape.discriminator,
        "variants": variants,
    }


def _printed_shape(shape: Schema) -> dict[str, Any]:
    return {"type": shape.type, "format": shape.format, "enum": list(shape.enum), "nullable": shape.nullable}


def _printed_variant(variant: Variant) -> dict[str, Any]:
    return {
        "when": dict(variant.when),
        "has": sorted(variant.has),
        "title": variant.effect.title,
        "risk": variant.effect.risk.value,
        "reversible": variant.effect.reversible,
    }
