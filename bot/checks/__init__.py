"""The checks behind `polar-approvals check`: each tries one thing for real and says what to do about it."""

from bot.checks.database import check_database
from bot.checks.findings import Finding, Level, warning
from bot.checks.polar import Connect, check_polar
from bot.checks.rules import check_rules
from bot.checks.slack import check_slack
from bot.config.settings import Settings
from polar.client import PolarClient

__all__ = ["Finding", "Level", "run_checks"]


_NOT_COMPARED = warning(
    "Polar's scopes and events were not compared with the rules: these cannot be used.",
    "Fix the rules first.",
)


async def run_checks(settings: Settings, connect: Connect = PolarClient) -> list[Finding]:
    """Every check, also after one that fails; nothing is posted to Slack or written to Polar.

    The database is opened as `run` opens it: made when it is missing, migrated when it is old.
    """
    rules, about_rules = check_rules(settings)
    events = rules.event_types() if rules else frozenset()
    called = frozenset(name for rule in rules.rules for name in rule.operations()) if rules else frozenset()
    return [
        *(warning(words, "") for words in settings.warnings),
        *await check_slack(settings),
        *await check_polar(settings, events, called, connect),
        *about_rules,
        *([] if rules else [_NOT_COMPARED]),
        await check_database(settings),
    ]
