"""`polar-approvals decide ID approve|decline --as USER`: the second way in, for when Slack is down."""

import argparse
import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bot.cli.command import VIA, CommandError, ask_who, parser, tells
from bot.config.settings import Settings, SettingsError, load_settings
from polar.text.words import clean

_LONGEST = 300  # characters of a title
_UNKNOWN = "There is no proposal {id}. `polar-approvals export proposals` lists them. Nothing was decided."


@tells()
def run(argv: Sequence[str]) -> int:
    """Decide one proposal as somebody; 0 when it counts, 1 when it does not, and the text says why."""
    arguments = parser(
        "decide",
        "Decide a proposal from this machine: the same rules and the same audit log as in Slack. While Slack "
        "answers, the program asks Slack whether the person is a guest or deactivated.",
    )
    arguments.add_argument("id", help="the proposal's id, as on its card or in `export proposals`")
    arguments.add_argument("verdict", choices=["approve", "decline"])
    ask_who(arguments)
    arguments.add_argument("--reason", help="why, for the audit log and for whoever looks later")
    options = arguments.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    from bot.rules import RulesError  # noqa: PLC0415 - wrong arguments are told without loading the rest
    from store.engine.errors import StoreError  # noqa: PLC0415 - see above

    try:
        counts, text = asyncio.run(_decide(load_settings(), options))
    except (SettingsError, RulesError, StoreError) as error:
        raise CommandError(f"Nothing was decided: {error}") from error
    if not counts:
        raise CommandError(text)
    print(text)
    return 0


async def _decide(settings: Settings, options: argparse.Namespace) -> tuple[bool, str]:
    from bot.app import assemble, utc_now  # noqa: PLC0415 - see above
    from bot.approvals.service import ApprovalService  # noqa: PLC0415 - see above
    from bot.rules import load_rules  # noqa: PLC0415 - see above
    from bot.slack.client import SlackUser  # noqa: PLC0415 - see above
    from bot.ui.ephemeral import decision  # noqa: PLC0415 - see above
    from store import open_beside  # noqa: PLC0415 - see above
    from store.engine.clock import clock_of  # noqa: PLC0415 - see above
    from store.proposals.proposals import get_proposal  # noqa: PLC0415 - see above

    rules = load_rules(settings.rules_file)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_beside(settings.database_url.get_secret_value()))
        clock = await clock_of(store, utc_now)
        services, _ = await assemble(stack, settings, store, rules, clock=clock, notify=lambda *_: None)
        approvals, user = ApprovalService(services), SlackUser(options.user, None)
        act = approvals.approve if options.verdict == "approve" else approvals.decline
        result = await act(user, options.id, via=VIA, reason=options.reason)
        known = result.proposal is not None or await store.read(get_proposal, options.id) is not None
    if not known:
        return False, _UNKNOWN.format(id=options.id)
    about = "" if result.proposal is None else f"“{clean(result.proposal.title, _LONGEST)}”: "
    return result.counts, f"{about}{decision(result).plain}"
