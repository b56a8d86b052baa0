"""Evaluate a rule on one event: answer its reads, ask its precondition, draft its question."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bot.rules import Draft, Rule, Scope
from bot.rules.expression import false_part
from polar.catalog import Call


class Reader(Protocol):
    """A source of the answers to a rule's reads."""

    async def fill(self, rule: Rule, scope: Scope) -> Scope:
        """The scope with every read of the rule in it."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A rule with the names its question may use.

    `untrue` is the part of its precondition that is not true; None: it holds, or was not asked.
    `was_read`: the reads were made.
    """

    rule: Rule
    scope: Scope
    items: list[Any] | None = None
    untrue: str | None = None
    was_read: bool = False

    def calls(self) -> tuple[Call, ...]:
        """The calls that it makes now. Raises EvaluationError."""
        return self.rule.calls(self.scope, self.items)

    def draft(self, *, now: datetime | None = None) -> Draft:
        """The question and its calls, as of now or of another time. Raises EvaluationError."""
        return self.rule.draft(self.scope if now is None else self.scope.plus(now=now), self.items)


async def evaluate(rule: Rule, scope: Scope, reads: Reader, *, skip_precondition: bool = False) -> Evaluated:
    """Evaluate a rule for the event of `scope`. Raises EvaluationError, and what `reads` raises.

    `skip_precondition`: nothing is read for the precondition alone.
    """
    if skip_precondition and not rule.needs_reads():
        return Evaluated(rule, scope)
    scope = await reads.fill(rule, scope)
    items = rule.items(scope)
    if items is not None:
        scope = scope.plus(**{rule.list_name: items})
    holds = rule.precondition is None or rule.holds(scope)
    untrue = None if holds or rule.precondition is None else false_part(rule.precondition, scope)
    return Evaluated(rule, scope, items, untrue, was_read=True)
