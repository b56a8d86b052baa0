"""All 186 operations of Polar's API: the contract's facts, joined with what we know of each one's effect.

The facts are catalog.json and event_fields.json (made by tests/fixtures/catalog_generator.py); our own
table is operations.toml.
"""

from typing import Any

from polar.catalog.effects import Repeat, Risk, UnknownOperation, Variant
from polar.catalog.event_fields import FieldTree, event_fields, event_types
from polar.catalog.operation import (
    AMOUNT_IS_READ,
    Body,
    Call,
    CallValues,
    Operation,
    Parameter,
    check_call,
    check_names,
    money_moved,
    moves_money,
    operations,
    stated_amount,
)
from polar.catalog.schema import UNKNOWN, Schema, closest, problems

__all__ = [
    "AMOUNT_IS_READ",
    "UNKNOWN",
    "Call",
    "CallValues",
    "FieldTree",
    "Operation",
    "Parameter",
    "Repeat",
    "Risk",
    "Schema",
    "UnknownOperation",
    "check_call",
    "check_names",
    "closest",
    "event_fields",
    "event_types",
    "money_moved",
    "moves_money",
    "operations",
    "problems",
    "stated_amount",
    "to_json",
]


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
