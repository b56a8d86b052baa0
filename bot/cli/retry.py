"""`polar-approvals retry [ID …]`: have the rules asked again that failed on a webhook."""

import asyncio
import logging
from collections.abc import Sequence

from bot.cli.command import CommandError, parser, tells
from bot.config.settings import load_settings


@tells()
def run(argv: Sequence[str]) -> int:
    """Have failed rules asked again; 0 when there were any, 1 when there was none."""
    arguments = parser(
        "retry",
        "Have the rules asked again that failed on a webhook. The running program does it at once, else the "
        "next start. No proposal is made twice.",
    )
    arguments.add_argument(
        "ids",
        nargs="*",
        metavar="ID",
        help="the webhook's id or the start of it, as in /polar status; none: all",
    )
    options = arguments.parse_args(argv)
    logging.basicConfig(level=logging.ERROR)
    from store.engine.errors import StoreError  # noqa: PLC0415 - wrong arguments are told without SQLAlchemy

    url = load_settings().database_url.get_secret_value()
    try:
        found = asyncio.run(_retry(url, options.ids or [None]))
    except StoreError as error:
        raise CommandError(f"Nothing was changed: {error}") from error
    if not found:
        raise CommandError("No rule has failed on such a webhook. Nothing was changed.")
    print("\n".join(found))
    return 0


async def _retry(url: str, starts: Sequence[str | None]) -> list[str]:
    from bot.app import utc_now  # noqa: PLC0415 - see above
    from store import open_beside  # noqa: PLC0415 - see above
    from store.engine.clock import clock_of  # noqa: PLC0415 - see above
    from store.events.events import retry_events  # noqa: PLC0415 - see above

    async with open_beside(url) as beside:
        now = (await clock_of(beside, utc_now))()
        return [id_ for start in starts for id_ in await beside.do(retry_events, start, now)]
