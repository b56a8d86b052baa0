"""Load the rules from TOML: the default ones, and the operator's own, which add, replace or switch off."""

import dataclasses
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from bot.config.policy import TABLES, Policy, duration, people, read_policy, unknown_tables
from bot.rules.check import problems
from bot.rules.expression import Expression
from bot.rules.old_keys import OLD_LIST_NAME, has_old_keys, in_new_keys, in_old_keys, renamed_keys
from bot.rules.rule import Origin, Read, Rule, RulesError, RuleSet, Step
from bot.rules.template import Tree, template, tree
from polar.catalog.schema import closest
from store.models import canonical_json, sha256

T = TypeVar("T")

DEFAULTS = Path(__file__).with_name("defaults")
_FIELDS = frozenset(
    "name enabled on when dedupe_key read for_each precondition operation path query body then title reasons "
    "private_message delay skip_precondition_for approvers deadline expires_after".split()
)
_READ_FIELDS = frozenset({"operation", "path", "query", "when"})
_STEP_FIELDS = frozenset({"operation", "path", "query", "body"})


def load_rules(rules_file: Path | None = None) -> RuleSet:
    """The default rules and those of `rules_file`. Raises RulesError with every problem found."""
    found: list[str] = []
    rules: dict[str, Rule] = {}
    origins: dict[str, Origin] = {}
    policy = Policy()
    for path in [*sorted(DEFAULTS.glob("*.toml")), *([rules_file] if rules_file else [])]:
        content = _content(path, found)
        others = content.keys() - {"rule"}
        if path is rules_file:
            policy, wrong = read_policy({name: content[name] for name in others})
            found.extend(f"{path.name}, {problem}" for problem in wrong)
            others = unknown_tables(others)
        for name in others:
            known = TABLES | {"rule"}
            found.append(
                f"{path.name}: unknown table `{name}`{closest(name, known)}; rules are `[[rule]]` tables"
            )
        for source in _named(path, content.get("rule", []), found):
            name, enabled = source["name"], source.get("enabled", True)
            rules.pop(name, None)
            own = Origin.REPLACED if name in origins else Origin.OWN
            origins[name] = Origin.OFF if not enabled else own if path is rules_file else Origin.DEFAULT
            if enabled:
                try:
                    rules[name] = compile_rule(source)
                    wrong = [*problems(rules[name])]
                except RulesError as error:
                    wrong = [*error.problems]
                found.extend(f"{path.name}, rule {name!r}, {problem}" for problem in wrong)
    if found:
        raise RulesError(found)
    return RuleSet(tuple(rules.values()), origins, policy)


def _content(path: Path, found: list[str]) -> Mapping[str, Any]:
    """The content of a file; nothing when it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found.append(f"{path}: cannot be read ({error.strerror}). Check RULES_FILE.")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        found.append(f"{path}: is not TOML: {error}")
    return {}


def _named(path: Path, tables: Any, found: list[str]) -> Iterable[Mapping[str, Any]]:
    seen: set[str] = set()
    for number, table in enumerate(tables if isinstance(tables, list) else [tables], 1):
        name = table.get("name") if isinstance(table, Mapping) else None
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", name):
            found.append(f"{path.name}, rule {number}: `name` must be lower-case words with hyphens")
        elif name in seen:
            found.append(f"{path.name}, rule {name!r}: the name is used twice in this file")
        else:
            seen.add(name)
            yield table


def compile_stored(source: Mapping[str, Any]) -> Rule:
    """A rule from the database, with today's keys or those of an earlier version. Raises RulesError."""
    rule = compile_rule(in_new_keys(source))
    return dataclasses.replace(rule, list_name=OLD_LIST_NAME) if has_old_keys(source) else rule


def compile_rule(source: Mapping[str, Any]) -> Rule:
    """One rule from its table. Raises RulesError for fields that are missing, unknown or unreadable."""
    found = list(renamed_keys(source))
    if found:  # the new keys are missing only because the rule has the old ones
        raise RulesError(found)
    for name in source.keys() - _FIELDS:
        found.append(f"`{name}`: is no field of a rule{closest(name, _FIELDS)}")
    for name in ("on", "operation", "title"):
        if name not in source:
            found.append(f"`{name}`: is missing")
    if found:
        raise RulesError(found)
    rule = Rule(
        name=source["name"],
        version=version_of(source),
        source=source,
        on=tuple(_strings("on", source, found)),
        when=_optional("when", source, _expression, found),
        reads=tuple(_reads(source, found)),
        for_each=_optional("for_each", source, _expression, found),
        precondition=_optional("precondition", source, _expression, found),
        call=Step(
            str(source["operation"]),
            _field("path", source.get("path", {}), _table, found) or tree({}),
            _field("query", source.get("query", {}), _table, found) or tree({}),
            _optional("body", source, _table, found),
        ),
        title=_field("title", source["title"], template, found) or template(""),
        reasons=tuple(
            line
            for text in _strings("reasons", source, found)
            if (line := _field("reasons", text, template, found)) is not None
        ),
        delay=_optional("delay", source, duration, found) or timedelta(0),
        skip_precondition_for=_optional("skip_precondition_for", source, duration, found) or timedelta(0),
        dedupe_key=_optional("dedupe_key", source, template, found),
        then=tuple(_steps(source, found)),
        private_message=_optional("private_message", source, template, found),
        approvers=_optional("approvers", source, people, found) or (),
        deadline=_optional("deadline", source, template, found),
        expires_after=_optional("expires_after", source, duration, found),
    )
    if found:
        raise RulesError(found)
    return rule


def version_of(source: Mapping[str, Any]) -> str:
    """The version of a rule: the beginning of its content's SHA-256, over its first keys (`in_old_keys`)."""
    return sha256(canonical_json(in_old_keys(source), ascii_only=False))[:16]


def _reads(source: Mapping[str, Any], found: list[str]) -> Iterable[Read]:
    reads = source.get("read", {})
    if not isinstance(reads, Mapping):
        found.append("`read`: must be a table of named reads")
        return
    for name, read in reads.items():
        where = f"read.{name}"
        if (step := _step(where, read, _READ_FIELDS, "a read", found)) is not None:
            when = _optional("when", read, _expression, found, where=f"{where}.when")
            yield Read(name, step.operation, step.path, step.query, when)


def _steps(source: Mapping[str, Any], found: list[str]) -> Iterable[Step]:
    steps = source.get("then", [])
    for number, table in enumerate(steps if isinstance(steps, list) else [steps], start=1):
        if (step := _step(f"then[{number}]", table, _STEP_FIELDS, "a step", found)) is not None:
            yield step


def _step(where: str, table: Any, known: frozenset[str], kind: str, found: list[str]) -> Step | None:
    if not isinstance(table, Mapping) or not isinstance(table.get("operation"), str):
        found.append(f"`{where}`: must be a table with an `operation`")
        return None
    for field in table.keys() - known:
        found.append(f"`{where}.{field}`: is no field of {kind}{closest(field, known)}")
    path = _field(f"{where}.path", table.get("path", {}), tree, found) or tree({})
    query = _field(f"{where}.query", table.get("query", {}), tree, found) or tree({})
    body = _optional("body", table, tree, found, where=f"{where}.body") if "body" in known else None
    return Step(table["operation"], path, query, body)


def _optional(
    name: str, source: Mapping[str, Any], read: Callable[[Any], T], found: list[str], where: str | None = None
) -> T | None:
    return _field(where or name, source[name], read, found) if name in source else None


def _field(where: str, value: Any, read: Callable[[Any], T], found: list[str]) -> T | None:
    try:
        return read(value)
    except (ValueError, TypeError) as error:
        found.append(f"`{where}`: {error}")
        return None


def _table(value: Any) -> Tree:
    if not isinstance(value, Mapping):
        raise TypeError(f'must be a table such as {{ id = "${{data.id}}" }}, not {value!r}')
    return tree(value)


def _expression(value: Any) -> Expression:
    if not isinstance(value, str):
        raise TypeError(f"must be an expression in quotes, not {value!r}")
    return Expression(value)


def _strings(name: str, source: Mapping[str, Any], found: list[str]) -> Sequence[str]:
    value = source.get(name, [])
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(text, str) for text in several):
        found.append(f"`{name}`: must be a text or a list of texts")
        return []
    return several


@cache
def unhandled_reasons() -> Mapping[str, str]:
    """The events no default rule listens to, each with its reason in one sentence: unhandled.toml."""
    file = Path(__file__).with_name("unhandled.toml")
    return MappingProxyType(tomllib.loads(file.read_text(encoding="utf-8")))
