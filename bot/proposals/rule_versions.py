"""The rule that made a proposal, as it was then: a proposal is judged by its own rule."""

from bot.rules import Rule, RulesError, compile_stored
from bot.services import Services
from store.events.rule_matches import rule_source


async def rule_as_it_was(services: Services, name: str, version: str) -> Rule | None:
    """The rule in force if it is that version, else the one kept with it; None when it cannot be read."""
    for rule in services.rules.rules:
        if rule.name == name and rule.version == version:
            return rule
    source = await services.store.do(rule_source, version)
    if source is None:
        return None
    try:
        return compile_stored(source)
    except RulesError:
        return None
