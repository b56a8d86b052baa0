"""Our own place in Slack: a greeting when first invited into a channel, an alarm when taken out of Slack."""

import logging
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.listeners.status import Feed
from bot.services import Queue, Services
from bot.slack.client import SlackError, SlackNotSent, SlackRefused
from bot.ui.home import greeting
from store.engine.errors import StoreError
from store.messages.greetings import first_time, not_greeted

log = logging.getLogger(__name__)

_LOST = (
    "The app was {how} in Slack: nothing can be posted or decided. Install it again, and restart this "
    "program with the new token."
)


class Membership:
    """Hears of invitations and of the end of the installation."""

    def __init__(self, services: Services, feed: Feed) -> None:
        self._services, self._feed = services, feed

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.event("member_joined_channel")(self.joined)
        app.event("app_uninstalled")(self.uninstalled)
        app.event("tokens_revoked")(self.revoked)

    async def joined(self, event: Mapping[str, Any], context: AsyncBoltContext) -> None:
        """Somebody joined a channel; when it is us for the first time, say what we are here for."""
        channel = str(event.get("channel", ""))
        if not channel or event.get("user") != context.bot_user_id:
            return
        try:
            if await self._services.store.do(first_time, channel, self._services.clock()):
                await self._greet(channel)
        except StoreError as error:
            log.error("channel %s is not greeted: %s", channel, error)
        self._services.notify(Queue.ANNOUNCE)  # cards that Slack refused for want of membership can go now

    async def _greet(self, channel: str) -> None:
        words = greeting(await self._services.authority.describe(), here=channel == self._services.channel)
        try:
            await self._services.slack.post(channel, words)
        except (SlackNotSent, SlackRefused) as error:
            log.warning("channel %s is not greeted: %s", channel, error)
            await self._services.store.do(not_greeted, channel)  # at the next invitation, then
        except SlackError as error:
            log.warning("it is not known whether channel %s was greeted: %s", channel, error)

    async def uninstalled(self) -> None:
        """The app was removed from the workspace."""
        self._lose("removed")

    async def revoked(self, event: Mapping[str, Any]) -> None:
        """Tokens were revoked; ours when a bot's is among them."""
        if (event.get("tokens") or {}).get("bot"):
            self._lose("cut off: its token was revoked")

    def _lose(self, how: str) -> None:
        self._feed.lost = _LOST.format(how=how)
        log.error("%s", self._feed.lost)
