"""What may follow `/polar`: a table of words, each with what it answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bot import cards
from bot.desk import Desk


@dataclass(frozen=True, slots=True)
class Command:
    """One word: what it does in a few words, and what it answers; None for the one that opens a form."""

    about: str
    answer: "Callable[[Desk, Asked], Awaitable[cards.Message]] | None"


@dataclass(frozen=True, slots=True)
class Asked:
    """One use of the command: the word as typed, and what followed it."""

    word: str
    rest: str
    command: Command


def read_command(text: str) -> Asked:
    """What somebody typed after `/polar`; nothing means the queue, and an unknown word asks for help."""
    word, _, rest = text.strip().partition(" ")
    known = COMMANDS["queue"] if not word else COMMANDS.get(word.lower(), COMMANDS["help"])
    return Asked(word.lower(), rest.strip(), known)


async def _queue(desk: Desk, _: Asked) -> cards.Message:
    return await desk.queue()


async def _rules(desk: Desk, asked: Asked) -> cards.Message:
    return await desk.rules(int(asked.rest) if asked.rest.isdecimal() else 1)


async def _help(_: Desk, asked: Asked) -> cards.Message:
    known = {word: command.about for word, command in COMMANDS.items()}
    return cards.help_message(known, unknown="" if asked.word in COMMANDS else asked.word)


COMMANDS: Mapping[str, Command] = {
    "queue": Command("what waits for a decision; so does /polar alone", _queue),
    "propose": Command(
        "a form for anything that can be done at Polar; “propose refund” begins with what these words find. "
        "What you propose becomes a card that somebody else approves",
        None,
    ),
    "rules": Command(
        "every rule, whether it is on and what it has done, and why some events have none", _rules
    ),
    "help": Command("this list", _help),
}
