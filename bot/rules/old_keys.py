"""Earlier names of rule keys: refused in a file, translated in a stored rule, kept in the hash."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_OF_RULE = {
    "still": "precondition",
    "wait": "delay",
    "once": "dedupe_key",
    "tell": "private_message",
    "each": "for_each",
    "because": "reasons",
    "fresh": "skip_precondition_for",
    "expire": "expires_after",
    "call": "operation",
}
_OF_CALL = {"call": "operation"}  # of a read, and of a step in `then`
OLD_LIST_NAME = "each"  # the earlier name in expressions for the list of `for_each`
_NEW_LIST_NAME = re.compile(r"\bfor_each\b")


def renamed_keys(source: Mapping[str, Any]) -> Iterator[str]:
    """A problem in words for each old key in a rule's table."""
    yield from _renamed(source, _OF_RULE)
    for where, call in _calls(source):
        yield from _renamed(call, _OF_CALL, f"{where}.")


def new_name(name: str, known: frozenset[str]) -> str:
    """A hint for an expression that uses the old name of the list; empty for any other name."""
    return "; use `for_each`" if name == OLD_LIST_NAME and "for_each" in known else ""


def has_old_keys(source: Mapping[str, Any]) -> bool:
    """True for a stored rule with the old keys. Every such rule has a `call`."""
    return "call" in source


def in_new_keys(source: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored rule with today's keys. Its expressions stay as they are: see `OLD_LIST_NAME`."""
    return _with_keys(source, _OF_RULE, _OF_CALL) if has_old_keys(source) else source


def in_old_keys(source: Mapping[str, Any]) -> dict[str, Any]:
    """A rule with its first keys and names, for its hash.

    The hash is the version of a rule, and a kind of case belongs to one version. A new name for a key does
    not make a new rule, so the earlier decisions about the cases of the rule still count.
    """
    of_rule, of_call = ({new: old for old, new in names.items()} for names in (_OF_RULE, _OF_CALL))
    old = _with_keys(source, of_rule, of_call)
    return {name: _with_old_list_name(value) for name, value in old.items()}


def _renamed(table: Mapping[str, Any], names: Mapping[str, str], where: str = "") -> Iterator[str]:
    for old, new in names.items():
        if old in table:
            yield f"`{where}{old}`: is now called `{new}`"


def _calls(source: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tables of the reads and of the steps, with the name a problem gives them."""
    reads, steps = source.get("read"), source.get("then")
    if isinstance(reads, Mapping):
        yield from ((f"read.{name}", read) for name, read in reads.items() if isinstance(read, Mapping))
    numbered = enumerate(steps if isinstance(steps, list) else [steps], start=1)
    yield from ((f"then[{number}]", step) for number, step in numbered if isinstance(step, Mapping))


def _with_keys(
    source: Mapping[str, Any], of_rule: Mapping[str, str], of_call: Mapping[str, str]
) -> dict[str, Any]:
    def renamed(value: Any, names: Mapping[str, str] = of_call) -> Any:
        is_table = isinstance(value, Mapping)
        return {names.get(name, name): each for name, each in value.items()} if is_table else value

    table: dict[str, Any] = renamed(source, of_rule)
    if isinstance(reads := table.get("read"), Mapping):
        table["read"] = {name: renamed(read) for name, read in reads.items()}
    if (steps := table.get("then")) is not None:
        table["then"] = [renamed(step) for step in steps] if isinstance(steps, list) else renamed(steps)
    return table


def _with_old_list_name(node: Any) -> Any:
    if isinstance(node, str):
        return _NEW_LIST_NAME.sub(OLD_LIST_NAME, node)
    if isinstance(node, Mapping):
        return {name: _with_old_list_name(child) for name, child in node.items()}
    if isinstance(node, list):
        return [_with_old_list_name(child) for child in node]
    return node
