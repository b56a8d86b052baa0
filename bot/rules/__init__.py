"""Rules are data: TOML with CEL in it, compiled and checked at start, pure in use."""

from bot.rules.always_ask import always_asks
from bot.rules.errors import EvaluationError, RuleError, RulesError
from bot.rules.expression import Scope, resolve
from bot.rules.load import Origin, RuleSet, compile_rule, load_rules
from bot.rules.rule import Draft, Read, Rule, Step
from bot.rules.unhandled import silent_reasons, unaccounted

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
    "load_rules",
    "resolve",
    "silent_reasons",
    "unaccounted",
]
