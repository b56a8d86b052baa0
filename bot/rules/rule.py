"""A rule as compiled, and what it says about one event. Pure: reads are asked of whoever evaluates it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.rules.errors import EvaluationError
from bot.rules.expression import Expression, Scope, Template, Tree
from polar.catalog import Call


@dataclass(frozen=True, slots=True)
class Read:
    """A named read of Polar, made before `each` and `still`; null where its `when` is false."""

    name: str
    operation: str
    path: Tree
    query: Tree
    when: Expression | None


@dataclass(frozen=True, slots=True)
class Step:
    """A call made after the one before it was done. Its values may use `answers`, what is kept of the answers
    to the calls before it (ids, states, amounts): `${answers[0].id}`.
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
    """What a rule proposes for one event: a question and the calls that a yes makes.

    `tells`: whoever says yes is handed something, so a person has to. `money` are (label, value) of what the
    calls come to, once that has been read; `reads` is what is kept of the answers, by the names of the reads.
    """

    title: str
    because: tuple[str, ...]
    calls: tuple[Call, ...]
    tells: bool = False
    deadline: datetime | None = None
    money: tuple[tuple[str, str], ...] = ()
    reads: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `version` is the hash of `source`; an event younger than `fresh` needs no `still` yet.

    `then` are calls that follow in order, each only when the one before was done; once the first is done,
    `still` is not asked again. `tell` is whispered to whoever approved, from the whole `answer` to the last
    call and the event's own names: for links, which are neither stored nor posted.
    `approvers` alone may decide it (empty: whoever may anyway). `deadline` gives the business's own (as
    RFC 3339, or nothing); after `expire` without a decision it is closed.
    """

    name: str
    version: str
    source: Mapping[str, Any]
    on: tuple[str, ...]
    when: Expression | None
    reads: tuple[Read, ...]
    each: Expression | None
    still: Expression | None
    operation: str
    path: Tree
    query: Tree
    body: Tree | None
    title: Template
    because: tuple[Template, ...]
    wait: timedelta
    fresh: timedelta
    once: Template | None
    then: tuple[Step, ...] = ()
    tell: Template | None = None
    approvers: tuple[str, ...] = ()
    deadline: Template | None = None
    expire: timedelta | None = None

    def operations(self) -> frozenset[str]:
        """The ids of every operation it needs, reads included."""
        reads = [read.operation for read in self.reads]
        return frozenset({self.operation, *reads, *(step.operation for step in self.then)})

    def fires(self, scope: Scope) -> bool:
        """Whether its `when` holds. Raises EvaluationError."""
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
        """Names the business change (`once`), so that its several events give one card; None: each is one.

        Raises EvaluationError.
        """
        return None if self.once is None else str(self._value("once", self.once, scope))

    def compares(self) -> bool:
        """Whether it looks at `before`, the subject's state as the event before told it."""
        asked = [one for one in (self.when, self.each, self.still) if one is not None]
        asked += [] if self.once is None else list(self.once.expressions)
        reads = [e for read in self.reads for tree in (read.path, read.query) for e in tree.expressions]
        told = [] if self.tell is None else self.tell.expressions
        return any("before" in expression.names for expression in (*asked, *reads, *self._asked(), *told))

    def needs_reads(self) -> bool:
        """Whether the question itself (not only `still`) uses what is read."""
        names = {read.name for read in self.reads}
        return self.each is not None or any(names & expression.names for expression in self._asked())

    def _asked(self) -> list[Expression]:
        steps = [Step(self.operation, self.path, self.query, self.body), *self.then]
        deadline = () if self.deadline is None else (self.deadline,)
        lines = [e for line in (self.title, *self.because, *deadline) for e in line.expressions]
        return lines + [e for step in steps for e in step.expressions]

    def items(self, scope: Scope) -> list[Any] | None:
        """The values of `each`, or None for a rule that makes one call. Raises EvaluationError."""
        if self.each is None:
            return None
        found = self._value("each", self.each, scope)
        if not isinstance(found, list):
            raise EvaluationError(self.name, "each", f"gives {type(found).__name__}, not a list")
        return found

    def holds(self, scope: Scope) -> bool:
        """Whether its `still` is true. Raises EvaluationError."""
        return self.still is None or self._truth("still", self.still, scope)

    def calls(self, scope: Scope, items: list[Any] | None) -> tuple[Call, ...]:
        """The calls it makes now: one (and those of `then`), or one for each item. Raises EvaluationError."""
        scopes = [scope] if items is None else [scope.plus(item=item) for item in items]
        first = Step(self.operation, self.path, self.query, self.body)
        following = [
            self._call(step, scope, f"then[{number}].") for number, step in enumerate(self.then, start=1)
        ]
        return (*(self._call(first, each) for each in scopes), *following)

    def _call(self, step: Step, scope: Scope, where: str = "") -> Call:
        return Call(
            step.operation,
            self._value(f"{where}path", step.path, scope),
            self._value(f"{where}query", step.query, scope),
            None if step.body is None else self._value(f"{where}body", step.body, scope),
        )

    def told(self, scope: Scope, answer: Any) -> str | None:
        """What whoever approved is told of Polar's answer; None when nothing is. Raises EvaluationError."""
        if self.tell is None:
            return None
        return str(self._value("tell", self.tell, scope.plus(answer=answer)))

    def draft(self, scope: Scope, items: list[Any] | None) -> Draft:
        """The question and its calls. Raises EvaluationError."""
        title = str(self._value("title", self.title, scope))
        because = [str(self._value("because", line, scope)) for line in self.because]
        shown = tuple(line for line in because if line.strip())
        return Draft(title, shown, self.calls(scope, items), self.tell is not None, self._deadline(scope))

    def _deadline(self, scope: Scope) -> datetime | None:
        said = (
            "" if self.deadline is None else str(self._value("deadline", self.deadline, scope) or "").strip()
        )
        if not said:
            return None
        try:
            at = datetime.fromisoformat(said)
        except ValueError as error:
            raise EvaluationError(self.name, "deadline", f"gives {said!r:.60}, which is no time") from error
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
