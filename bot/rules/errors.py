"""The errors of rules.

RuleError
├── RulesError       the rule files: every problem found, each naming file, rule and field
└── EvaluationError  one expression of one rule, for one event: nothing was proposed by that rule
"""

from collections.abc import Sequence


class RuleError(Exception):
    """A rule could not be used."""


class RulesError(RuleError):
    """The rules cannot be used as they are."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class EvaluationError(RuleError):
    """An expression failed on this event."""

    def __init__(self, rule: str, field: str, problem: str) -> None:
        super().__init__(f"rule {rule!r}, `{field}`: {problem}")
        self.rule = rule
        self.field = field
