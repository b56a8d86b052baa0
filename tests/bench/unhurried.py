"""The app as `python -m bot run`, but for Slack's pace: measured is what we add, not what Slack allows.

In production cards leave at about one a second in a channel; a flood is put together (tests/e2e/test_flood.py).
"""

import sys
from collections.abc import Mapping

from bot.cli import run as command
from bot.config.rate_limits import Tier
from bot.config.settings import Settings, load_settings


class Unhurried(Settings):
    """Settings under which Slack takes whatever comes."""

    @property
    def slack_tiers(self) -> Mapping[str, Tier]:
        """None: no method has a limit."""
        return {}


def _unhurried() -> Settings:
    return Unhurried(**load_settings().model_dump(exclude_unset=True))


if __name__ == "__main__":
    vars(command)["load_settings"] = _unhurried
    sys.exit(command.run(sys.argv[1:]))
