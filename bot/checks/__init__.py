"""The checks behind `polar-approvals check`: each tries one thing for real and says what to do about it."""

from typing import TYPE_CHECKING

from bot.checks.findings import Finding, Level, ok, problem, warning
from bot.checks.polar import Connect, check_polar
from bot.checks.slack import check_slack
from bot.config.settings import WHERE, Settings
from polar.client import PolarClient

if TYPE_CHECKING:
    from bot.rules import RuleSet

__all__ = ["Finding", "Level", "run_checks"]


_NOT_COMPARED = warning(
    "Polar's scopes and events were not compared with the rules, because the rules have errors.",
    "Fix the rules first.",
)


async def run_checks(settings: Settings, connect: Connect = PolarClient) -> list[Finding]:
    """Every check, also after one that fails; nothing is posted to Slack or written to Polar.

    The database is opened as `run` opens it: made when it is missing, migrated when it is old.
    """
    rules, about_rules = _check_rules(settings)
    events = rules.event_types() if rules else frozenset()
    called = frozenset(name for rule in rules.rules for name in rule.operations()) if rules else frozenset()
    return [
        *(warning(words, "") for words in settings.warnings),
        *await check_slack(settings, rules),
        *await check_polar(settings, events, called, connect),
        *about_rules,
        *([] if rules else [_NOT_COMPARED]),
        await _check_database(settings),
    ]


def _check_rules(settings: Settings) -> "tuple[RuleSet | None, list[Finding]]":
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


async def _check_database(settings: Settings) -> Finding:
    """Open the database as `run` does: it is made and migrated when it is not there yet."""
    from store import open_store  # noqa: PLC0415 - SQLAlchemy is slow to load
    from store.engine.errors import StoreError, StoreLocked  # noqa: PLC0415 - see above

    url = settings.database_url.get_secret_value()
    try:
        async with open_store(url) as store:
            await store.ping()
    except StoreLocked:
        return warning(
            "The database is in use, probably by this program: it opens, but was not tested further.",
            "Nothing, if the program is running; else stop the other process.",
        )
    except StoreError as error:
        return problem(f"The database cannot be used: {str(error).splitlines()[0]}", WHERE["DATABASE_URL"])
    except ModuleNotFoundError as error:
        return problem(
            f"The database needs the Python package {error.name}.", "pip install 'polar-approvals[postgres]'"
        )
    return ok("The database opens, can be written and has this version's schema.")
