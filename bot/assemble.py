"""The parts put together from the settings: for the program, and for a command that acts beside it."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import Settings
from bot.deciders import ByRuleAndClass
from bot.permissions import Authority
from bot.rules import RuleSet
from bot.services import Parts
from bot.slack.client import TIMEOUT, Slack
from bot.slack.rate_limit import Pace
from polar.client import PolarClient
from store import Store


async def assemble(
    stack: AsyncExitStack,
    settings: Settings,
    store: Store,
    rules: RuleSet,
    *,
    clock: Callable[[], datetime],
    wake: Callable[[str], None],
) -> tuple[Parts, AsyncWebClient]:
    """The parts, closed with the stack; and Slack's client, for whoever listens to Slack too."""
    polar = await stack.enter_async_context(
        PolarClient(
            settings.polar_access_token.get_secret_value(),
            settings.polar_base_url,
            per_minute=settings.polar_per_minute,
        )
    )
    session = await stack.enter_async_context(aiohttp.ClientSession(timeout=TIMEOUT))
    client = _slack_client(settings, session)
    slack = Slack(client, Pace(asyncio.get_running_loop().time, settings.slack_tiers))
    authority = Authority(settings.approvers, slack, clock, ByRuleAndClass(settings.approvers, rules, store))
    parts = Parts(store, polar, slack, rules, authority, settings.slack_channel, clock, wake)
    return parts, client


def _slack_client(settings: Settings, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(
        settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        user_agent_prefix="polar-approvals",
        # The SDK's own retry sends chat.postMessage again after a dropped connection: two cards.
        retry_handlers=[],
    )
