"""What may follow `/polar`: a table of words, each with what it answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from bot.forms.service import Person
from bot.listeners.screens import Screens
from bot.ui.card import Message
from bot.ui.home import help_message
from store.schema.columns import readable

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
