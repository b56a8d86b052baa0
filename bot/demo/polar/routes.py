"""Finds Polar's operation for a method and a path, slash for slash."""

import json
from dataclasses import dataclass, field
from pathlib import Path

RECORDED = Path(__file__).parent.parent / "recorded"
_PARAMETER = "{}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of Polar's OpenAPI document: id, method, path, scopes (any of them will do), query names."""

    id: str
    method: str
    path: str
    scopes: tuple[str, ...]
    query: frozenset[str]


def load_operations() -> tuple[Operation, ...]:
    """All 186 operations of the 2026-10 document, in its order."""
    lines = (RECORDED / "operations.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(
        Operation(each["id"], each["method"], each["path"], tuple(each["scopes"]), frozenset(each["query"]))
        for each in map(json.loads, lines)
    )


@dataclass(frozen=True, slots=True)
class Match:
    """The find at a path: the operation and its parameters, or else the methods that are allowed there."""

    operation: Operation | None
    parameters: dict[str, str]
    allowed: tuple[str, ...] = ()


@dataclass(slots=True)
class _Node:
    children: dict[str, "_Node"] = field(default_factory=dict)
    methods: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


class Routes:
    """The tree of paths; the segments of a path lead to its methods."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node, names = self._root, []
        for segment in operation.path.split("/")[1:]:
            parameter = segment.startswith("{")
            if parameter:
                names.append(segment[1:-1])
            node = node.children.setdefault(_PARAMETER if parameter else segment, _Node())
        node.methods[operation.method] = (operation, tuple(names))

    def find(self, method: str, path: str) -> Match | None:
        """The operation at the path, or the methods allowed there; None if there is no such path."""
        allowed: list[str] = []
        for node, values in _reached(self._root, path.split("/")[1:], ()):
            if method in node.methods:
                operation, names = node.methods[method]
                return Match(operation, dict(zip(names, values, strict=True)))
            allowed += node.methods
        return Match(None, {}, tuple(allowed)) if allowed else None

    def other_slash(self, method: str, path: str) -> str | None:
        """The same path with, or without, its last slash, if an operation lives there."""
        other = path[:-1] if path.endswith("/") else path + "/"
        return other if self.find(method, other) else None


def _reached(
    node: _Node, segments: list[str], values: tuple[str, ...]
) -> list[tuple[_Node, tuple[str, ...]]]:
    """Every node with methods that the segments lead to; words before parameters."""
    if not segments:
        return [(node, values)] if node.methods else []
    first, rest = segments[0], segments[1:]
    found = _reached(node.children[first], rest, values) if first in node.children else []
    if first and _PARAMETER in node.children:
        found += _reached(node.children[_PARAMETER], rest, (*values, first))
    return found
