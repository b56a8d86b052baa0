"""`/polar` over the wire, and the buttons that turn the pages of its lists."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.forms.service import Proposing
from bot.listeners.acknowledge import Answer, acknowledge
from bot.listeners.screens import Screens
from bot.slack.client import Slack, SlackUser, acting_user
from bot.ui import ephemeral
from bot.ui.elements import Message
from bot.ui.home import COMMANDS as ABOUT
from bot.ui.home import help_message
from bot.ui.lists import BACK, NEXT
from store.engine.dialects import readable
from store.engine.errors import StoreError

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_LONGEST = 500  # characters of a command that are read


_NOBODY = SlackUser("", None)


@dataclass(frozen=True, slots=True)
class Command:
    """One word: what it answers; None for the one that opens a form.

    `paged` ones only look, so that a button may ask for them. `for_all`: guests and people of other
    workspaces get an answer too.
    """

    answer: "Callable[[Screens, CommandCall], Awaitable[Message]] | None"
    paged: bool = False
    for_all: bool = False


@dataclass(frozen=True, slots=True)
class CommandCall:
    """One use of the command: the word as typed, what followed it, and who call."""

    word: str
    rest: str
    command: Command
    user: SlackUser

    @property
    def page(self) -> int:
        """The page asked for: the number at the end, else the first."""
        last = self.rest.rpartition(" ")[2]
        return int(last) if last.isdecimal() and len(last) < 7 else 1

    @property
    def about(self) -> str:
        """The text after the word, without the page."""
        start, _, last = self.rest.rpartition(" ")
        return start.strip() if last.isdecimal() and len(last) < 7 else self.rest


def read_command(text: str, user: SlackUser = _NOBODY) -> CommandCall:
    """The command typed after `/polar`: no text means the queue, an unknown word means help."""
    # A database may refuse a character in a query too, not only in a stored value.
    word, _, rest = readable(text).strip()[:_LONGEST].partition(" ")
    known = COMMANDS["queue"] if not word else COMMANDS.get(word.lower(), COMMANDS["help"])
    return CommandCall(word.lower(), rest.strip(), known, user)


async def _queue(screens: Screens, call: CommandCall) -> Message:
    return await screens.queue(call.user, call.about.lower(), call.page)


async def _mine(screens: Screens, call: CommandCall) -> Message:
    return await screens.mine(call.user, call.page)


async def _show(screens: Screens, call: CommandCall) -> Message:
    return await screens.show(call.rest)


async def _history(screens: Screens, call: CommandCall) -> Message:
    return await screens.history(call.about, call.page)


async def _rules(screens: Screens, call: CommandCall) -> Message:
    return await screens.rules(call.page)


async def _trust(screens: Screens, call: CommandCall) -> Message:
    return await screens.trust(call.about, call.page)


async def _status(screens: Screens, _: CommandCall) -> Message:
    return await screens.status()


async def _pause(screens: Screens, call: CommandCall) -> Message:
    return await screens.pause(call.user, call.rest)


async def _resume(screens: Screens, call: CommandCall) -> Message:
    return await screens.resume(call.user)


async def _help(_: Screens, call: CommandCall) -> Message:
    unknown = "" if call.word in COMMANDS else call.word
    closest = get_close_matches(unknown, COMMANDS, 1) if unknown else []
    return help_message(ABOUT, unknown, "".join(closest))


# What each does stands in bot.ui.home.
COMMANDS: Mapping[str, Command] = {
    "queue": Command(_queue, paged=True),
    "mine": Command(_mine, paged=True),
    "show": Command(_show),
    "history": Command(_history, paged=True),
    "propose": Command(None),
    "rules": Command(_rules, paged=True),
    "trust": Command(_trust, paged=True),
    "pause": Command(_pause),
    "resume": Command(_resume),
    "status": Command(_status),
    "help": Command(_help, for_all=True),
}


_TURNED = re.compile(rf"(?:{'|'.join(w for w, c in COMMANDS.items() if c.paged)})\.(?:{BACK}|{NEXT})")


class SlashCommand:
    """Answers `/polar`, and the buttons below its lists."""

    def __init__(self, slack: Slack, screens: Screens, proposing: Proposing) -> None:
        self._slack, self._screens, self._proposing = slack, screens, proposing

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.command("/polar")(self.command)
        app.action(_TURNED)(self.turn)

    async def command(self, ack: AsyncAck, body: Payload, respond: AsyncRespond) -> None:
        """`/polar`: see COMMANDS."""
        call = read_command(str(body.get("text") or ""), acting_user(body))

        async def later(answer: Answer) -> None:
            await respond(**answer)

        await acknowledge(
            self._slack,
            ack,
            body,
            lambda _: self._answered(body, call, respond),
            failed=_content(Message(ephemeral.COMMAND_FAILED, ())),
            later=later,
        )

    async def turn(self, ack: AsyncAck, body: Payload, action: Payload, respond: AsyncRespond) -> None:
        """Back or Next was clicked below a list: the value is the command of that page."""
        call = read_command(str(action.get("value", "")), acting_user(body))
        await acknowledge(self._slack, ack, body, lambda _: self._turned(call, respond))

    async def _answered(self, body: Payload, call: CommandCall, respond: AsyncRespond) -> Answer | None:
        if call.command.answer is not None:
            return _content(await self._message(call))

        async def tell(text: str) -> None:
            await respond(text=text, response_type="ephemeral")

        trigger_id = str(body.get("trigger_id", ""))
        await self._proposing.open(call.user, trigger_id=trigger_id, words=call.rest, tell=tell)
        return None

    async def _turned(self, call: CommandCall, respond: AsyncRespond) -> None:
        if call.command.answer is None or not call.command.paged:
            log.warning("a button asked for %r, which no button shows", call.word[:40])
            return
        message = await self._message(call)
        await respond(text=message.text, blocks=list(message.blocks), replace_original=True)

    async def _message(self, call: CommandCall) -> Message:
        """The answer. Guests and people of other workspaces get the help only: they may see no customers."""
        command = call.command
        assert command.answer is not None  # noqa: S101 - the caller has looked
        try:
            if not command.for_all and (refused := await self._screens.outsider(call.user)) is not None:
                return refused
            return await command.answer(self._screens, call)
        except StoreError as error:
            return Message(ephemeral.not_shown(str(error)).mrkdwn, ())


def _content(message: Message) -> Answer:
    return {"text": message.text, "blocks": list(message.blocks) or None, "response_type": "ephemeral"}
