"""The supervisor of Socket Mode: no hiccup of Slack or the network ends the program."""

import asyncio
from datetime import UTC, datetime

import pytest
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack import SlackStandIn
from bot.slack.socket_mode import SocketModeFailed, Supervisor


def supervisor(slack: SlackStandIn, app_token: str | None = None) -> Supervisor:
    app = AsyncApp(client=AsyncWebClient(slack.bot_token, base_url=slack.api_url, retry_handlers=[]))
    return Supervisor(app, app_token or slack.app_token, lambda: datetime.now(UTC))


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("socket", "refused_ticket"),
        ("apps.connections.open", "drop_before"),
        ("apps.connections.open", "server_error"),
    ],
)
async def test_a_first_connect_that_fails_is_tried_again(method: str, kind: str) -> None:
    async with SlackStandIn.serve() as slack:
        slack.fail_next(method, kind, 2)
        running = asyncio.ensure_future(supervisor(slack).run())
        await slack.wait_until(lambda: slack.sockets.connections, 15)

        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_token_slack_does_not_take_ends_it_with_what_to_do() -> None:
    async with SlackStandIn.serve() as slack:
        with pytest.raises(SocketModeFailed, match="SLACK_APP_TOKEN"):
            await asyncio.wait_for(supervisor(slack, "xapp-wrong").run(), 10)
