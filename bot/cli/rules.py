"""`polar-approvals rules`: list the rules, check a file of your own, try them on an event."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.cli.command import CommandError, exit_code, parser
from bot.cli.rules_try import FileAnswers, TriedEvent, TriedRule, as_text, ask
from bot.config.settings import SettingsError, load_settings
from bot.proposals.reads import Reads
from bot.rules import Origin, RulesError, RuleSet, load_rules
from bot.ui.lists import events_without_rule, rule_lines
from polar.client import PolarClient
from polar.events import Event, NotAnEvent, parse


def run(argv: Sequence[str]) -> int:
    """0 when all is well, 1 when something is wrong with what was given, 2 for a wrong command line."""
    options = _parser().parse_args(argv)
    return exit_code(lambda: int(options.does(options)), RulesError)


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
        print("Without RULES_FILE: the settings are not complete (polar-approvals check).", file=sys.stderr)
        return None


def _check(options: argparse.Namespace) -> int:
    rules = load_rules(options.file)
    own = {Origin.OWN: "new", Origin.REPLACED: "in place of the default", Origin.OFF: "switched off"}
    told = [f"  {name}: {own[origin]}" for name, origin in rules.origins.items() if origin in own]
    print("\n".join([f"{options.file}: nothing is wrong.", *(told or ["  It has no rules."])]))
    return 0


def _try(options: argparse.Namespace) -> int:
    rules = load_rules(options.file)
    event = _event(options.event)
    before = None if options.before is None else _event(options.before).data
    own = {name for name, origin in rules.origins.items() if origin in (Origin.OWN, Origin.REPLACED)}
    return asyncio.run(_tried(options, rules, TriedEvent(event, before), own))


async def _tried(options: argparse.Namespace, rules: RuleSet, given: TriedEvent, own: set[str]) -> int:
    listening = [rule for rule in rules.rules if given.event.type in rule.on]
    idle = [rule for rule in rules.rules if rule.name in own and rule not in listening]
    if options.live:
        settings = load_settings()
        token, url = settings.polar_access_token.get_secret_value(), settings.polar_base_url
        async with PolarClient(token, url, per_minute=settings.polar_per_minute) as client:
            reads = Reads(client)
            found = [await ask(rule, given, reads) for rule in listening]
    else:
        answers = FileAnswers(_reads(options.reads))
        found = [await ask(rule, given, answers) for rule in listening]
    _print(given, found)
    for rule in idle:
        print(f"\n{rule.name}: does not listen to {given.event.type}, only to {', '.join(rule.on)}")
    return 1 if any(said.failed for said in found) else 0


def _print(given: TriedEvent, found: Sequence[TriedRule]) -> None:
    print(f"{given.event.type}, as if it had just arrived. Nothing is sent.")
    if given.event.problem:
        print(f"This event cannot be read in full: {given.event.problem}")
    if not found:
        print("\nNo rule listens to it.")
    for said in found:
        print("\n" + as_text(said))


# -- files -----------------------------------------------------------------------------------------------


def _event(name: str) -> Event:
    """The event in a file: a webhook's body, or a line of an export or of recorded deliveries (`body`)."""
    content = _json(name, "an event")
    body = content.get("body", content)
    try:
        return parse(body.encode() if isinstance(body, str) else json.dumps(body).encode())
    except NotAnEvent as error:
        msg = f"{name} holds no event of Polar: {error}"
        raise CommandError(msg) from error


def _reads(name: str | None) -> dict[str, Any]:
    return {} if name is None else _json(name, "the answers")


def _json(name: str, what: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as error:
        msg = f"{name} cannot be read ({error.strerror})."
        raise CommandError(msg) from error
    except (ValueError, RecursionError) as error:
        more = " It has several lines: give one of them." if len(_lines(text)) > 1 else ""
        msg = f"{name} should hold {what} as one JSON object, and does not ({error}).{more}"
        raise CommandError(msg) from error
    if not isinstance(found, dict):
        msg = f"{name} should hold {what} as one JSON object, and holds something else."
        raise CommandError(msg)
    return found


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip().startswith("{")]
