"""The health of the program; and events of the workspace: people that change, an invitation, our removal."""

import logging
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.counts import Counts
from bot.listeners.acknowledge import Interaction, listen
from bot.logs import LastErrors
from bot.services import Queue, Services
from bot.slack.client import SlackError, SlackNotSent, SlackRefused
from bot.slack.socket_mode import Supervisor
from bot.ui.home import greeting
from bot.ui.reports import Health, Removal
from bot.ui.states import approver_line
from polar.client import VERSION
from store.engine.errors import StoreError
from store.graduation.case_kinds import paused
from store.graduation.count_check import last_check
from store.graduation.learn import set_aside_kinds
from store.messages.outbox import claim_welcome, forget_welcome
from store.proposals.stats import backlog

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_IGNORED = ("channel_archive",)  # subscribed for later use


class HealthSource:
    """Looks at the store, both services and the log. `removed` is set once the app was taken out of Slack."""

    def __init__(self, services: Services, errors: LastErrors, supervisor: Supervisor | None = None) -> None:
        self._services, self._errors, self._supervisor = services, errors, supervisor
        self.counts = Counts(services.store)
        self.removed: Removal | None = None

    async def health(self) -> Health:
        """The present health. Raises StoreError."""
        store, polar, socket = self._services.store, self._services.polar, self._supervisor
        left, limit, pause = polar.budget()
        return Health(
            version=VERSION,
            now=self._services.clock(),
            backlog=await store.read(backlog),
            counts=(await self.counts.now()).proposals,
            writes=store.backlog,
            socket=None if socket is None else socket.connected,
            heard_at=None if socket is None else socket.last_envelope_at,
            removed=self.removed,
            slack_paused=tuple(self._services.slack.limits.pauses().items()),
            polar_left=left,
            polar_limit=limit,
            polar_paused=pause,
            paused=await store.read(paused),
            set_aside=await store.read(set_aside_kinds),
            count_check=await store.read(last_check),
            errors=[(one.at, one.level, one.said) for one in self._errors.lines],
        )


class Workspace:
    """The listeners to changes of the workspace."""

    def __init__(self, services: Services, health: HealthSource) -> None:
        self._services, self._health = services, health

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.event("user_change")(self.changed_user)
        app.event("subteam_members_changed")(self.changed_group)
        listen(self._services, app.event("member_joined_channel"), self._joined, failed={})
        app.event("member_left_channel")(self.left_channel)
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

    async def left_channel(self, event: Payload) -> None:
        """Somebody left a channel, or was removed from it."""
        self._services.authority.forget_channel(str(event.get("channel", "")))

    async def _joined(self, on: Interaction) -> None:
        """Somebody joined a channel; when it is us for the first time, say what we are here for."""
        channel = str(on.payload.get("channel", ""))
        self._services.authority.forget_channel(channel)
        if not channel or on.payload.get("user") != on.bot:
            return
        try:
            if await self._services.store.do(claim_welcome, channel, self._services.clock()):
                await self._greet(channel)
        except StoreError as error:
            log.error("channel %s is not greeted: %s", channel, error)
        self._services.notify(Queue.ANNOUNCE)  # cards that Slack refused for want of membership can go now

    async def _greet(self, channel: str) -> None:
        approvers = approver_line(await self._services.authority.describe())
        try:
            hello = greeting(approvers, here=channel == self._services.channel)
            await self._services.slack.post(channel, hello.content)
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
