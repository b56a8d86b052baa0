"""The select that comes first: the forms an operation's body may have, in words people use. Pure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from polar.catalog import Operation, Schema


@dataclass(frozen=True, slots=True)
class Way:
    """One form of a body; see ways.toml for the words. `more` is None when any other field may be added."""

    name: str
    shape: Schema
    fixed: Mapping[str, Any] = field(default_factory=dict)
    ask: tuple[str, ...] = ()
    more: tuple[str, ...] | None = None


def ways(operation: Operation) -> tuple[Way, ...]:
    """The forms of its body; none when it takes no body."""
    if operation.body is None:
        return ()
    own = _table().get(operation.id)
    variants = {shape.name: shape for shape in operation.body.variants}
    if not isinstance(own, list):
        return tuple(Way(name_of(shape), shape) for shape in variants.values())
    only = next(iter(variants.values()))
    return tuple(_way(raw, variants[raw["shape"]] if "shape" in raw else only) for raw in own)


def name_of(shape: Schema) -> str:
    """An alternative of a union, in words."""
    names = _table()["names"]
    return str(names.get(shape.name) or shape.name) if isinstance(names, dict) else shape.name


def _way(raw: Mapping[str, Any], shape: Schema) -> Way:
    more = tuple(raw["more"]) if "more" in raw else None
    return Way(raw["name"], shape, raw.get("fixed", {}), tuple(raw.get("ask", ())), more)


@cache
def _table() -> dict[str, list[dict[str, Any]] | dict[str, str]]:
    return tomllib.loads(Path(__file__).with_name("ways.toml").read_text("utf-8"))
