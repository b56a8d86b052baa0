"""The few kinds of grammar node that the Block Kit linter is built from; pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

type_name = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a whole number",
    bool: "true or false",
}
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: where (RFC 6901 pointer) and what Slack would say."""

    pointer: str
    message: str


def found(path: Path, message: str) -> Finding:
    """A finding at `path`."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return Finding("".join(f"/{step}" for step in steps), message)


class Node(Protocol):
    """Anything that can check a value and add what it finds."""

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None: ...


@dataclass(frozen=True, slots=True)
class Str:
    """A string of `least` to `most` characters, of a pattern or out of a list."""

    most: int = 3000
    least: int = 1
    among: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    should: str = ""

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, str):
            findings.append(found(path, "must be a string"))
        elif len(value) < self.least:
            findings.append(found(path, f"must be at least {self.least} characters"))
        elif len(value) > self.most:
            findings.append(found(path, f"must be at most {self.most} characters, not {len(value)}"))
        elif self.among and value not in self.among:
            findings.append(found(path, f"must be one of {', '.join(self.among)}"))
        elif self.pattern is not None and not self.pattern.fullmatch(value):
            findings.append(found(path, f"must be {self.should}"))


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number in a range; never a bool."""

    least: int = 0
    most: int = 10**11

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not self.least <= value <= self.most:
            findings.append(found(path, f"must be a whole number from {self.least} to {self.most}"))


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false."""

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, bool):
            findings.append(found(path, "must be true or false"))


@dataclass(frozen=True, slots=True)
class Anything:
    """A value that is checked elsewhere."""

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        """Finds nothing."""


@dataclass(frozen=True, slots=True)
class Json:
    """Any JSON object."""

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, dict):
            findings.append(found(path, "must be an object"))


@dataclass(frozen=True, slots=True)
class Array:
    """An array of `least` to `most` items."""

    item: Node
    least: int = 1
    most: int = 10**6

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, list):
            findings.append(found(path, "must be an array"))
            return
        if not self.least <= len(value) <= self.most:
            findings.append(found(path, f"must have {self.least} to {self.most} items, not {len(value)}"))
        for index, item in enumerate(value):
            self.item.check(item, (*path, index), findings)


Rule = Callable[[Mapping[str, Any]], tuple[str, str] | None]


@dataclass(frozen=True, slots=True)
class Obj:
    """An object with exactly these keys, some of them needed; rules say (key, message) or None."""

    keys: Mapping[str, Node]
    needed: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, dict):
            findings.append(found(path, "must be an object"))
            return
        for key, item in value.items():
            node = self.keys.get(key)
            if node is None:
                findings.append(found((*path, key), "is not a key we know here"))
            else:
                node.check(item, (*path, key), findings)
        findings += [found((*path, key), "is missing") for key in self.needed if key not in value]
        faults = [fault for rule in self.rules if (fault := rule(value)) is not None]
        findings += [found((*path, key) if key else path, message) for key, message in faults]


@dataclass(frozen=True, slots=True)
class Tagged:
    """An object whose `type` chooses its grammar."""

    kinds: Mapping[str, Obj]
    what: str = field(default="object")

    def check(self, value: Any, path: Path, findings: list[Finding]) -> None:
        if not isinstance(value, dict):
            findings.append(found(path, "must be an object"))
            return
        kind = value.get("type")
        grammar = self.kinds.get(kind) if isinstance(kind, str) else None
        if grammar is None:
            findings.append(found((*path, "type"), f"{str(kind)[:40]!r} is not a {self.what} we know here"))
        else:
            grammar.check(value, path, findings)
