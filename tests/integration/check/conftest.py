"""Both stand-ins with everything as it should be, and `check(CHANGED=…)`, which runs every check on them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.checks import Finding, Level, run_checks
from bot.checks.slack import SCOPES
from bot.config.settings import Settings, load_settings
from bot.demo.polar import PolarStandIn
from bot.demo.slack import SlackStandIn
from tests.fixtures.slack import invite

MAYA, OUTSIDER = "U0MAYA00001", "U0OMAR00001"


class Findings(list[Finding]):
    """What the checks found, with the questions that tests ask of it."""

    def worse(self) -> list[Finding]:
        """What is not as it should be, without the warning that stands whenever a rule writes."""
        return [
            finding
            for finding in self
            if finding.level is not Level.OK
            and not finding.found.startswith("The rules also need scopes that cannot be tested")
        ]

    def only(self, beginning: str) -> Finding:
        """The one finding that begins so."""
        (found,) = [finding for finding in self if finding.found.startswith(beginning)]
        return found


@pytest.fixture(name="slack")
async def _slack() -> AsyncIterator[SlackStandIn]:
    async with SlackStandIn.serve(scopes=frozenset(SCOPES)) as slack:
        invite(slack)
        slack.workspace.channel.members.discard(OUTSIDER)  # the demo's channel is a shared one
        yield slack


@pytest.fixture(name="polar")
async def _polar() -> AsyncIterator[Any]:
    """Polar with two things more: `base_url`, and `endpoint`, the webhook endpoint to be changed."""
    polar: Any = PolarStandIn()
    async with polar.serve() as polar.base_url:
        polar.endpoint = polar.connect("https://bot.example.com/polar/webhooks")
        yield polar


@pytest.fixture(name="configure")
def _configure(slack: SlackStandIn, polar: Any, tmp_path: Path) -> Callable[..., Settings]:
    """Settings that fit the stand-ins, with changes."""

    def configure(**changes: str) -> Settings:
        values = {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_CHANNEL": slack.channel,
            "SLACK_API_URL": slack.api_url,
            "APPROVERS": MAYA,
            "POLAR_ACCESS_TOKEN": polar.token,
            "POLAR_WEBHOOK_SECRET": polar.webhook_secret,
            "POLAR_API_URL": polar.base_url,
            "DATABASE_URL": f"sqlite:///{tmp_path}/here/db.sqlite",
        }
        return load_settings(values | changes, None)

    return configure


@pytest.fixture(name="check")
def _check(configure: Callable[..., Settings]) -> Callable[..., Any]:
    """Runs every check with these settings changed; `connect` makes another Polar client."""

    async def check(*, connect: Any = None, **changes: str) -> Findings:
        options = {"connect": connect} if connect else {}
        return Findings(await run_checks(configure(**changes), **options))

    return check
