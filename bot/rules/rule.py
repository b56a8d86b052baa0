"""Compiled rules: which listen to an event, what one proposes for it. Pure: its caller makes the reads."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from bot.config.policy import Policy
from bot.rules.expression import Expression, Scope
from bot.rules.template import Template, Tree, as_text
from polar.catalog import Call
from polar.events import noun
from polar.polled import POLLED
from polar.redaction import is_secret, without_secrets
from store.models.reasons import AlwaysAsk

# The last field of a selection, as in `data.properties.key` or `data["key"]`.
_FIELDS = re.compile(r"\.(\w+)\b(?!\s*[.(\[])|\[\s*[\"'](\w+)[\"']\s*\](?!\s*[.\[])")


class RulesError(Exception):
    """The rule files cannot be used: every problem found, each naming file, rule and field."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class EvaluationError(Exception):
    """One expression of one rule failed for one event: nothing was proposed by that rule."""

    def __init__(self, rule: str, field: str, problem: str) -> None:
        super().__init__(f"rule {rule!r}, `{field}`: {problem}")
        self.rule = rule
        self.field = field


@dataclass(frozen=True, slots=True)
class Read:
    """A named read of Polar, made before `for_each` and `precondition`; null where its `when` is false."""

    name: str
    operation: str
    path: Tree
    query: Tree
    when: Expression | None


@dataclass(frozen=True, slots=True)
class Step:
    """A call made after the call before it was done.

    Its values may use `answers`, the kept parts of the answers to the calls before it (ids, states, amounts):
    `${answers[0].id}`.
    """

    operation: str
    path: Tree
    query: Tree
    body: Tree | None


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule's proposal for one event: a question, and the calls that follow an approval.

    With `private`, the approver gets a private message, so a person has to approve. `money` are (label,
    value) of the sums of the calls, once they were read, and `amounts` these sums with their currency, by the
    number of the call. `reads` are the kept parts of the answers, by read. `left_out` is the number of items
    of `for_each` that it makes no call for.
    """

    title: str
    reasons: tuple[str, ...]
    calls: tuple[Call, ...]
    private: bool = False
    deadline: datetime | None = None
    money: tuple[tuple[str, str], ...] = ()
    amounts: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    reads: Mapping[str, Any] | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `version` is the hash of `source`.

    An event younger than `skip_precondition_for` gets its card without asking the `precondition`.
    `then` are calls that follow in order, each only when the one before was done; once the first is done,
    the `precondition` is not asked again. Only the approver sees `private_message`. It is made of the whole
    `answer` to the last call and the names of the event. It is for links, which are never stored or posted.
    `approvers` alone may decide it (empty: the approvers of its class). `deadline` gives a time (as RFC 3339,
    or nothing) by which the matter itself must be settled. After `expires_after` without a decision the card
    is closed. `list_name` is the name in expressions for the list of `for_each`.
    """

    name: str
    version: str
    source: Mapping[str, Any]
    on: tuple[str, ...]
    when: Expression | None
    reads: tuple[Read, ...]
    for_each: Expression | None
    precondition: Expression | None
    call: Step
    title: Template
    reasons: tuple[Template, ...]
    delay: timedelta
    skip_precondition_for: timedelta
    dedupe_key: Template | None
    then: tuple[Step, ...] = ()
    private_message: Template | None = None
    approvers: tuple[str, ...] = ()
    deadline: Template | None = None
    expires_after: timedelta | None = None
    list_name: str = "for_each"

    def operations(self) -> frozenset[str]:
        """The ids of every operation it needs, reads included."""
        reads = [read.operation for read in self.reads]
        return frozenset({self.call.operation, *reads, *(step.operation for step in self.then)})

    def matches(self, scope: Scope) -> bool:
        """True if its `when` is true. Raises EvaluationError."""
        return self.when is None or self._truth("when", self.when, scope)

    def request(self, read: Read, scope: Scope) -> Call | None:
        """The read to make, or None when its `when` says there is nothing to read. Raises EvaluationError."""
        if read.when is not None and not self._truth(f"read.{read.name}.when", read.when, scope):
            return None
        path, query = (self._value(f"read.{read.name}", part, scope) for part in (read.path, read.query))
        return Call(read.operation, path, query)

    def change(self, scope: Scope) -> str | None:
        """The `dedupe_key` of the business change of an event; None if each event is a change of its own.

        The first event with a key gives the card. Raises EvaluationError.
        """
        return None if self.dedupe_key is None else str(self._value("dedupe_key", self.dedupe_key, scope))

    def compares(self) -> bool:
        """True if it uses `before`, the state of the subject in the event before."""
        return any("before" in expression.names for _, expression in self.expressions())

    def needs_reads(self) -> bool:
        """True if the question itself, not only the `precondition`, uses the reads."""
        names = {read.name for read in self.reads}
        return self.for_each is not None or any(names & shown.names for _, shown in self._shown())

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Every expression with the field it is in, such as `when`, `read.NAME`, `then[1]`."""
        yield from _in_fields(
            ("when", self.when),
            ("dedupe_key", self.dedupe_key),
            *(
                (f"read.{read.name}", part)
                for read in self.reads
                for part in (read.when, read.path, read.query)
            ),
            ("for_each", self.for_each),
            ("precondition", self.precondition),
        )
        yield from self._shown()
        yield from _in_fields(("private_message", self.private_message))

    def _shown(self) -> Iterator[tuple[str, Expression]]:
        """The expressions of the question and its calls."""
        yield from _in_fields(
            ("title", self.title),
            *(("reasons", line) for line in self.reasons),
            ("deadline", self.deadline),
            ("path", self.call.path),
            ("query", self.call.query),
            ("body", self.call.body),
            *(
                (f"then[{number}]", part)
                for number, step in enumerate(self.then, start=1)
                for part in (step.path, step.query, step.body)
            ),
        )

    def items(self, scope: Scope) -> list[Any] | None:
        """The list of `for_each`, or None for a rule that makes one call. Raises EvaluationError."""
        if self.for_each is None:
            return None
        found = self._value("for_each", self.for_each, scope)
        if not isinstance(found, list):
            raise EvaluationError(self.name, "for_each", f"gives {type(found).__name__}, not a list")
        return found

    def holds(self, scope: Scope) -> bool:
        """True if its `precondition` is true, or if it has none. Raises EvaluationError."""
        return self.precondition is None or self._truth("precondition", self.precondition, scope)

    def calls(self, scope: Scope, items: list[Any] | None) -> tuple[Call, ...]:
        """The calls it makes now: one and those of `then`, or one for each item. Raises EvaluationError."""
        scopes = [scope] if items is None else scope.each("item", items)
        following = [
            self._call(step, scope, f"then[{number}].") for number, step in enumerate(self.then, start=1)
        ]
        return (*(self._call(self.call, one) for one in scopes), *following)

    def _call(self, step: Step, scope: Scope, where: str = "") -> Call:
        return Call(
            step.operation,
            self._value(f"{where}path", step.path, scope),
            self._value(f"{where}query", step.query, scope),
            None if step.body is None else self._value(f"{where}body", step.body, scope),
        )

    def private_text(self, scope: Scope, answer: Any) -> str | None:
        """The private message to the approver, from Polar's answer, if any. Raises EvaluationError."""
        if self.private_message is None:
            return None
        return str(self._value("private_message", self.private_message, scope.plus(answer=answer)))

    def draft(self, scope: Scope, items: list[Any] | None) -> Draft:
        """The question and its calls. Raises EvaluationError."""
        title = self._text("title", self.title, scope)
        reasons = [self._text("reasons", line, scope) for line in self.reasons]
        shown = tuple(line for line in reasons if line.strip())
        private = self.private_message is not None
        return Draft(title, shown, self.calls(scope, items), private, self._deadline(scope))

    def _text(self, field: str, line: Template, scope: Scope) -> str:
        """A text for a card. Values of fields that give access are cut to their ends."""
        parts = [part if isinstance(part, str) else self._public(field, part, scope) for part in line.parts]
        return str(parts[0]) if len(parts) == 1 else "".join(map(as_text, parts))

    def _public(self, field: str, expression: Expression, scope: Scope) -> Any:
        value = self._value(field, expression, scope)
        if isinstance(value, bool | int | float):
            return value
        fields = (one for names in _FIELDS.findall(expression.source) for one in names)
        return without_secrets(value, next(filter(is_secret, fields), ""))

    def _deadline(self, scope: Scope) -> datetime | None:
        if self.deadline is None:
            return None
        text = str(self._value("deadline", self.deadline, scope) or "").strip()
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise EvaluationError(self.name, "deadline", "gives a text that is no time") from error
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def _truth(self, field: str, expression: Expression, scope: Scope) -> bool:
        found = self._value(field, expression, scope)
        if not isinstance(found, bool):
            raise EvaluationError(self.name, field, f"gives {type(found).__name__}, neither true nor false")
        return found

    def _value(self, field: str, expression: Expression | Template | Tree, scope: Scope) -> Any:
        try:
            return expression.value(scope)
        except ValueError as error:
            raise EvaluationError(self.name, field, str(error)) from error


def _in_fields(*fields: tuple[str, Expression | Template | Tree | None]) -> Iterator[tuple[str, Expression]]:
    for name, part in fields:
        if part is not None:
            parts = (part,) if isinstance(part, Expression) else part.expressions
            yield from ((name, expression) for expression in parts)


class Origin(StrEnum):
    """The origin of a rule, and its state: in force or switched off."""

    DEFAULT = "on"
    REPLACED = "on, your own in place of the default"
    OWN = "on, your own"
    OFF = "off"


@dataclass(frozen=True)
class RuleSet:
    """The rules in force and the operator's policy. `origins` has those switched off too, by name."""

    rules: tuple[Rule, ...]
    origins: Mapping[str, Origin] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    @cached_property
    def _by_event(self) -> Mapping[str, tuple[Rule, ...]]:
        types = {name for rule in self.rules for name in rule.on}
        return {name: tuple(rule for rule in self.rules if name in rule.on) for name in types}

    def for_event(self, type_: str) -> tuple[Rule, ...]:
        """The rules that listen to an event type."""
        return self._by_event.get(type_, ())

    def event_types(self) -> frozenset[str]:
        """Every webhook that a rule listens to. Polled events have no webhook."""
        return frozenset(self._by_event) - POLLED.keys()

    @cached_property
    def delayed(self) -> frozenset[str]:
        """The names of the rules with a delay."""
        return frozenset(rule.name for rule in self.rules if rule.delay)

    def compares(self, type_: str) -> bool:
        """True if a rule compares events of this type's noun with earlier ones (`before`)."""
        return noun(type_) in self._compared

    @cached_property
    def _compared(self) -> frozenset[str]:
        return frozenset(noun(type_) for rule in self.rules if rule.compares() for type_ in rule.on)


# In the first three, Polar has already changed the access of a customer. A person must judge what should
# follow.
ALWAYS_ASK_EVENTS: Mapping[str, AlwaysAsk] = {
    "benefit_grant.revoked": AlwaysAsk.LOST_ACCESS,
    "customer.state_changed": AlwaysAsk.STATE_CHANGED,
    "customer_seat.revoked": AlwaysAsk.LOST_SEAT,
    # Money under dispute is of the highest risk class, R4.
    "dispute.early_warning": AlwaysAsk.MONEY_DISPUTED,
    "dispute.needs_response": AlwaysAsk.MONEY_DISPUTED,
}


def always_asks(event_type: str, risks: Iterable[str], *, private: bool = False) -> AlwaysAsk | None:
    """The reason why this case always asks a person, or None when it may run on its own one day.

    `private` is True if the approver gets a private message.
    """
    if event_type in ALWAYS_ASK_EVENTS:
        return ALWAYS_ASK_EVENTS[event_type]
    if private:
        return AlwaysAsk.HANDS_OUT_LINK
    return AlwaysAsk.IRREVERSIBLE if "R4" in risks else None
