"""The buttons of what failed or is in doubt: Retry, Check again, Was done, Not done."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot import cards
from bot.aftermath import Aftermath, Told
from bot.cards.buttons import CHECK, MARK_DONE, MARK_NOT_DONE, RETRY
from bot.person import Person, person_of
from bot.pipeline.parts import Parts
from bot.slack import SlackError
from store.errors import StoreError

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Press = Callable[[Person, str], Awaitable[Told]]


class AftermathButtons:
    """Each is acknowledged first, then done; what the card does not show is whispered."""

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
        """One of them was tapped."""
        await ack()
        try:
            await self._press(body, action)
        except Exception:  # Slack has been answered: Bolt must not turn this into a second answer
            log.exception("a button failed after it was acknowledged")

    async def _press(self, body: Payload, action: Payload) -> None:
        container, person = body.get("container") or {}, person_of(body)
        press = self._presses[action["action_id"]]
        try:
            told = await press(person, str(action.get("value", "")).partition(":")[0])
        except StoreError as error:
            told = cards.not_stored(str(error))
        if told is None:
            return
        channel = container.get("channel_id") or self._parts.channel
        try:
            await self._parts.slack.whisper(channel, person.user_id, told)
        except SlackError as error:
            log.warning("%s could not be told what came of a tap: %s", person.user_id, error)
