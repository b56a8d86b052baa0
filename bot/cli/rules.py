"""`polar-approvals rules`: list the rules, check a file of your own, try them on an event."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.cli.command import CommandError, parser, tells
from bot.config.policy import Policy
from bot.config.settings import SettingsError, load_settings
from bot.proposals.build import Evaluated, Reader, evaluate, new_proposal, scope_of
from bot.proposals.reads import Reads
from bot.rules import EvaluationError, Origin, Rule, RulesError, RuleSet, Scope, load_rules
from bot.rules.template import LATE, false_part
from bot.ui.graduation_words import because_words
from bot.ui.lists import events_without_rule, rule_lines
from polar.catalog import Call, operations
from polar.client import PolarClient
from polar.errors import InvalidCall, PolarError
from polar.events import Event, NotAnEvent, parse
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


@tells(RulesError)
def run(argv: Sequence[str]) -> int:
    """0 when all is well, 1 when something is wrong with what was given, 2 for a wrong command line."""
    options = _parser().parse_args(argv)
    return int(options.does(options))


def _parser() -> argparse.ArgumentParser:
    arguments = parser("rules", "List the rules, check a file of your own, try them on an event.")
    commands = arguments.add_subparsers(required=True, metavar="list|check|try")
    listed = commands.add_parser("list", help="every rule and its state, and why some events have none")
    listed.add_argument("file", nargs="?", type=Path, help="your rules; otherwise those of RULES_FILE")
    listed.set_defaults(does=_list)
    checked = commands.add_parser("check", help="say everything that is wrong with a rule file")
    checked.add_argument("file", type=Path, help="your rules")
    checked.set_defaults(does=_check)
    tried = commands.add_parser("try", help="what the rules would propose for an event; nothing is sent")
    tried.add_argument("file", nargs="?", type=Path, help="your rules; otherwise only those that ship")
    tried.add_argument("--event", required=True, help="a webhook's body, or one exported line; - for input")
    tried.add_argument("--before", help="the event before it about the same subject, for rules that compare")
    answers = tried.add_mutually_exclusive_group()
    answers.add_argument("--reads", help="a JSON object: what Polar answers, by the name of the read")
    answers.add_argument("--live", action="store_true", help="ask Polar (reads only) with your settings")
    tried.set_defaults(does=_try)
    return arguments


def _list(options: argparse.Namespace) -> int:
    rules = load_rules(options.file or _own_file())
    for one in rule_lines(rules, {}):
        print(f"{one.name:<44}{': '.join(filter(None, [one.state, ', '.join(one.events)]))}")
    for type_, why in events_without_rule(rules):
        print(f"{type_:<44}no rule: {why}")
    return 0


def _own_file() -> Path | None:
    """RULES_FILE, if the settings are complete enough to be read."""
    try:
        return load_settings().rules_file
    except SettingsError:
        print(
            "RULES_FILE was not read: the settings are not complete. Run `polar-approvals check`.",
            file=sys.stderr,
        )
        return None


def _check(options: argparse.Namespace) -> int:
    rules = load_rules(options.file)
    own = {Origin.OWN: "new", Origin.REPLACED: "in place of the default", Origin.OFF: "switched off"}
    lines = [f"  {name}: {own[origin]}" for name, origin in rules.origins.items() if origin in own]
    print("\n".join([f"{options.file}: nothing is wrong.", *(lines or ["  It has no rules."])]))
    return 0


def _try(options: argparse.Namespace) -> int:
    rules = load_rules(options.file)
    event = _event(options.event)
    before = None if options.before is None else _event(options.before).data
    return asyncio.run(_tried(options, rules, TriedEvent(event, before)))


async def _tried(options: argparse.Namespace, rules: RuleSet, given: TriedEvent) -> int:
    own = {name for name, origin in rules.origins.items() if origin in (Origin.OWN, Origin.REPLACED)}
    listening = [rule for rule in rules.rules if given.event.type in rule.on]
    idle = [rule for rule in rules.rules if rule.name in own and rule not in listening]
    if options.live:
        settings = load_settings()
        token, url = settings.polar_access_token.get_secret_value(), settings.polar_base_url
        async with PolarClient(token, url, per_minute=settings.polar_per_minute) as client:
            reads = Reads(client)
            found = [await ask(rule, given, reads) for rule in listening]
    else:
        answers = FileAnswers({} if options.reads is None else _json(options.reads, "the answers"))
        found = [await ask(rule, given, answers) for rule in listening]
    print(f"{given.event.type}, as if it had just arrived. Nothing is sent.")
    if given.event.problem:
        print(f"This event cannot be read in full: {given.event.problem}")
    if not found:
        print("\nNo rule listens to it.")
    for said in found:
        print("\n" + as_text(said))
    for rule in idle:
        print(f"\n{rule.name}: does not listen to {given.event.type}, only to {', '.join(rule.on)}")
    return 1 if any(said.failed for said in found) else 0


# -- files -----------------------------------------------------------------------------------------------


def _event(name: str) -> Event:
    """The event in a file: a webhook's body, or a line of an export or of recorded deliveries (`body`)."""
    content = _json(name, "an event")
    body = content.get("body", content)
    try:
        return parse(body.encode() if isinstance(body, str) else json.dumps(body).encode())
    except NotAnEvent as error:
        raise CommandError(f"{name} holds no event of Polar: {error}") from error


def _json(name: str, what: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as error:
        raise CommandError(f"{name} cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        objects = [line for line in text.splitlines() if line.strip().startswith("{")]
        more = " It has several lines: give one of them." if len(objects) > 1 else ""
        msg = f"{name} should hold {what} as one JSON object, and does not ({error}).{more}"
        raise CommandError(msg) from error
    if not isinstance(found, dict):
        raise CommandError(f"{name} should hold {what} as one JSON object, and holds something else.")
    return found


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
            why = "it needs Polar's answers to its reads, and these answers are missing"
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
        lines += [f"       {name} {json.dumps(_shown(part), ensure_ascii=False)}"] if part else []
    return lines


def _shown(value: Any) -> Any:
    """A value that only the answer to an earlier call will give is shown as the rule has it."""
    if isinstance(value, dict):
        return value[LATE] if value.keys() == {LATE} else {name: _shown(one) for name, one in value.items()}
    return [_shown(one) for one in value] if isinstance(value, list) else value


def _joined(lines: list[str]) -> str:
    return "\n".join("".join(char if char.isprintable() else " " for char in line) for line in lines)
