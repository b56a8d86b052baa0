"""A card that is found again after a crash is ours: another app's message with the same metadata is not."""

from dataclasses import replace

from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack import SlackStandIn
from bot.slack.client import RateLimits, Slack

LINK = {"event_type": "polar_approvals_card", "event_payload": {"proposal_id": "p1"}}
CARD = {"text": "Refund?", "blocks": [], "metadata": LINK}


async def test_a_message_of_another_bot_or_app_is_not_taken_for_our_card() -> None:
    async with SlackStandIn.serve() as stand_in:
        client = AsyncWebClient(stand_in.bot_token, base_url=stand_in.api_url)
        slack, channel = Slack(client, RateLimits(lambda: 0.0, {})), stand_in.channel
        ts = await slack.post(channel, CARD)
        assert await slack.find_card(channel, "p1", 0.0) == ts

        ours = stand_in.workspace.app
        for theirs in (replace(ours, bot_id="B0OTHER"), replace(ours, id="A0OTHER")):
            stand_in.workspace.app = theirs  # from here on every message is shown as theirs
            assert await slack.find_card(channel, "p1", 0.0) is None
        stand_in.workspace.app = ours
        assert await slack.find_card(channel, "p1", 0.0) == ts
