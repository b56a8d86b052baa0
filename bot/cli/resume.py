"""`polar-approvals resume --as USER`: allow the automatic runs again, past Slack."""

from collections.abc import Sequence

from bot.cli.command import parser, tells
from bot.cli.pause import change


@tells()
def run(argv: Sequence[str]) -> int:
    """End the pause of all automatic runs as somebody; 0 when none is left, 1 when this person may not."""
    about = (
        "Allow automatic runs again. It takes somebody who may decide every class that can run automatically."
    )
    return change(parser("resume", about), argv)
