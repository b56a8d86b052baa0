"""`/polar` over the wire: acknowledged in time whatever it asks; and the buttons that turn its pages."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.forms.service import Proposing
from bot.listeners.screens import Screens
from bot.slack.user import Person, person_of
from bot.ui.card import Message
from bot.ui.home import help_message
from bot.ui.lists import BACK, NEXT
from store.engine.errors import StoreError
from store.schema.columns import readable

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_ANSWER_WITHIN = 2.0  # seconds; Slack waits three


async def _told(answer: Awaitable[Message]) -> Message:
    """The answer to a command, or why there is none."""
    try:
        return await answer
    except StoreError as error:
        return Message(f"Nothing can be shown just now: {error}", ())
    except Exception:
        log.exception("a command could not be answered")
        return Message("Something went wrong in the program. Nothing was done; its log says more.", ())


_LONGEST = 500  # characters of a command that are read


_NOBODY = Person("", None)


@dataclass(frozen=True, slots=True)
class Command:
    """One word: what it does in a few words, and what it answers; None for the one that opens a form.

    `paged` ones only look, so that a button may ask for them. `for_all`: guests and people of other
    workspaces get an answer too.
    """

    about: str
    answer: "Callable[[Screens, Asked], Awaitable[Message]] | None"
    paged: bool = False
    for_all: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One use of the command: the word as typed, what followed it, and who asked."""

    word: str
    rest: str
    command: Command
    person: Person

    @property
    def page(self) -> int:
        """The page asked for: the number at the end, else the first."""
        last = self.rest.rpartition(" ")[2]
        return int(last) if last.isdecimal() and len(last) < 7 else 1

    @property
    def about(self) -> str:
        """What followed the word, without the page."""
        start, _, last = self.rest.rpartition(" ")
        return start.strip() if last.isdecimal() and len(last) < 7 else self.rest


def read_command(text: str, person: Person = _NOBODY) -> Asked:
    """What somebody typed after `/polar`; nothing means the queue, and an unknown word asks for help."""
    # A database may refuse what it is to look for, not only what it is to keep.
    word, _, rest = readable(text).strip()[:_LONGEST].partition(" ")
    known = COMMANDS["queue"] if not word else COMMANDS.get(word.lower(), COMMANDS["help"])
    return Asked(word.lower(), rest.strip(), known, person)


async def _queue(screens: Screens, asked: Asked) -> Message:
    return await screens.queue(asked.person, asked.about.lower(), asked.page)


async def _mine(screens: Screens, asked: Asked) -> Message:
    return await screens.mine(asked.person, asked.page)


async def _show(screens: Screens, asked: Asked) -> Message:
    return await screens.show(asked.rest)


async def _history(screens: Screens, asked: Asked) -> Message:
    return await screens.history(asked.about, asked.page)


async def _rules(screens: Screens, asked: Asked) -> Message:
    return await screens.rules(asked.page)


async def _trust(screens: Screens, asked: Asked) -> Message:
    return await screens.trust(asked.about, asked.page)


async def _status(screens: Screens, _: Asked) -> Message:
    return await screens.status()


async def _pause(screens: Screens, asked: Asked) -> Message:
    return await screens.pause(asked.person, asked.rest)


async def _resume(screens: Screens, asked: Asked) -> Message:
    return await screens.resume(asked.person)


async def _help(_: Screens, asked: Asked) -> Message:
    known = {word: command.about for word, command in COMMANDS.items()}
    unknown = "" if asked.word in COMMANDS else asked.word
    closest = get_close_matches(unknown, COMMANDS, 1) if unknown else []
    return help_message(known, unknown, "".join(closest))


COMMANDS: Mapping[str, Command] = {
    "queue": Command(
        "what waits for a decision, most urgent first; so does /polar alone. queue urgent, mine, snoozed, "
        "unknown or failed narrows it",
        _queue,
        paged=True,
    ),
    "mine": Command(
        "what is assigned to you, and what you proposed or approved that is not finished", _mine, paged=True
    ),
    "show": Command("one proposal, by its id or the start of it: where it stands and who decided", _show),
    "history": Command(
        "the last decisions and what came of them; history jane@example.com, a customer's id, rule NAME or "
        "@somebody narrows it",
        _history,
        paged=True,
    ),
    "propose": Command(
        "a form for anything that can be done at Polar; “propose refund” begins with what these words find. "
        "What you propose becomes a card that somebody else approves",
        None,
    ),
    "rules": Command(
        "every rule, whether it is on and what it has done, and why some events have none", _rules, paged=True
    ),
    "trust": Command(
        "how far each kind of case is trusted, and what runs on its own; trust refund looks for a kind. For "
        "who may decide: turn one on or off",
        _trust,
        paged=True,
    ),
    "pause": Command(
        "nothing runs on its own until somebody resumes it; “pause because …” says why. For who may decide",
        _pause,
    ),
    "resume": Command("what is trusted runs on its own again. For who may decide", _resume),
    "status": Command("whether webhooks arrive and all is well, and the last errors", _status),
    "help": Command("this list", _help, for_all=True),
}


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
