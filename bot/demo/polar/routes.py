"""Finds Polar's operation for a method and a path, slash for slash."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).parent.parent / "recorded"


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


class Routes:
    """Finds operations by their paths; words come before parameters."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._patterns = [
            (each, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", each.path)))
            for each in sorted(operations, key=lambda each: each.path)  # "{" comes after every letter
        ]

    def find(self, method: str, path: str) -> Match | None:
        """The operation at the path, or the methods allowed there; None if there is no such path."""
        allowed: list[str] = []
        for operation, pattern in self._patterns:
            if found := pattern.fullmatch(path):
                if operation.method == method:
                    return Match(operation, found.groupdict())
                allowed.append(operation.method)
        return Match(None, {}, tuple(allowed)) if allowed else None

    def other_slash(self, method: str, path: str) -> str | None:
        """The same path with, or without, its last slash, if an operation lives there."""
        other = path[:-1] if path.endswith("/") else path + "/"
        return other if self.find(method, other) else None
