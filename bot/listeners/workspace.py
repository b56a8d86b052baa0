"""Events of the workspace: people and groups that change, a greeting when invited, an alarm when removed."""

import logging
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.listeners.acknowledge import acknowledge
from bot.listeners.screens import HealthSource
from bot.services import Queue, Services
from bot.slack.client import SlackError, SlackNotSent, SlackRefused
from bot.ui.home import greeting
from bot.ui.states import approver_line
from bot.ui.status_page import Removal
from store.engine.errors import StoreError
from store.messages.outbox import claim_welcome, forget_welcome

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_IGNORED = ("channel_archive",)  # subscribed for later use


class Workspace:
    """The listeners to changes of the workspace."""

    def __init__(self, services: Services, health: HealthSource) -> None:
        self._services, self._health = services, health

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.event("user_change")(self.changed_user)
        app.event("subteam_members_changed")(self.changed_group)
        app.event("member_joined_channel")(self.joined)
        app.event("app_uninstalled")(self.uninstalled)
        app.event("tokens_revoked")(self.revoked)
        for name in _IGNORED:
            app.event(name)(self.ignore)

    async def changed_user(self, event: Payload) -> None:
        """Somebody was deactivated, became a guest, changed their name."""
        self._services.authority.forget(event.get("user", {}).get("id"))

    async def changed_group(self) -> None:
        """A user group has other members."""
        self._services.authority.forget()

    async def joined(self, ack: AsyncAck, body: Payload, event: Payload, context: AsyncBoltContext) -> None:
        """Somebody joined a channel; when it is us for the first time, say what we are here for."""
        channel = str(event.get("channel", ""))
        if channel and event.get("user") == context.bot_user_id:
            await acknowledge(self._services.slack, ack, body, lambda _: self._joined(channel), failed={})

    async def _joined(self, channel: str) -> None:
        try:
            if await self._services.store.do(claim_welcome, channel, self._services.clock()):
                await self._greet(channel)
        except StoreError as error:
            log.error("channel %s is not greeted: %s", channel, error)
        self._services.notify(Queue.ANNOUNCE)  # cards that Slack refused for want of membership can go now

    async def _greet(self, channel: str) -> None:
        approvers = approver_line(await self._services.authority.describe())
        try:
            await self._services.slack.post(
                channel, greeting(approvers, here=channel == self._services.channel)
            )
        except (SlackNotSent, SlackRefused) as error:
            log.warning("channel %s is not greeted: %s", channel, error)
            await self._services.store.do(forget_welcome, channel)  # at the next invitation, then
        except SlackError as error:
            log.warning("it is not known whether channel %s was greeted: %s", channel, error)

    async def uninstalled(self) -> None:
        """The app was removed from the workspace."""
        self._lose(Removal.UNINSTALLED)

    async def revoked(self, event: Payload) -> None:
        """Tokens were revoked; ours when a bot's is among them."""
        if (event.get("tokens") or {}).get("bot"):
            self._lose(Removal.REVOKED)

    def _lose(self, how: Removal) -> None:
        self._health.removed = how
        log.error("the app was removed from Slack (%s): nothing can be posted or decided", how)

    async def ignore(self) -> None:
        """See _IGNORED."""
