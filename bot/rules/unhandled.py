"""The events no default rule listens to, with a reason each: data in unhandled.toml."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from bot.rules.load import RuleSet
from polar.catalog import event_types

_FILE = Path(__file__).with_name("unhandled.toml")


@cache
def unhandled_reasons() -> Mapping[str, str]:
    """The reason, one sentence, by event type."""
    return MappingProxyType(tomllib.loads(_FILE.read_text(encoding="utf-8")))


def unaccounted(rules: RuleSet) -> Iterator[str]:
    """A problem for each event with neither a rule nor a reason, and for each reason without an event."""
    reasons = unhandled_reasons()
    yield from (
        f"{name} has neither a rule nor a reason in {_FILE.name}"
        for name in sorted(event_types() - rules.event_types() - reasons.keys())
    )
    yield from (
        f"{_FILE.name}: Polar has no event {name!r}" for name in sorted(reasons.keys() - event_types())
    )
