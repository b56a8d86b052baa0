"""The effect of a call: its risk, who sees it, how it is verified and undone (operations.toml)."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter


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
    """One row of the table, or what is left of several after `combined`."""

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


def effect_of(row: Row, given: Mapping[str, Any]) -> Effect:
    """The effect of a call that sets these fields.

    When several variants fit, or a field is set that none of them speaks for, the worst of all counts.
    """
    fitting = [variant for variant in row.variants if variant.fits(given)]
    effects = [variant.effect for variant in fitting]
    covered = frozenset[str]().union(*(variant.covers for variant in fitting))
    if not effects or not given.keys() <= covered:
        effects.append(row.effect)
    return effects[0] if len(effects) == 1 else combined(effects)


def combined(effects: Sequence[Effect]) -> Effect:
    """The worst of several effects that one call has at once."""
    order = list(Repeat)
    inverse = _together([effect.inverse for effect in effects])
    worst = max(effects, key=lambda effect: effect.risk)  # the first of equals: table order
    return Effect(
        title=worst.title,
        risk=worst.risk,
        reversible=inverse is not None,
        customer_sees=". ".join(
            dict.fromkeys(effect.customer_sees for effect in effects if effect.customer_sees)
        ),
        inverse=inverse,
        repeat=max((effect.repeat for effect in effects), key=order.index),
        echo=frozenset().union(*(effect.echo for effect in effects)),
        money=any(effect.money for effect in effects),
    )


def _together(inverses: Sequence[Inverse | None]) -> Inverse | None:
    """One call that undoes all; None when one of them cannot be undone, or not by the same call."""
    known = [inverse for inverse in inverses if inverse is not None]
    if len(known) < len(inverses) or len({inverse.operation for inverse in known}) > 1:
        return None
    return Inverse(
        known[0].operation,
        {name: source for inverse in known for name, source in inverse.path.items()},
        {name: source for inverse in known for name, source in inverse.copied.items()},
        {name: value for inverse in known for name, value in inverse.body.items()},
        tuple(name for inverse in known for name in inverse.old),
    )


@cache
def table() -> tuple[dict[str, Row], dict[str, str]]:
    """The rows of operations.toml by operation id, and the reasons for refusing by caller."""
    content = tomllib.loads(Path(__file__).with_name("operations.toml").read_text("utf-8"))
    refused: dict[str, str] = content.pop("refused")
    return {identity: _row(identity, raw) for identity, raw in content.items()}, refused


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
