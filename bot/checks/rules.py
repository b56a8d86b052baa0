"""Check of the rules: the built-in ones and those of RULES_FILE."""

from typing import TYPE_CHECKING

from bot.checks.findings import Finding, ok, problem
from bot.config.settings import Settings

if TYPE_CHECKING:
    from bot.rules import RuleSet


def check_rules(settings: Settings) -> "tuple[RuleSet | None, list[Finding]]":
    """The rules in force, None when they cannot be used, and what was found."""
    from bot.rules import RulesError, load_rules  # noqa: PLC0415 - the settings' errors come without loading CEL

    try:
        rules = load_rules(settings.rules_file)
    except RulesError as error:
        return None, [problem(each, "Correct the rule and run the check again.") for each in error.problems]
    source = f"with RULES_FILE {settings.rules_file}" if settings.rules_file else "no RULES_FILE"
    found = (
        f"{len(rules.rules)} rules are in force ({source}), for {len(rules.event_types())} kinds of event."
    )
    return rules, [ok(found)]
