"""The real program with the demo's clock: `python -m bot.demo.app`, which the server starts."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from bot.cli.run import start
from bot.config.rate_limits import POST, Tier
from bot.config.settings import Settings, SettingsError, load_settings
from bot.demo.clock import NAME, DemoClock
from bot.logs import set_up_logging

SPEED = 120.0
"""The timers run so many times more often than in real life: a day may last a second."""


class Unhurried(Settings):
    """Settings for a month that takes two minutes: both services take more a minute than they would."""

    @property
    def polar_per_minute(self) -> int:
        """As good as no limit."""
        return 600_000

    @property
    def slack_tiers(self) -> Mapping[str, Tier]:
        """Ten messages a second instead of one; a burst is still more than that, and is put together."""
        return {POST: Tier(600, 3)}


def main() -> int:
    """Serve until stopped, in the folder with the clock file."""
    set_up_logging()
    # Steps that come so often now and then overtake each other, which changes nothing.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    try:
        settings = Unhurried(**load_settings().model_dump(exclude_unset=True))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the demo shows what its app says
        return 1
    return start(settings, clock=DemoClock(Path(NAME)).now, speed=SPEED)


if __name__ == "__main__":
    sys.exit(main())
