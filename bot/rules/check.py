"""Check a compiled rule: its events, operations, parameters, names and fields must be known."""

from collections.abc import Iterator

from bot.rules.expression import ANSWERS, STANDARD_FUNCTIONS, Expression, Tree
from bot.rules.functions import FUNCTIONS
from bot.rules.old_keys import new_name
from bot.rules.rule import Rule, Step
from polar.catalog import FieldTree, check_names, event_fields, event_types, operations
from polar.catalog.validation import closest
from polar.polled import POLLED

_ALWAYS = frozenset({"data", "type", "timestamp", "now", "before"})
_KNOWN = event_types() | POLLED.keys()


def problems(rule: Rule) -> Iterator[str]:
    """Each problem in words, beginning with its field."""
    yield from _events(rule)
    yield from _operations(rule)
    yield from _combinations(rule)
    for field, expression, extra in _expressions(rule):
        yield from _names(field, expression, extra | _ALWAYS)
        yield from _functions(field, expression)
        yield from _data_paths(field, expression, rule)


def _events(rule: Rule) -> Iterator[str]:
    if not rule.on:
        yield "`on`: names no event"
    for name in rule.on:
        if name not in _KNOWN:
            yield f"`on`: Polar has no event {name!r}{closest(name, _KNOWN)}"


def _operations(rule: Rule) -> Iterator[str]:
    first = Step(rule.operation, rule.path, rule.query, rule.body)
    for field, step in [("operation", first), *_numbered(rule)]:
        yield from _operation(field, step.operation, step.path, step.query, step.body)
        found = operations().get(step.operation)
        if found is not None and not found.is_write:
            yield f"`{field}`: {step.operation} only reads; name it under `read`"
    for read in rule.reads:
        yield from _operation(f"read.{read.name}", read.operation, read.path, read.query, None)
        wanted = operations().get(read.operation)
        if wanted is not None and wanted.is_write:
            yield f"`read.{read.name}`: {read.operation} changes something; only reads are allowed here"


def _numbered(rule: Rule) -> list[tuple[str, Step]]:
    return [(f"then[{number}]", step) for number, step in enumerate(rule.then, start=1)]


def _combinations(rule: Rule) -> Iterator[str]:
    """Fields that exclude each other."""
    if rule.for_each is not None and rule.then:
        yield "`then`: does not go with `for_each`: one of the items may fail, and nothing could follow it"
    if rule.for_each is not None and rule.private_message is not None:
        yield "`private_message`: does not go with `for_each`: it is made of one answer"
    for field, step in _numbered(rule):
        for expression in (
            e for part in (step.path, step.query, step.body) if part for e in part.expressions
        ):
            if ANSWERS in expression.names and expression.names != {ANSWERS}:
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


def _expressions(rule: Rule) -> Iterator[tuple[str, Expression, frozenset[str]]]:
    """Every expression with its field and the names it may use beside those of the event."""
    reads: frozenset[str] = frozenset()
    if rule.when is not None:
        yield "when", rule.when, reads
    if rule.dedupe_key is not None:
        yield from (("dedupe_key", expression, reads) for expression in rule.dedupe_key.expressions)
    for read in rule.reads:
        own = [] if read.when is None else [read.when]
        for expression in (*own, *read.path.expressions, *read.query.expressions):
            yield f"read.{read.name}", expression, reads
        reads |= {read.name}
    if rule.for_each is not None:
        yield "for_each", rule.for_each, reads
        reads |= {rule.list_name}
    if rule.precondition is not None:
        yield "precondition", rule.precondition, reads
    for line, field in [(rule.title, "title"), *((line, "reasons") for line in rule.reasons)]:
        yield from ((field, expression, reads) for expression in line.expressions)
    if rule.deadline is not None:
        yield from (("deadline", expression, reads) for expression in rule.deadline.expressions)
    yield from _in_calls(rule, reads)


def _in_calls(rule: Rule, reads: frozenset[str]) -> Iterator[tuple[str, Expression, frozenset[str]]]:
    item = reads | {"item"} if rule.for_each is not None else reads
    for part, field in [(rule.path, "path"), (rule.query, "query"), (rule.body, "body")]:
        if part is not None:
            yield from ((field, expression, item) for expression in part.expressions)
    for field, step in _numbered(rule):
        yield from ((field, expression, reads | {ANSWERS}) for expression in step.expressions)
    if rule.private_message is not None:
        private = rule.private_message.expressions
        yield from (("private_message", expression, frozenset({"answer"})) for expression in private)


def _names(field: str, expression: Expression, known: frozenset[str]) -> Iterator[str]:
    for name in sorted(expression.names - known):
        yield f"`{field}`: nothing is called `{name}` here{new_name(name, known) or closest(name, known)}"


def _functions(field: str, expression: Expression) -> Iterator[str]:
    known = STANDARD_FUNCTIONS | FUNCTIONS.keys()
    for name in sorted(expression.functions - known):
        yield f"`{field}`: there is no function `{name}`{closest(name, known)}"


def _data_paths(field: str, expression: Expression, rule: Rule) -> Iterator[str]:
    trees = [tree for name in rule.on if (tree := _fields(name)) is not None]
    for path in sorted(expression.data_paths):
        if trees and all(tree.at("data", *path) is None for tree in trees):
            yield f"`{field}`: {' and '.join(rule.on)} has no field `data.{'.'.join(path)}`"


def _fields(event_type: str) -> FieldTree | None:
    return POLLED[event_type].fields if event_type in POLLED else event_fields(event_type)
