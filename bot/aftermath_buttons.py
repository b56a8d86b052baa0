"""The buttons of what failed or is in doubt: Retry, Check again, Was done, Not done."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.approvals.followups import Aftermath, Told
from bot.services import Parts
from bot.slack.client import SlackError
from bot.slack.user import Person, person_of
from bot.ui import ephemeral
from bot.ui.card_buttons import CHECK, MARK_DONE, MARK_NOT_DONE, RETRY
from store.engine.errors import StoreError

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_ACK_WITHIN = 2.5  # seconds, for Slack waits three
Press = Callable[[Person, str], Awaitable[Told]]


class AftermathButtons:
    """Each is done, then acknowledged; what the card does not show is whispered."""

    def __init__(self, parts: Parts, aftermath: Aftermath) -> None:
        self._parts = parts
        self._presses: Mapping[str, Press] = {
            RETRY: aftermath.retry,
            CHECK: aftermath.check,
            MARK_DONE: aftermath.mark_done,
            MARK_NOT_DONE: aftermath.mark_not_done,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach them. Undo comes from the desk, which knows whether it is still in time."""
        for action_id in self._presses:
            app.action(action_id)(self.pressed)

    async def pressed(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """One of them was tapped: Slack is answered once it is done, or shortly before it gives up."""
        container, person = body.get("container") or {}, person_of(body)
        pressing = asyncio.ensure_future(self._press(person, action))
        await asyncio.wait({pressing}, timeout=_ACK_WITHIN)
        await ack()
        told = await pressing
        if told is None:
            return
        channel = container.get("channel_id") or self._parts.channel
        try:
            await self._parts.slack.whisper(channel, person.user_id, told)
        except SlackError as error:
            log.warning("%s could not be told what came of a tap: %s", person.user_id, error)

    async def _press(self, person: Person, action: Payload) -> Told:
        press = self._presses[action["action_id"]]
        try:
            return await press(person, str(action.get("value", "")).partition(":")[0])
        except StoreError as error:
            return ephemeral.not_stored(str(error))
        except Exception:  # Bolt must not turn this into a second answer
            log.exception("a button failed")
            return ephemeral.BROKE
