"""The field names of every webhook payload, so that a misspelt field is found before an event comes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldTree:
    """The members of one value in a payload; of a list, the members of its entries.

    A plain value has no fields. An open one (metadata, custom fields) may have any.
    """

    fields: Mapping[str, "FieldTree"] = field(default_factory=lambda: MappingProxyType({}))
    is_open: bool = False

    def at(self, *names: str) -> "FieldTree | None":
        """The tree at the end of a path, such as `at("data", "customer", "email")`; None for a wrong name."""
        tree = self
        for name in names:
            if tree.is_open and name not in tree.fields:
                return tree
            if name not in tree.fields:
                return None
            tree = tree.fields[name]
        return tree


@cache
def _file() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(Path(__file__).with_name("event_fields.json").read_bytes())
    return content


@cache
def event_fields(type: str) -> FieldTree | None:  # noqa: A002  the payload's own word for it
    """The fields of the whole payload (`type`, `timestamp`, `data`); None for a type Polar does not send."""
    tree = _file()["events"].get(type)
    return None if tree is None else _tree(tree)


@cache
def event_types() -> frozenset[str]:
    """The 42 types: 41 of the contract, and subscription.migrated, which is newer."""
    return frozenset(_file()["events"])


@cache
def _shared(name: str) -> FieldTree:
    return _tree(_file()["shared"][name])


def _tree(raw: Any) -> FieldTree:
    """The encoding is described at `Fields` in tests/fixtures/catalog_generator.py."""
    match raw:
        case None:
            return FieldTree()
        case "*":
            return FieldTree(is_open=True)
        case str():
            return _shared(raw)
        case [entry]:
            return _tree(entry)
        case _:
            return FieldTree(MappingProxyType({name: _tree(one) for name, one in raw.items()}))
