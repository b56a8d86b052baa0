"""CEL expressions, compiled once, and the names they may use; a long list is handed to CEL part by part."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

import cel

from polar.text.words import format_money

_BINDING = re.compile(r"\.(?:filter|map|exists|exists_one|all)\(\s*([A-Za-z_]\w*)\s*,")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PATH = re.compile(r"(?<![\w.])data((?:\.[A-Za-z_]\w*)+)(\s*\()?")
LONGEST = 2.0  # seconds that a `filter` or `map` may take
_PART = 50  # items that CEL is handed at a time


# -- Our own functions, which never raise: the library would print the failure to standard output. -----------


def money(amount: Any, currency: Any) -> str:
    """`money(data.total_amount, data.currency)`: minor units as "$29.00"; "an unknown amount" for null."""
    if not isinstance(amount, int) or not isinstance(currency, str):
        return "an unknown amount"
    return format_money(amount, currency)


def who(customer: Any) -> str:
    """`who(data.customer)`: the customer's name, else the e-mail, else "a customer"."""
    if isinstance(customer, Mapping):
        for field in ("name", "email"):
            if isinstance(customer.get(field), str) and customer[field].strip():
                return str(customer[field])
    return "a customer"


def day(moment: Any) -> str:
    """`day(data.ends_at)`: an ISO date-time as "21 Dec 2026"; "an unknown day" for null."""
    try:
        parsed = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return "an unknown day"
    return f"{parsed.day} {parsed:%b %Y}"


def plural(count: Any, noun: Any) -> str:
    """`plural(size(for_each), 'license key')`: "1 license key", "2 license keys"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


FUNCTIONS: Mapping[str, Callable[..., str]] = {"money": money, "who": who, "day": day, "plural": plural}


# -- Macros are taken out, so that they run part by part -----------------------------------------------------
#
# The CEL library adds each item of `list.filter(x, …)` and `list.map(x, …)` to a copy of the whole result,
# with all that is in it: 400 small objects take 250 ms, and 800 take four times as long. So each becomes a
# call of one function (`LOOP`), which runs the macro over one small part of the list after the other.
LOOP, PART = "loop__", "part__"
_TOKEN = re.compile(
    r"\s+|//[^\n]*"
    r"|[rRbB]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|[A-Za-z_]\w*|\d[\w.]*|[=!<>]=|&&|\|\||.",
    re.DOTALL,
)
_CALL = re.compile(rf"{LOOP}\((\d+),[^()]*\)")
_OPENING, _CLOSING = "([{", ")]}"
_TAKEN_OUT = frozenset({"filter", "map"})
_MACROS = _TAKEN_OUT | {"all", "exists", "exists_one"}


@dataclass(frozen=True, slots=True)
class Loop:
    """One macro taken out, with the `number` that it is called by.

    `over` is its list: a path such as ("grants", "items"), the number of another macro, or None (an
    expression, whose value is handed over). `body` is a `map` over a part of the list (`PART`); `keeps`: it
    tells which items stay. `bound` are the variables of enclosing macros that it may use.
    """

    number: int
    over: tuple[str, ...] | int | None
    body: str
    keeps: bool
    bound: tuple[str, ...]


def take_out(source: str, numbers: Iterator[int]) -> tuple[str, tuple[Loop, ...]]:
    """The expression with calls of `LOOP` in the place of its macros, and the macros.

    The body of a macro that is taken out stays as it is: it is an expression of its own.
    """
    tokens = [token for token in _TOKEN.findall(source) if not _is_blank(token)]
    loops: list[Loop] = []
    while (found := _first_macro(tokens)) is not None:
        start, name, end, bound = found
        receiver, arguments = tokens[start : name - 1], " ".join(tokens[name + 2 : end])
        over, body = _over(receiver, bound), f"{PART}.map({arguments})"
        loops.append(Loop(next(numbers), over, body, tokens[name] == "filter", bound))
        given = [str(loops[-1].number), " ".join(receiver) if over is None else "null", *bound]
        tokens[start : end + 1] = [f"{LOOP}({','.join(given)})"]
    return " ".join(tokens), tuple(loops)


def is_whole(text: str, loops: Sequence[Loop]) -> bool:
    """Tell whether the last macro is all of an expression."""
    return bool(loops) and text == f"{LOOP}({loops[-1].number},null)"


def _over(receiver: Sequence[str], bound: Sequence[str]) -> tuple[str, ...] | int | None:
    taken_out = _CALL.fullmatch(receiver[0]) if len(receiver) == 1 else None
    if taken_out is not None and not bound:
        return int(taken_out[1])
    names, dots = receiver[::2], receiver[1::2]
    if all(map(_is_name, names)) and set(dots) <= {"."} and len(names) == len(dots) + 1 and not bound:
        return tuple(names)
    return None


def _is_blank(token: str) -> bool:
    return token.isspace() or token.startswith("//")


def _first_macro(tokens: Sequence[str]) -> tuple[int, int, int, tuple[str, ...]] | None:
    """The start (of its list), name and end of the first outermost `filter` or `map`.

    The last part are the variables that macros around it bind.
    """
    around: list[tuple[int, str]] = []
    for at, token in enumerate(tokens):
        around = [one for one in around if at < one[0]]
        if token in _MACROS and tokens[at - 1 : at] == ["."] and tokens[at + 1 : at + 2] == ["("]:
            end, variable = _closing(tokens, at + 1), tokens[at + 2]
            if token in _TAKEN_OUT and tokens[at - 2] != PART:
                return _receiver(tokens, at - 1), at, end, tuple(name for _, name in around)
            around.append((end, variable))
    return None


def _closing(tokens: Sequence[str], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (tokens[at] in _OPENING) - (tokens[at] in _CLOSING)
        if depth == 0:
            return at
    raise ValueError("a bracket is not closed")


def _receiver(tokens: Sequence[str], dot: int) -> int:
    """The start of the list before a `.`: a name, a text or brackets, with all that is attached before it."""
    at = dot
    while True:
        at -= 1
        if tokens[at] in _CLOSING:
            depth = 1
            while depth:
                at -= 1
                depth += (tokens[at] in _CLOSING) - (tokens[at] in _OPENING)
            attached = at > 0 and tokens[at] != "{" and (_is_name(tokens[at - 1]) or tokens[at - 1] in ")]")
            if attached:
                continue
        if at > 0 and tokens[at - 1] == ".":
            at -= 1
            continue
        return at


def _is_name(text: str) -> bool:
    return (text[0].isalpha() or text[0] == "_") and text != "in"


# -- Expressions --------------------------------------------------------------------------------------------


class Scope:
    """The names an expression may use for one event.

    `data`, `type`, `timestamp`, `now`, `before` (the subject's data one event earlier, or null), the names of
    the reads, `for_each` (the list), `item`; in `then`, `answers`.
    An expression is handed only the names that it uses. CEL converts them once for all expressions that use
    the same ones, here and in the scopes made from this one.
    """

    def __init__(self, values: Mapping[str, Any], _below: "tuple[_Layer, ...]" = ()) -> None:
        known = _below[-1].values if _below else {}
        self._layers = (*_below, _Layer(self, {**known, **values}, frozenset(values)))

    def plus(self, **values: Any) -> "Scope":
        """A scope with more names."""
        return Scope(values, self._layers)

    def each(self, name: str, items: Sequence[Any]) -> Iterator["Scope"]:
        """The scope with `name` as each of the items, in turn: it is the same one, so use it at once."""
        one = _Items(name, self._layers)
        for one.item in items:
            yield one

    def evaluate(self, program: cel.Program, names: frozenset[str], inner: frozenset[str]) -> Any:
        """The value of a program that uses these names, and `inner` ones in macros that were taken out.

        Raises ValueError in words when it has none.
        """
        newest = self._newest(names | inner)
        try:
            found = program.execute(newest.context(names.intersection(newest.values)))
        except KeyError as error:
            raise ValueError(f"there is no field {error} here") from error
        except (TypeError, RuntimeError, ArithmeticError, IndexError) as error:
            raise newest.failed() or ValueError(str(error)) from error
        if (failure := newest.failed()) is not None:
            raise failure
        return found

    def _newest(self, names: frozenset[str]) -> "_Layer":
        """The first layer that has all of these names as they are here."""
        *_, newest = (layer for layer in self._layers if layer is self._layers[0] or names & layer.new)
        return newest

    def at(self, path: Sequence[str]) -> Any:
        """The value at a path such as ("grants", "items"). Raises ValueError."""
        found = self.value(path[0])
        for name in path[1:]:
            if not isinstance(found, Mapping) or name not in found:
                raise ValueError(f"there is no field {name!r} here")
            found = found[name]
        return found

    def value(self, name: str) -> Any:
        """The value of a name. Raises ValueError."""
        for layer in reversed(self._layers):
            if name in layer.new:
                return layer.own(name)
        raise ValueError(f"there is no {name!r} here")


class _Items(Scope):
    """A scope in which one name is each item of a list, in turn. CEL asks for it each time."""

    def __init__(self, name: str, below: "tuple[_Layer, ...]") -> None:
        super().__init__({name: None}, below)
        self._name, self.item = name, None

    def resolve(self, name: str) -> Any:
        """The first answer to CEL when it asks for a name. None: it looks among its variables."""
        return self.item if name == self._name else None


class _Layer:
    """The names that a scope adds to the one it was made from, with `values` of all."""

    def __init__(self, scope: Scope, values: Mapping[str, Any], new: frozenset[str]) -> None:
        self._scope, self.values, self.new = scope, values, new
        self._small = frozenset(
            name for name, value in values.items() if not isinstance(value, Mapping | list)
        )
        self._contexts: dict[frozenset[str], cel.Context] = {}
        self._failure: ValueError | None = None

    def context(self, names: frozenset[str]) -> cel.Context:
        """The names and functions for programs that use these names. Small values are always among them, so
        that few contexts serve many programs.
        """
        names |= self._small
        context = self._contexts.get(names)
        if context is None:
            variables = {name: self._scope.value(name) for name in names}
            context = cel.Context(variables=variables, functions={**FUNCTIONS, LOOP: self._loop})
            if isinstance(self._scope, _Items):
                context.set_variable_resolver(self._scope.resolve)
            self._contexts[names] = context
        return context

    def own(self, name: str) -> Any:
        """The value of a name that this layer adds."""
        return self._scope.item if isinstance(self._scope, _Items) else self.values[name]

    def _loop(self, number: int, items: Any, *bound: Any) -> Any:
        """Run a macro that was taken out. It must not raise (see FUNCTIONS): the failure is kept."""
        try:
            return _LOOPS[number].run(self._scope, items, bound)
        except ValueError as error:
            self._failure = error
            return None

    def failed(self) -> ValueError | None:
        """The failure of a macro since the last call of this, if any."""
        failure, self._failure = self._failure, None
        return failure


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class _Running:
    """A macro that was taken out of an expression, compiled."""

    loop: Loop
    body: "Expression"

    @classmethod
    def of(cls, loop: Loop) -> "_Running":
        """The macro, to be found by its number."""
        made = _LOOPS[loop.number] = cls(loop, Expression(loop.body))
        return made

    def run(self, scope: Scope, items: Any = None, bound: Sequence[Any] = ()) -> list[Any]:
        """The results for the items. Raises ValueError."""
        if isinstance(self.loop.over, int):
            items = _LOOPS[self.loop.over].run(scope)
        elif self.loop.over is not None:
            items = scope.at(self.loop.over)
        if not isinstance(items, list | dict):
            raise ValueError(f"`filter` and `map` need a list, not {type(items).__name__}")
        scope = scope.plus(**dict(zip(self.loop.bound, bound, strict=True))) if bound else scope
        given, found, until = list(items), list[Any](), time.monotonic() + LONGEST
        for start in range(0, len(given), _PART):
            if time.monotonic() > until:
                raise ValueError(f"takes longer than {LONGEST:g} s")
            part = given[start : start + _PART]
            made = self.body.value(scope.plus(**{PART: part}))
            found += _kept(part, made) if self.loop.keeps else made
        return found


def _kept(items: Sequence[Any], tests: Sequence[Any]) -> list[Any]:
    if not all(isinstance(test, bool) for test in tests):
        raise ValueError("the test of a `filter` is neither true nor false")
    return [item for item, test in zip(items, tests, strict=True) if test]


# By number, as long as their expressions live: CEL functions get values, so a macro is named by its number.
_LOOPS: "WeakValueDictionary[int, _Running]" = WeakValueDictionary()
_NUMBERS = count()


class Expression:
    """One CEL expression. Raises ValueError when it does not parse."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._original = cel.compile(source)
        self._used = frozenset(self._original.variables())
        text, loops = take_out(source, _NUMBERS)
        self._program = cel.compile(text) if loops else self._original
        self._given = frozenset(self._program.variables())
        self._loops = [_Running.of(loop) for loop in loops]  # they live as long as this expression
        self._whole = self._loops[-1] if is_whole(text, loops) else None

    def value(self, scope: Scope) -> Any:
        """The value of the expression. Raises ValueError."""
        if self._whole is not None:
            return self._whole.run(scope)
        return scope.evaluate(self._program, self._given, self._used)

    @cached_property
    def names(self) -> frozenset[str]:
        """The names it reads from the scope, without those that macros such as `filter(g, …)` bind."""
        return self._used - set(_BINDING.findall(self._bare))

    @property
    def functions(self) -> frozenset[str]:
        """The functions it calls, without operators."""
        called = (name for name in self._original.functions() if name[0] not in "_@" and name[-1] != "_")
        return frozenset(called)

    @property
    def data_paths(self) -> frozenset[tuple[str, ...]]:
        """The fields of the event it names, such as ("customer", "email")."""
        found = ((match[1][1:].split("."), match[2]) for match in _PATH.finditer(self._bare))
        return frozenset(tuple(path[:-1] if call else path) for path, call in found) - {()}

    @property
    def _bare(self) -> str:
        return _QUOTED.sub("''", self.source)
