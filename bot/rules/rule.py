"""A compiled rule and its proposal for one event. Pure: its caller makes the reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.rules.errors import EvaluationError
from bot.rules.expression import Expression, Scope, Template, Tree
from polar.catalog import Call


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

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Every expression in it."""
        parts = [self.path, self.query, *([self.body] if self.body is not None else [])]
        return tuple(expression for part in parts for expression in part.expressions)


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule's proposal for one event: a question, and the calls that follow an approval.

    With `private`, the approver gets a private message, so a person has to approve. `money` are (label,
    value) of the sums of the calls, once they were read. `reads` are the kept parts of the answers, by read.
    """

    title: str
    reasons: tuple[str, ...]
    calls: tuple[Call, ...]
    private: bool = False
    deadline: datetime | None = None
    money: tuple[tuple[str, str], ...] = ()
    reads: Mapping[str, Any] | None = None


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
    operation: str
    path: Tree
    query: Tree
    body: Tree | None
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
        return frozenset({self.operation, *reads, *(step.operation for step in self.then)})

    def matches(self, scope: Scope) -> bool:
        """True if its `when` is true. Raises EvaluationError."""
        return self.when is None or self._truth("when", self.when, scope)

    def request(self, read: Read, scope: Scope) -> Call | None:
        """The read to make, or None when its `when` says there is nothing to read. Raises EvaluationError."""
        if read.when is not None and not self._truth(f"read.{read.name}.when", read.when, scope):
            return None
        field = f"read.{read.name}"
        return Call(
            read.operation, self._value(field, read.path, scope), self._value(field, read.query, scope), None
        )

    def change(self, scope: Scope) -> str | None:
        """The `dedupe_key` of the business change of an event; None if each event is a change of its own.

        The first event with a key gives the card. Raises EvaluationError.
        """
        return None if self.dedupe_key is None else str(self._value("dedupe_key", self.dedupe_key, scope))

    def compares(self) -> bool:
        """True if it uses `before`, the state of the subject in the event before."""
        asked = [one for one in (self.when, self.for_each, self.precondition) if one is not None]
        asked += [] if self.dedupe_key is None else list(self.dedupe_key.expressions)
        reads = [e for read in self.reads for tree in (read.path, read.query) for e in tree.expressions]
        private = [] if self.private_message is None else self.private_message.expressions
        return any("before" in expression.names for expression in (*asked, *reads, *self._shown(), *private))

    def needs_reads(self) -> bool:
        """True if the question itself, not only the `precondition`, uses the reads."""
        names = {read.name for read in self.reads}
        return self.for_each is not None or any(names & expression.names for expression in self._shown())

    def _shown(self) -> list[Expression]:
        """The expressions of the question and its calls."""
        steps = [Step(self.operation, self.path, self.query, self.body), *self.then]
        deadline = () if self.deadline is None else (self.deadline,)
        lines = [e for line in (self.title, *self.reasons, *deadline) for e in line.expressions]
        return lines + [e for step in steps for e in step.expressions]

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
        scopes = [scope] if items is None else [scope.plus(item=item) for item in items]
        first = Step(self.operation, self.path, self.query, self.body)
        following = [
            self._call(step, scope, f"then[{number}].") for number, step in enumerate(self.then, start=1)
        ]
        return (*(self._call(first, one) for one in scopes), *following)

    def _call(self, step: Step, scope: Scope, where: str = "") -> Call:
        return Call(
            step.operation,
            self._value(f"{where}path", step.path, scope),
            self._value(f"{where}query", step.query, scope),
            None if step.body is None else self._value(f"{where}body", step.body, scope),
        )

    def private_text(self, scope: Scope, answer: Any) -> str | None:
        """The private message to the approver, from Polar's answer; None when the rule has none.

        Raises EvaluationError.
        """
        if self.private_message is None:
            return None
        return str(self._value("private_message", self.private_message, scope.plus(answer=answer)))

    def draft(self, scope: Scope, items: list[Any] | None) -> Draft:
        """The question and its calls. Raises EvaluationError."""
        title = str(self._value("title", self.title, scope))
        reasons = [str(self._value("reasons", line, scope)) for line in self.reasons]
        shown = tuple(line for line in reasons if line.strip())
        private = self.private_message is not None
        return Draft(title, shown, self.calls(scope, items), private, self._deadline(scope))

    def _deadline(self, scope: Scope) -> datetime | None:
        if self.deadline is None:
            return None
        text = str(self._value("deadline", self.deadline, scope) or "").strip()
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError as error:
            raise EvaluationError(self.name, "deadline", f"gives {text!r:.60}, which is no time") from error
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def _truth(self, field: str, expression: Expression, scope: Scope) -> bool:
        found = self._value(field, expression, scope)
        if not isinstance(found, bool):
            raise EvaluationError(self.name, field, f"gives {found!r:.60}, neither true nor false")
        return found

    def _value(self, field: str, expression: Expression | Template | Tree, scope: Scope) -> Any:
        try:
            return expression.value(scope)
        except ValueError as error:
            raise EvaluationError(self.name, field, str(error)) from error
