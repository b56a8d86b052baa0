"""One rule tried on one event as if it had just arrived, with the reasons; nothing is sent or kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from bot.config.policy import Policy
from bot.proposals.build import new_proposal, scope_of
from bot.proposals.reads import Reads
from bot.rules import EvaluationError, Read, Rule, Scope
from bot.rules.false_part import false_part
from polar.catalog import Call
from polar.client import PolarClient
from polar.errors import InvalidCall, PolarError
from polar.events import Event
from store.models import NewProposal, RuleMatch, RuleMatchState


@dataclass(frozen=True, slots=True)
class Given:
    """The event, and the data of the event before it about the same subject."""

    event: Event
    before: dict[str, Any] | None = None

    @property
    def now(self) -> datetime:
        """When it arrives: at the time it tells of."""
        return self.event.timestamp or datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Said:
    """What one rule says: `proposal` if it would ask, otherwise `why` not; `missing` are unanswered reads."""

    rule: Rule
    why: str = ""
    proposal: NewProposal | None = None
    change: str | None = None
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failed: bool = False


class Answers(Protocol):
    """Where the answers to a rule's reads come from."""

    async def answer(self, rule: Rule, read: Read, call: Call) -> Any:
        """Polar's answer. Raises NotGiven, PolarError."""


class NotGiven(Exception):
    """Nobody has said what Polar answers to this read."""


@dataclass(frozen=True, slots=True)
class FileAnswers:
    """By the name of the read, or as `rule.read` where two rules name different things alike."""

    given: Mapping[str, Any]

    async def answer(self, rule: Rule, read: Read, call: Call) -> Any:  # noqa: ARG002 - see Answers
        for name in (f"{rule.name}.{read.name}", read.name):
            if name in self.given:
                return self.given[name]
        raise NotGiven


class LiveAnswers:
    """Polar itself."""

    def __init__(self, client: PolarClient) -> None:
        self._reads = Reads(client)

    async def answer(self, rule: Rule, read: Read, call: Call) -> Any:  # noqa: ARG002 - see Answers
        return await self._reads.answer(call)


async def ask(rule: Rule, given: Given, answers: Answers) -> Said:
    """What a rule says about an event. Raises nothing: what fails is said."""
    scope = scope_of(given.event, given.now, given.before)
    try:
        return await _asked(rule, given, scope, answers)
    except (EvaluationError, InvalidCall) as error:
        return Said(rule, f"it fails: {error}", failed=True)
    except PolarError as error:
        return Said(rule, f"Polar could not be read: {error.plain}", failed=True)


async def _asked(rule: Rule, given: Given, scope: Scope, answers: Answers) -> Said:
    if rule.when is not None and not rule.matches(scope):
        notes = _notes(rule, given, waited=False)
        return Said(rule, f"in `when`, this is not true: {false_part(rule.when, scope)}", notes=notes)
    change = rule.change(scope)
    scope = scope_of(given.event, given.now + rule.delay, given.before)
    filled = await _filled(rule, scope, answers)
    if filled.missing and (rule.needs_reads() or not rule.skip_precondition_for):
        why = "it cannot be told what it would do without what Polar answers to its reads"
        return Said(rule, why, change=change, missing=filled.missing, failed=True)
    notes = _notes(rule, given, waited=True)
    if filled.missing:
        notes += ("`precondition` was not asked: see `skip_precondition_for`. --reads asks it too",)
        items = None
    else:
        items = rule.items(filled.scope)
        scope = filled.scope if items is None else filled.scope.plus(**{rule.list_name: items})
        if rule.precondition is not None and not rule.holds(scope):
            why = f"in `precondition`, this is not true: {false_part(rule.precondition, scope)}"
            return Said(rule, why, change=change, notes=notes)
    draft = rule.draft(scope, items)
    if not draft.calls:
        return Said(rule, "`for_each` is empty: there is nothing to call", change=change, notes=notes)
    rule_match = RuleMatch(change or "", rule.name, rule.version, "", RuleMatchState.PROPOSED)
    proposal = new_proposal(rule, Policy(), rule_match, draft, event=given.event, now=given.now)
    return Said(rule, proposal=proposal, change=change, notes=notes)


def _notes(rule: Rule, given: Given, *, waited: bool) -> tuple[str, ...]:
    notes = []
    if rule.delay and waited:
        notes.append(f"it waits {rule.source['delay']} first: `now` is taken to be so much later")
    if rule.compares() and given.before is None:
        notes.append("`before` is null: give --before the event before this one")
    return tuple(notes)


@dataclass(slots=True)
class _Filled:
    scope: Scope
    missing: tuple[str, ...] = field(default=())


async def _filled(rule: Rule, scope: Scope, answers: Answers) -> _Filled:
    """The scope with every read in it; those nobody answered are named with the call that would ask."""
    filled = _Filled(scope)
    for read in rule.reads:
        try:
            call = rule.request(read, filled.scope)
        except EvaluationError:
            if not filled.missing:
                raise
            filled.missing += (f"{read.name}: {read.operation}, with what an earlier read answers",)
            continue
        try:
            found = None if call is None else await answers.answer(rule, read, call)
        except NotGiven:
            filled.missing += (f"{read.name}: {_asks(call)}",)
        else:
            filled.scope = filled.scope.plus(**{read.name: found})
    return filled


def _asks(call: Call | None) -> str:
    if call is None:
        return ""
    values = {**call.path, **call.query}
    return f"{call.operation} " + ", ".join(
        f"{name} = {value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()
    )
