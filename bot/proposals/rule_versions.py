"""Recall the rule that made a proposal, as it was then, and its event: each is judged by its own rule."""

from dataclasses import dataclass

from bot.proposals.build import before, scope_of
from bot.rules import Rule, RulesError, RuleSet, Scope, compile_stored
from bot.services import Services
from polar.events import Event, parse
from store import Store
from store.events.events import get_event, rule_source
from store.models import StoredEvent


@dataclass(frozen=True, slots=True)
class Recalled:
    """A rule, the event it was asked about, and the names that the event gives to its expressions."""

    rule: Rule
    stored: StoredEvent
    event: Event
    names: Scope


async def recall(services: Services, event_id: str, name: str, version: str) -> Recalled | None:
    """The rule of that version and its event; None when one of them is no longer here. Raises StoreError."""
    stored = await services.store.do(get_event, event_id)
    rule = await _rule(services.rules, services.store, name, version)
    if stored is None or rule is None:
        return None
    event = parse(stored.body)
    earlier = await before(services.store, event) if rule.compares() else None
    return Recalled(rule, stored, event, scope_of(event, services.clock(), earlier))


async def _rule(rules: RuleSet, store: Store, name: str, version: str) -> Rule | None:
    """The rule in force if it is that version, else the stored one; None when it cannot be read."""
    for rule in rules.rules:
        if rule.name == name and rule.version == version:
            return rule
    source = await store.do(rule_source, version)
    if source is None:
        return None
    try:
        return compile_stored(source)
    except RulesError:
        return None
