"""`polar-approvals erase CUSTOMER`: erase the texts that are kept of a customer."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.cli.command import CommandError, parser, tells
from bot.config.settings import load_settings
from polar.text.words import clean

BY = "command line"


@tells()
def run(argv: Sequence[str]) -> int:
    """0 when all of it is erased, or nothing was kept; 1 when something is left for now."""
    arguments = parser(
        "erase",
        "Erase names, addresses, e-mails, messages and payloads of a customer. Numbers and labels stay, and "
        "`verify-log` still passes. What waits for a decision is closed. Cards are drawn again without the "
        "texts. What people wrote in Slack stays in Slack. Works while the program runs. There is no undo.",
    )
    arguments.add_argument(
        "customer", help="their id in Polar, their e-mail address, or your own external id"
    )
    wanted = arguments.parse_args(argv).customer.strip()
    logging.basicConfig(level=logging.ERROR)
    from store.engine.errors import StoreError  # noqa: PLC0415 - wrong arguments are told without SQLAlchemy

    url = load_settings().database_url.get_secret_value()
    try:
        return asyncio.run(_erase(url, wanted))
    except StoreError as error:
        raise CommandError(f"Not everything is erased: {error} Run it again.") from error


async def _erase(url: str, wanted: str) -> int:
    from bot.approvals.erasure import erase_customer, erasure_of, typed  # noqa: PLC0415 - see above
    from store import open_beside  # noqa: PLC0415 - see above
    from store.engine.clock import clock_of  # noqa: PLC0415 - see above

    async with open_beside(url) as store:
        clock = await clock_of(store, lambda: datetime.now(UTC))
        found = await erase_customer(store, typed(wanted), erasure_of(BY, clock()))
    if found is None:
        print(f"Nothing is kept of {clean(wanted, 100)}.")
        return 0
    print(f"Erased: the texts of {found.proposals:,} proposals and {found.events:,} webhooks.")
    if found.left:
        print(f"Not yet: {found.left:,} whose calls may be on their way. Run it again once they are settled.")
    return 1 if found.left else 0
