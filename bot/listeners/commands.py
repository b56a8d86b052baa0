"""`/polar` over the wire: acknowledged in time whatever it asks; and the buttons that turn its pages."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.commands import COMMANDS, Asked, read_command
from bot.forms.service import Proposing
from bot.listeners.screens import Screens
from bot.slack.user import person_of
from bot.ui.card import Message
from bot.ui.lists import BACK, NEXT
from store.engine.errors import StoreError

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_ANSWER_WITHIN = 2.0  # seconds; Slack waits three
_TURNED = re.compile(rf"(?:{'|'.join(w for w, c in COMMANDS.items() if c.paged)})\.(?:{BACK}|{NEXT})")


class SlashCommand:
    """Answers `/polar`, and the buttons below its lists."""

    def __init__(self, screens: Screens, proposing: Proposing) -> None:
        self._screens, self._proposing = screens, proposing

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.command("/polar")(self.command)
        app.action(_TURNED)(self.turn)

    async def command(self, ack: AsyncAck, body: Payload, respond: AsyncRespond) -> None:
        """`/polar`: see COMMANDS. What opens a form is acknowledged first, what is shown comes with it."""
        asked = read_command(str(body.get("text") or ""), person_of(body))
        if asked.command.answer is None:
            await ack()
            await self._propose(body, asked, respond)
            return
        answering = asyncio.ensure_future(_told(self._answer(asked)))
        await asyncio.wait({answering}, timeout=_ANSWER_WITHIN)
        reply: AsyncAck | AsyncRespond = ack
        if not answering.done():
            await ack()
            reply = respond
        message = await answering
        blocks = list(message.blocks) or None
        await reply(text=message.text, blocks=blocks, response_type="ephemeral")

    async def turn(self, ack: AsyncAck, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        """Back or Next was tapped below a list: the value is the command of that page."""
        await ack()
        asked = read_command(str(action.get("value", "")), person_of(body))
        if asked.command.answer is None or not asked.command.paged:
            log.warning("a button asked for %r, which no button shows", asked.word[:40])
            return
        message = await _told(self._answer(asked))
        await respond(text=message.text, blocks=list(message.blocks), replace_original=True)

    async def _answer(self, asked: Asked) -> Message:
        """What was asked for; help alone is for everybody, guests and other workspaces see no customers."""
        command = asked.command
        assert command.answer is not None  # noqa: S101 - the caller has looked
        if not command.for_all and (refused := await self._screens.outsider(asked.person)) is not None:
            return refused
        return await command.answer(self._screens, asked)

    async def _propose(self, body: Payload, asked: Asked, respond: AsyncRespond) -> None:
        async def tell(text: str) -> None:
            await respond(text=text, response_type="ephemeral")

        try:
            trigger_id = str(body.get("trigger_id", ""))
            await self._proposing.open(asked.person, trigger_id=trigger_id, words=asked.rest, tell=tell)
        except Exception:
            log.exception("a form could not be opened")


async def _told(answer: Awaitable[Message]) -> Message:
    """The answer to a command, or why there is none."""
    try:
        return await answer
    except StoreError as error:
        return Message(f"Nothing can be shown just now: {error}", ())
    except Exception:
        log.exception("a command could not be answered")
        return Message("Something went wrong in the program. Nothing was done; its log says more.", ())
