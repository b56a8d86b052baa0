"""The table of effects (operations.toml): risk, who sees it, how a call is verified and undone."""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

_ACRONYMS = frozenset({"ID", "Id", "CSV"})


class UnknownOperation(KeyError):
    """Polar has no operation of this name."""

    def __init__(self, id: str, known: Collection[str] = ()) -> None:  # noqa: A002  the contract's own word
        close = difflib.get_close_matches(id, known, 3)
        hint = f"; did you mean {' or '.join(f'`{one}`' for one in close)}?" if close else ""
        super().__init__(f"Polar has no operation `{id}`{hint}")

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError itself would show it in quotes


class Risk(StrEnum):
    """The class of risk, in this order: R0 reads, R4 always asks a person."""

    R0 = "R0"
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    R4 = "R4"


class Repeat(StrEnum):
    """The effect of a second, equal call after the first one worked, from harmless to harmful."""

    SAME = "same"  # nothing more happens
    REFUSED = "refused"
    AGAIN = "again"  # the effect happens once more
    CREATES_ANOTHER = "creates another"


@dataclass(frozen=True, slots=True)
class Inverse:
    """The call that undoes an earlier one.

    `path` and `copied` (into the body) say where values come from: "path.id" or "body.x" of the earlier
    call, "answer.id" of Polar's answer to it, "before.x" of the object as it was. `body` are fixed values;
    `old` are fields whose values before the call are written back ("*": every field the call has set).
    """

    operation: str
    path: Mapping[str, str] = field(default_factory=dict)
    copied: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    old: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One row of the table, or the worst of several that one call has at once."""

    title: str  # what it does, in plain words, as an order: "Disable a license key"
    risk: Risk
    reversible: bool = False  # one call of ours (`inverse`) restores what was
    customer_sees: str = ""  # the effect the customer notices, as a sentence without its full stop
    inverse: Inverse | None = None
    repeat: Repeat = Repeat.CREATES_ANOTHER
    echo: frozenset[str] = frozenset()  # the event types that our own call may cause
    money: bool = False  # moves money, or commits somebody to it


@dataclass(frozen=True, slots=True)
class Variant:
    """The effect of calls that hold these values (`when`: all of them) and set these fields (`has`: any).

    A list in `when` means one of its values. `also` are fields that may come along and change nothing.
    """

    effect: Effect
    when: Mapping[str, Any] = field(default_factory=dict)
    has: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()

    def fits(self, given: Mapping[str, Any]) -> bool:
        held = all(
            name in given and given[name] in (asked if isinstance(asked, list) else [asked])
            for name, asked in self.when.items()
        )
        return held and (not self.has or not self.has.isdisjoint(given))

    @property
    def covers(self) -> frozenset[str]:
        """The fields this variant speaks for."""
        return self.has | self.also | self.when.keys()


@dataclass(frozen=True, slots=True)
class Row:
    """An operation's row of operations.toml. `verify_with` names the sources of the read's parameters."""

    effect: Effect
    variants: tuple[Variant, ...] = ()
    verify: str | None = None
    verify_with: Mapping[str, str] = field(default_factory=dict)


@cache
def table() -> tuple[dict[str, Row], dict[str, str]]:
    """The rows of operations.toml by operation id, and the reasons for refusing by caller."""
    content = tomllib.loads(Path(__file__).with_name("operations.toml").read_text("utf-8"))
    refused: dict[str, str] = content.pop("refused")
    return {identity: _row(identity, raw) for identity, raw in content.items()}, refused


def plain_row(facts: Mapping[str, Any]) -> Row:
    """The row of an operation that is not in our table: a read, or a write that always asks."""
    risk = Risk.R0 if facts["method"] == "GET" else Risk.R4
    repeat = Repeat.SAME if risk is Risk.R0 else Repeat.CREATES_ANOTHER
    return Row(Effect(title=_sentence(facts["summary"]), risk=risk, repeat=repeat))


def _sentence(summary: str) -> str:
    """A summary as a sentence: Get Customer by External ID → Get customer by external ID."""
    first, *rest = summary.split()
    return " ".join([first, *(word if word in _ACRONYMS else word.lower() for word in rest)])


def _row(identity: str, raw: Mapping[str, Any]) -> Row:
    variants = []
    for one in raw.get("variant", ()):
        names = (frozenset(one.get(key, ())) for key in ("has", "also"))
        variants.append(Variant(_effect(identity, {**raw, **one}), one.get("when", {}), *names))
    return Row(_effect(identity, raw), tuple(variants), raw.get("verify"), raw.get("verify_with", {}))


def _effect(identity: str, raw: Mapping[str, Any]) -> Effect:
    inverse = {"operation": identity, **raw["inverse"]} if raw["reversible"] and "inverse" in raw else None
    return _EFFECT.validate_python({**raw, "inverse": inverse})


_EFFECT = TypeAdapter(Effect)
