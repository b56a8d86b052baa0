"""CEL expressions and the `${…}` templates around them: compiled once, checked for unknown names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cel

from bot.rules.functions import FUNCTIONS

# The functions of the CEL library. Its `functions()` also lists operators, which start with `_` or `@`, or
# end with `_`.
STANDARD_FUNCTIONS = frozenset(
    "size contains startsWith endsWith matches string int uint double bytes timestamp duration"
    " getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear"
    " getHours getMinutes getSeconds".split()
)
_BINDING = re.compile(r"\.(?:filter|map|exists|exists_one|all)\(\s*([A-Za-z_]\w*)\s*,")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PATH = re.compile(r"(?<![\w.])data((?:\.[A-Za-z_]\w*)+)(\s*\()?")


# A value from Polar's answer to an earlier call of the same proposal. It is kept as {LATE: template} until
# that call was made, so that the whole plan can be stored before the first call.
LATE = "$late"
ANSWERS = "answers"


class Scope:
    """The names an expression may use for one event.

    `data`, `type`, `timestamp`, `now`, `before` (the subject's data one event earlier, or null), the names of
    the reads, `for_each` (the list), `item`; in `then`, `answers`.
    The values are handed to CEL once and reused by every expression until a name is added.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._context = cel.Context(variables=self._values, functions=dict(FUNCTIONS))

    def plus(self, **values: Any) -> "Scope":
        """A scope with more names."""
        return Scope(self._values | values)

    def evaluate(self, program: cel.Program) -> Any:
        """The value of the program with these names. Raises ValueError in words when it has none."""
        try:
            return program.execute(self._context)
        except KeyError as error:
            msg = f"there is no field {error} here"
            raise ValueError(msg) from error
        except (TypeError, RuntimeError, ArithmeticError, IndexError) as error:
            raise ValueError(str(error)) from error


class Expression:
    """One CEL expression. Raises ValueError when it does not parse."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._program = cel.compile(source)

    def value(self, scope: Scope) -> Any:
        """The value of the expression. Raises ValueError."""
        return scope.evaluate(self._program)

    @property
    def names(self) -> frozenset[str]:
        """The names it reads from the scope, without those that macros such as `filter(g, …)` bind."""
        return frozenset(self._program.variables()) - set(_BINDING.findall(self._bare))

    @property
    def functions(self) -> frozenset[str]:
        """The functions it calls, without operators."""
        called = (name for name in self._program.functions() if name[0] not in "_@" and name[-1] != "_")
        return frozenset(called)

    @property
    def data_paths(self) -> frozenset[tuple[str, ...]]:
        """The fields of the event it names, such as ("customer", "email")."""
        found = set()
        for match in _PATH.finditer(self._bare):
            path = tuple(match.group(1)[1:].split("."))
            found.add(path[:-1] if match.group(2) else path)
        return frozenset(path for path in found if path)

    @property
    def _bare(self) -> str:
        return _QUOTED.sub("''", self.source)


@dataclass(frozen=True, slots=True)
class Template:
    """A string with `${expr}` in it. Alone it gives the value itself; with text around it, it gives text."""

    parts: tuple[str | Expression, ...]

    def value(self, scope: Scope) -> Any:
        """The rendered value. Raises ValueError."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Expression):
            return self.parts[0].value(scope)
        return "".join(part if isinstance(part, str) else _text(part.value(scope)) for part in self.parts)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    @property
    def is_late(self) -> bool:
        """True if it needs the answer to an earlier call."""
        return any(ANSWERS in expression.names for expression in self.expressions)

    @property
    def source(self) -> str:
        """The source text, for `template`."""
        return "".join(part if isinstance(part, str) else f"${{{part.source}}}" for part in self.parts)


def resolve(node: Any, answers: Sequence[Any]) -> Any:
    """A stored value with its late parts filled in from the kept answers so far.

    Raises ValueError when an answer does not have the needed value.
    """
    if isinstance(node, Mapping):
        if node.keys() == {LATE}:
            found = template(node[LATE]).value(Scope({ANSWERS: list(answers)}))
            if found is None:
                msg = f"Polar's answer does not have `{node[LATE]}`"
                raise ValueError(msg)
            return found
        return {name: resolve(child, answers) for name, child in node.items()}
    if isinstance(node, list):
        return [resolve(child, answers) for child in node]
    return node


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def template(source: Any) -> Template:
    """Read a string with `${…}`. Raises ValueError for an unreadable string, TypeError for another type."""
    if not isinstance(source, str):
        msg = f"must be a text, not {source!r}"
        raise TypeError(msg)
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
    depth, quote, position = 1, "", start
    while position < len(source):
        char = source[position]
        if quote:
            position += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            depth += (char == "{") - (char == "}")
            if depth == 0:
                return position
        position += 1
    msg = f"`${{` without its `}}` in {source!r}"
    raise ValueError(msg)


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
    if isinstance(node, Sequence):
        return [_read(child) for child in node]
    return node


def _render(node: Any, scope: Scope) -> Any:
    if isinstance(node, Template):
        if node.is_late:
            return {LATE: node.source}
        value = node.value(scope)
        _refuse_late(value)
        return value
    if isinstance(node, Mapping):
        return {name: _render(child, scope) for name, child in node.items()}
    if isinstance(node, list):
        return [_render(child, scope) for child in node]
    return node


def _refuse_late(value: Any) -> None:
    """Refuse a value that looks like an expression of ours, because a customer may have typed it."""
    if isinstance(value, Mapping):
        if LATE in value:
            msg = f"the value has a field `{LATE}`, which is reserved"
            raise ValueError(msg)
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            _refuse_late(child)


def _expressions(node: Any) -> list[Expression]:
    if isinstance(node, Template):
        return list(node.expressions)
    children = node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ()
    return [expression for child in children for expression in _expressions(child)]
