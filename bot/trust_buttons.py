"""The buttons below `/polar trust`: Turn on, Turn off, Plot. Each is acknowledged first, then done."""

import logging
from collections.abc import Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.listeners.graduation import TrustScreen
from bot.slack.user import person_of
from bot.ui.graduation_page import PLOT, TURN_OFF, TURN_ON
from bot.ui.text import escape
from store.engine.errors import StoreError

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]


class TrustButtons:
    """What came of a tap stands on top of the page it was made on."""

    def __init__(self, screen: TrustScreen) -> None:
        self._screen = screen

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        for action_id in (TURN_ON, TURN_OFF, PLOT):
            app.action(action_id)(self.pressed)

    async def pressed(self, ack: AsyncAck, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        """One of them was tapped. The value is the shape's hash, the page, and what was looked for."""
        await ack()
        try:
            await self._press(body, action, respond)
        except Exception:  # Slack has been answered: Bolt must not turn this into a second answer
            log.exception("a button of trust failed after it was acknowledged")

    async def _press(self, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        who, action_id = person_of(body), str(action.get("action_id"))
        shape, _, rest = str(action.get("value", "")).partition(" ")
        page, _, about = rest.partition(" ")
        refused = await self._screen.outsider(who)
        if refused is not None:
            await respond(text=escape(refused), response_type="ephemeral", replace_original=False)
            return
        try:
            if action_id == PLOT:
                told = await self._screen.plot(who, shape)
            else:
                told = await self._screen.switch(who, action_id, shape)
            message = await self._screen.answer(about, int(page) if page.isdecimal() else 1, told=told)
        except StoreError as error:
            said = escape(f"Nothing can be shown just now: {error}")
            await respond(text=said, response_type="ephemeral", replace_original=False)
            return
        await respond(text=message.text, blocks=list(message.blocks), replace_original=True)
