"""`polar-approvals pause|resume --as USER`: stop the automatic runs, or allow them again, past Slack."""

import argparse
import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from bot.cli.command import VIA, CommandError, ask_who, parser, tells
from bot.config.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from bot.results import PauseResult


@tells()
def run(argv: Sequence[str]) -> int:
    """Pause all automatic runs as somebody; 0 when they are paused, 1 when this person may not."""
    arguments = parser(
        "pause",
        "Stop all automatic runs until somebody resumes them. Whoever may decide anything may pause. While "
        "Slack does not answer, being listed by user id is enough.",
    )
    arguments.add_argument("--because", default="", help="why, for the channel and the audit log")
    return change(arguments, argv)


def change(arguments: argparse.ArgumentParser, argv: Sequence[str]) -> int:
    """Pause, or (without `--because`) resume, and print the result."""
    ask_who(arguments)
    options = arguments.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    from bot.rules import RulesError  # noqa: PLC0415 - wrong arguments are told without loading the rest
    from bot.ui.ephemeral import refused  # noqa: PLC0415 - see above
    from bot.ui.reports import pause_result  # noqa: PLC0415 - see above
    from store.engine.errors import StoreError  # noqa: PLC0415 - see above

    try:
        result = asyncio.run(_change(load_settings(), options))
    except (SettingsError, RulesError, StoreError) as error:
        raise CommandError(f"Nothing was changed: {error}") from error
    if result.refusal is not None:
        raise CommandError(refused(result.refusal).plain)
    print(pause_result(result).text)
    return 0


async def _change(settings: Settings, options: argparse.Namespace) -> "PauseResult":
    from bot.app import assemble, utc_now  # noqa: PLC0415 - see above
    from bot.approvals.graduation import GraduationService  # noqa: PLC0415 - see above
    from bot.rules import load_rules  # noqa: PLC0415 - see above
    from bot.slack.client import SlackUser  # noqa: PLC0415 - see above
    from store import open_beside  # noqa: PLC0415 - see above
    from store.engine.clock import clock_of  # noqa: PLC0415 - see above

    rules, user = load_rules(settings.rules_file), SlackUser(options.user, None)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_beside(settings.database_url.get_secret_value()))
        clock = await clock_of(store, utc_now)
        services, _ = await assemble(stack, settings, store, rules, clock=clock, notify=lambda *_: None)
        runs = GraduationService(services)
        if "because" in options:
            return await runs.pause(user, options.because, via=VIA)
        return await runs.resume(user, via=VIA)
