"""Why nothing is asked about an event that no default rule listens to: kept as data, in silent.toml."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from bot.rules.load import RuleSet
from polar.catalog import event_types

_FILE = Path(__file__).with_name("silent.toml")


@cache
def silent_reasons() -> Mapping[str, str]:
    """The reason, one sentence, by event type."""
    return MappingProxyType(tomllib.loads(_FILE.read_text(encoding="utf-8")))


def unaccounted(rules: RuleSet) -> Iterator[str]:
    """The event types of Polar that have neither a rule nor a reason, and reasons for what is no event."""
    reasons = silent_reasons()
    yield from (
        f"{name} has neither a rule nor a reason in {_FILE.name}"
        for name in sorted(event_types() - rules.event_types() - reasons.keys())
    )
    yield from (
        f"{_FILE.name}: Polar has no event {name!r}" for name in sorted(reasons.keys() - event_types())
    )
