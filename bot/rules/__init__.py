"""Rules are data: TOML with CEL in it, compiled and checked at start, pure in use."""

from bot.rules.errors import EvaluationError, RuleError, RulesError
from bot.rules.expression import Scope
from bot.rules.load import RuleSet, compile_rule, load_rules
from bot.rules.policy import always_asks
from bot.rules.rule import Draft, Read, Rule

__all__ = [
    "Draft",
    "EvaluationError",
    "Read",
    "Rule",
    "RuleError",
    "RuleSet",
    "RulesError",
    "Scope",
    "always_asks",
    "compile_rule",
    "load_rules",
]
