"""Texts with `${…}` in them, read once and rendered for an event, and the parts of a condition."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.rules.expression import Expression, Scope

# A value from Polar's answer to an earlier call of the same proposal. It is kept as {LATE: template} until
# that call was made, so that the whole plan can be stored before the first call.
LATE = "$late"
ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Template:
    """A string with `${expr}` in it. Alone it gives the value itself; with text around it, it gives text."""

    parts: tuple[str | Expression, ...]

    def value(self, scope: Scope) -> Any:
        """The rendered value. Raises ValueError."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].value(scope)
        return "".join(part if isinstance(part, str) else as_text(part.value(scope)) for part in self.parts)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def source(self) -> str:
        """The source text, for `template`."""
        return "".join(part if isinstance(part, str) else f"${{{part.source}}}" for part in self.parts)


def as_text(value: Any) -> str:
    """A value inside a text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def template(source: Any) -> Template:
    """Read a string with `${…}`. Raises ValueError for an unreadable string, TypeError for another type."""
    if not isinstance(source, str):
        raise TypeError(f"must be a text, not {source!r}")
    parts: list[str | Expression] = []
    rest = source
    while (start := rest.find("${")) >= 0:
        end = _closing_brace(rest, start + 2)
        if rest[:start]:
            parts.append(rest[:start])
        parts.append(Expression(rest[start + 2 : end].strip()))
        rest = rest[end + 1 :]
    if rest or not parts:
        parts.append(rest)
    return Template(tuple(parts))


def _closing_brace(source: str, start: int) -> int:
    """The place of the `}` of `${`, past quotes and inner braces (a CEL map)."""
    depth = 1
    for at, char in unquoted(source, start):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return at
    raise ValueError(f"`${{` without its `}}` in {source!r}")


@dataclass(frozen=True, slots=True)
class Tree:
    """A TOML value (table, array, string, number) whose strings are templates."""

    node: Any

    def value(self, scope: Scope) -> Any:
        """The same shape with every template rendered. Raises ValueError."""
        return _render(self.node, scope)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression in it."""
        return tuple(_expressions(self.node))

    def keys(self) -> frozenset[str]:
        """The names at the top level, when it is a table."""
        return frozenset(self.node) if isinstance(self.node, Mapping) else frozenset()


def tree(node: Any) -> Tree:
    """Read the templates in a TOML value. Raises ValueError."""
    return Tree(_read(node))


def _read(node: Any) -> Any:
    if isinstance(node, str):
        return template(node)
    if isinstance(node, Mapping):
        return {name: _read(child) for name, child in node.items()}
    return [_read(child) for child in node] if isinstance(node, Sequence) else node


def _render(node: Any, scope: Scope) -> Any:
    if isinstance(node, Template):
        if any(ANSWERS in expression.names for expression in node.expressions):
            return {LATE: node.source}
        value = node.value(scope)
        _refuse_late(value)
        return value
    if isinstance(node, Mapping):
        return {name: _render(child, scope) for name, child in node.items()}
    return [_render(child, scope) for child in node] if isinstance(node, list) else node


def _refuse_late(value: Any) -> None:
    """Refuse a value that looks like an expression of ours, because a customer may have typed it."""
    if isinstance(value, Mapping):
        if LATE in value:
            raise ValueError(f"the value has a field `{LATE}`, which is reserved")
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            _refuse_late(child)


def _expressions(node: Any) -> list[Expression]:
    if isinstance(node, Template):
        return list(node.expressions)
    children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    return [expression for child in children for expression in _expressions(child)]


def resolve(node: Any, answers: Sequence[Any]) -> Any:
    """A stored value with its late parts filled in from the kept answers so far.

    Raises ValueError when an answer does not have the needed value.
    """
    if isinstance(node, Mapping):
        if node.keys() == {LATE}:
            found = template(node[LATE]).value(Scope({ANSWERS: list(answers)}))
            if found is None:
                raise ValueError(f"Polar's answer does not have `{node[LATE]}`")
            return found
        return {name: resolve(child, answers) for name, child in node.items()}
    return [resolve(child, answers) for child in node] if isinstance(node, list) else node


# --- The parts of a condition ------------------------------------------------------------------------------


def false_part(condition: Expression, scope: Scope) -> str:
    """The first part of `a && b && c` that is not true, as written; the whole where it has no such parts."""
    for part in parts(condition.source):
        try:
            if Expression(part).value(scope) is not True:
                return part
        except ValueError:
            return part
    return _on_one_line(condition.source)


def parts(condition: str) -> tuple[str, ...]:
    """The parts between the outermost `&&`; the whole when it is an alternative (`||`, `?`)."""
    depth, cut, found = 0, 0, []
    for at, char in unquoted(condition):
        depth += (char in "([{") - (char in ")]}")
        if depth or at < cut:
            continue
        if char == "?" or condition.startswith("||", at):
            return (_on_one_line(condition),)
        if condition.startswith("&&", at):
            found.append(condition[cut:at])
            cut = at + 2
    return tuple(_on_one_line(part) for part in (*found, condition[cut:]))


def unquoted(source: str, start: int = 0) -> Iterator[tuple[int, str]]:
    """The characters outside quotes, each with its place."""
    quote, at = "", start
    while at < len(source):
        char = source[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            yield at, char
        at += 1


def _on_one_line(source: str) -> str:
    return " ".join(source.split())
