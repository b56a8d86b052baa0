"""Rules as data: TOML with CEL in it, compiled and checked at start, pure in use."""

from bot.rules.always_ask import always_asks
from bot.rules.errors import EvaluationError, RuleError, RulesError
from bot.rules.expression import Scope, resolve
from bot.rules.load import Origin, RuleSet, compile_rule, compile_stored, load_rules
from bot.rules.old_keys import in_new_keys
from bot.rules.rule import Draft, Read, Rule, Step
from bot.rules.unhandled import unaccounted, unhandled_reasons

__all__ = [
    "Draft",
    "EvaluationError",
    "Origin",
    "Read",
    "Rule",
    "RuleError",
    "RuleSet",
    "RulesError",
    "Scope",
    "Step",
    "always_asks",
    "compile_rule",
    "compile_stored",
    "in_new_keys",
    "load_rules",
    "resolve",
    "unaccounted",
    "unhandled_reasons",
]
