"""Try one rule on one event as if it had just arrived, and print why it asks or not; nothing is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.config.policy import Policy
from bot.proposals.build import Evaluated, Reader, evaluate, new_proposal, scope_of
from bot.rules import EvaluationError, Rule, Scope
from bot.rules.expression import LATE, false_part
from bot.ui.graduation_words import because_words
from polar.catalog import Call, operations
from polar.errors import InvalidCall, PolarError
from polar.events import Event
from store.models import NewProposal


@dataclass(frozen=True, slots=True)
class TriedEvent:
    """The event, and the data of the event before it about the same subject."""

    event: Event
    before: dict[str, Any] | None = None

    @property
    def now(self) -> datetime:
        """The time of its arrival: the one it tells."""
        return self.event.timestamp or datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class TriedRule:
    """The result of one rule: `proposal` if it would ask, else `why` not; `missing`: unanswered reads."""

    rule: Rule
    why: str = ""
    proposal: NewProposal | None = None
    change: str | None = None
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failed: bool = False


class NotGiven(Exception):
    """Nobody has said what Polar answers to some reads."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        """`missing`: each read with the call that would ask."""
        super().__init__(", ".join(missing))
        self.missing = missing


@dataclass(frozen=True, slots=True)
class FileAnswers:
    """Answers by the name of the read, or as `rule.read` where two rules name different things alike."""

    given: Mapping[str, Any]

    async def fill(self, rule: Rule, scope: Scope) -> Scope:
        """The scope with every read in it. Raises NotGiven with all reads that have no answer."""
        missing: list[str] = []
        for read in rule.reads:
            try:
                call = rule.request(read, scope)
            except EvaluationError:
                if not missing:
                    raise
                missing.append(f"{read.name}: {read.operation}, with what an earlier read answers")
                continue
            name = next((one for one in (f"{rule.name}.{read.name}", read.name) if one in self.given), None)
            if call is None or name is not None:
                scope = scope.plus(**{read.name: None if call is None or name is None else self.given[name]})
            else:
                missing.append(f"{read.name}: {_asks(call)}")
        if missing:
            raise NotGiven(tuple(missing))
        return scope


async def ask(rule: Rule, given: TriedEvent, answers: Reader) -> TriedRule:
    """Try a rule on an event. Raises nothing: the result says what failed."""
    try:
        return await _asked(rule, given, answers)
    except (EvaluationError, InvalidCall) as error:
        return TriedRule(rule, f"it fails: {error}", failed=True)
    except PolarError as error:
        return TriedRule(rule, f"Polar could not be read: {error.plain}", failed=True)


async def _asked(rule: Rule, given: TriedEvent, answers: Reader) -> TriedRule:
    scope = scope_of(given.event, given.now, given.before)
    if rule.when is not None and not rule.matches(scope):
        notes = _notes(rule, given, waited=False)
        return TriedRule(rule, f"in `when`, this is not true: {false_part(rule.when, scope)}", notes=notes)
    change, notes = rule.change(scope), _notes(rule, given, waited=True)
    scope = scope_of(given.event, given.now + rule.delay, given.before)
    try:
        found = await evaluate(rule, scope, answers)
    except NotGiven as error:
        if rule.needs_reads() or not rule.skip_precondition_for:
            why = "it cannot be told what it would do without what Polar answers to its reads"
            return TriedRule(rule, why, change=change, missing=error.missing, failed=True)
        notes += ("`precondition` was not asked: see `skip_precondition_for`. --reads asks it too",)
        found = await evaluate(rule, scope, answers, skip_precondition=True)
    return _said(found, given, change, notes)


def _said(found: Evaluated, given: TriedEvent, change: str | None, notes: tuple[str, ...]) -> TriedRule:
    rule = found.rule
    if found.untrue is not None:
        why = f"in `precondition`, this is not true: {found.untrue}"
        return TriedRule(rule, why, change=change, notes=notes)
    draft = found.draft()
    if not draft.calls:
        return TriedRule(rule, "`for_each` is empty: there is nothing to call", change=change, notes=notes)
    proposal = new_proposal(
        rule, Policy(), draft, change or "", event=given.event, event_id="", now=given.now
    )
    return TriedRule(rule, proposal=proposal, change=change, notes=notes)


def _notes(rule: Rule, given: TriedEvent, *, waited: bool) -> tuple[str, ...]:
    notes = []
    if rule.delay and waited:
        notes.append(f"it waits {rule.source['delay']} first: `now` is taken to be so much later")
    if rule.compares() and given.before is None:
        notes.append("`before` is null: give --before the event before this one")
    return tuple(notes)


def _asks(call: Call) -> str:
    values = {**call.path, **call.query}
    return f"{call.operation} " + ", ".join(
        f"{name} = {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    )


# -- In lines for a terminal. What a customer wrote is made harmless first. ---------------------------------


def as_text(said: TriedRule) -> str:
    """Lines for a terminal: the question with its reasons, risk and calls, or why there is none."""
    if said.proposal is None:
        lines = [f"{said.rule.name}: proposes nothing, because {said.why}"]
        lines += [f"  needs {one}" for one in said.missing]
        return _joined(lines + [f"  note: {note}" for note in said.notes])
    proposal = said.proposal
    lines = [f"{said.rule.name}: would ask", f"  {proposal.title}"]
    lines += [f"  - {reason}" for reason in proposal.reasons]
    asks = f"; always asks a person: {because_words(proposal.always_asks)}" if proposal.always_asks else ""
    lines.append(f"  risk {proposal.risk}{asks}")
    for call in proposal.calls:
        lines += _call(Call.of(call))
    if said.rule.private_message is not None:
        lines.append(f"  private message to whoever approves: {said.rule.private_message.source}")
    if said.change is not None:
        lines.append(f"  dedupe key: {said.change}")
    return _joined(lines + [f"  note: {note}" for note in said.notes])


def _call(call: Call) -> list[str]:
    operation = operations()[call.operation].describe(call)
    path = operation.path
    for name, value in call.path.items():
        path = path.replace(f"{{{name}}}", str(_shown(value)))
    lines = [f"  call {operation.method} {path}  ({operation.title})"]
    for name, part in (("query", call.query), ("body", call.body)):
        lines += [f"       {name} {_json(part)}"] if part else []
    return lines


def _json(value: Any) -> str:
    return json.dumps(_shown(value), ensure_ascii=False)


def _shown(value: Any) -> Any:
    """A value that only the answer to an earlier call will give is shown as the rule has it."""
    if isinstance(value, dict):
        return value[LATE] if value.keys() == {LATE} else {name: _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def _joined(lines: list[str]) -> str:
    return "\n".join("".join(char if char.isprintable() else " " for char in line) for line in lines)
