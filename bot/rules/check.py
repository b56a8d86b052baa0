"""Check a compiled rule: its events, operations, parameters, names and fields must be known."""

from collections.abc import Iterator
from itertools import takewhile

from bot.rules.expression import FUNCTIONS
from bot.rules.old_keys import new_name
from bot.rules.rule import Rule
from bot.rules.template import ANSWERS, Tree
from polar.catalog import FieldTree, check_names, event_fields, event_types, operations
from polar.catalog.schema import closest
from polar.polled import POLLED

_ALWAYS = frozenset({"data", "type", "timestamp", "now", "before"})
_KNOWN = event_types() | POLLED.keys()
# The functions of the CEL library. Its `functions()` also lists operators, which start with `_` or `@`, or
# end with `_`.
STANDARD_FUNCTIONS = frozenset(
    "size contains startsWith endsWith matches string int uint double bytes timestamp duration"
    " getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear"
    " getHours getMinutes getSeconds".split()
)
_FUNCTIONS = STANDARD_FUNCTIONS | FUNCTIONS.keys()


def problems(rule: Rule) -> Iterator[str]:
    """Each problem in words, beginning with its field."""
    if not rule.on:
        yield "`on`: names no event"
    for name in rule.on:
        if name not in _KNOWN:
            yield f"`on`: Polar has no event {name!r}{closest(name, _KNOWN)}"
    yield from _operations(rule)
    yield from _combinations(rule)
    trees = [tree for name in rule.on if (tree := _fields(name)) is not None]
    for field, expression in rule.expressions():
        known = _ALWAYS | _more_names(rule, field)
        for name in sorted(expression.names - known):
            yield f"`{field}`: nothing is called `{name}` here{new_name(name, known) or closest(name, known)}"
        for name in sorted(expression.functions - _FUNCTIONS):
            yield f"`{field}`: there is no function `{name}`{closest(name, _FUNCTIONS)}"
        for path in sorted(expression.data_paths):
            if trees and all(tree.at("data", *path) is None for tree in trees):
                yield f"`{field}`: {' and '.join(rule.on)} has no field `data.{'.'.join(path)}`"


def _operations(rule: Rule) -> Iterator[str]:
    steps = enumerate(rule.then, start=1)
    for field, step in [("operation", rule.call), *((f"then[{number}]", step) for number, step in steps)]:
        yield from _operation(field, step.operation, step.path, step.query, step.body)
        found = operations().get(step.operation)
        if found is not None and not found.is_write:
            yield f"`{field}`: {step.operation} only reads; name it under `read`"
    for read in rule.reads:
        yield from _operation(f"read.{read.name}", read.operation, read.path, read.query, None)
        wanted = operations().get(read.operation)
        if wanted is not None and wanted.is_write:
            yield f"`read.{read.name}`: {read.operation} changes something; only reads are allowed here"


def _combinations(rule: Rule) -> Iterator[str]:
    """Fields that exclude each other."""
    if rule.for_each is not None and rule.then:
        yield "`then`: cannot be used with `for_each`: if the call for one item fails, no call can follow"
    if rule.for_each is not None and rule.private_message is not None:
        yield "`private_message`: cannot be used with `for_each`: it is made of one answer"
    for field, expression in rule.expressions():
        if field.startswith("then[") and ANSWERS in expression.names and expression.names != {ANSWERS}:
            yield f"`{field}`: an expression that uses `{ANSWERS}` can use nothing else"


def _operation(field: str, name: str, path: Tree, query: Tree, body: Tree | None) -> Iterator[str]:
    found = operations().get(name)
    if found is None:
        yield f"`{field}`: Polar has no operation {name!r}{closest(name, operations().keys())}"
        return
    if found.refused:
        yield f"`{field}`: {name} cannot be called: {found.refused}"
    names = None if body is None else body.keys()
    for problem in check_names(name, path=path.keys(), query=query.keys(), body=names):
        yield f"`{field}`: {problem}"


def _more_names(rule: Rule, field: str) -> frozenset[str]:
    """The names an expression in this field may use beside those of the event."""
    if field in ("when", "dedupe_key"):
        return frozenset()
    if field == "private_message":
        return frozenset({"answer"})
    earlier = takewhile(lambda read: field != f"read.{read.name}", rule.reads)
    names = {read.name for read in earlier}
    if rule.for_each is not None and field != "for_each" and not field.startswith("read."):
        names |= {rule.list_name, "item"} if field in ("path", "query", "body") else {rule.list_name}
    return frozenset(names | {ANSWERS} if field.startswith("then[") else names)


def _fields(event_type: str) -> FieldTree | None:
    return POLLED[event_type].fields if event_type in POLLED else event_fields(event_type)
