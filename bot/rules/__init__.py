"""Rules as data: TOML with CEL in it, compiled and checked at start, pure in use."""

from bot.rules.expression import Scope
from bot.rules.load import compile_rule, compile_stored, load_rules, unhandled_reasons
from bot.rules.old_keys import in_new_keys
from bot.rules.rule import Draft, EvaluationError, Origin, Rule, RulesError, RuleSet, always_asks
from bot.rules.template import false_part, resolve

__all__ = [
    "Draft",
    "EvaluationError",
    "Origin",
    "Rule",
    "RuleSet",
    "RulesError",
    "Scope",
    "always_asks",
    "compile_rule",
    "compile_stored",
    "false_part",
    "in_new_keys",
    "load_rules",
    "resolve",
    "unhandled_reasons",
]
