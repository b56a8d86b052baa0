"""What `@polar …` in a card's thread means. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True, slots=True)
class Asked:
    """A command: its word, and what belongs to it (a reason, a time, a user id); `word` "" is not known."""

    word: str
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """One command: what may follow it (a pattern, in full), and what it does."""

    pattern: re.Pattern[str]
    about: str


def _word(pattern: str, about: str) -> Word:
    return Word(re.compile(pattern, re.IGNORECASE | re.DOTALL), about)


# Nothing loose may follow what decides: "approve? no, wait" approves nothing.
_NOTHING = r"(?:please)?[.!]*(?P<rest>)"
WORDS: Mapping[str, Word] = {
    "why": _word(r"[?]*(?P<rest>)", "why this is asked"),
    "details": _word(r"[?.]*(?P<rest>)", "everything about it"),
    "approve": _word(_NOTHING, "the same as the button"),
    "decline": _word(rf"{_NOTHING}|(?:because|:)\s*(?P<reason>\S.*)", "decline [because …]"),
    "hold": _word(_NOTHING, "nobody approves or runs it until it is released"),
    "release": _word(_NOTHING, "take the hold back"),
    "snooze": _word(
        r"(?P<rest>(?:for\s+|until\s+)?\S.{0,60})", "2h, or until tomorrow, monday 14:00, 2026-12-01"
    ),
    "assign": _word(r"(?:to\s+)?(?P<rest><@[UW][A-Z0-9]+(?:\|[^>]*)?>|me)[.!]*", "@somebody, or me"),
    "who": _word(r"[?]*(?P<rest>)", "who may decide"),
    "help": _word(r"[?.!]*(?P<rest>)", "this line"),
}


def is_addressed(text: str, bot: str) -> bool:
    """Whether a message mentions us. `text` is in Slack's encoding."""
    return bool(bot) and any(one == bot for one in _MENTION.findall(text))


def read(text: str, bot: str) -> Asked:
    """The command in a message that mentions us; `word` is "" for what is none. Never raises."""
    said = " ".join(
        part for part in re.split(rf"<@{re.escape(bot)}(?:\|[^>]*)?>", text) if part.strip()
    ).strip()
    first, _, _ = said.partition(" ")
    name = re.split(r"[^a-zA-Z]", first, maxsplit=1)[0].lower()
    word = WORDS.get(name)
    match = word and word.pattern.fullmatch(said[len(name) :].strip())
    if not match:
        return Asked("")
    given = match.groupdict()
    return Asked(name, unescape((given.get("reason") or given.get("rest") or "").strip()))


def user_of(rest: str) -> str | None:
    """The user id of a mention; None for anything else."""
    found = _MENTION.fullmatch(rest)
    return found[1] if found else None


def help_line() -> str:
    """Everything that is understood, in one line."""
    said = [name if name != "decline" else "decline [because …]" for name in WORDS]
    return "In this thread I understand: " + ", ".join(said) + ". Example: snooze 2h, assign @somebody."


def plain_text(text: str) -> str:
    """A message in Slack's encoding as people read it, mentions as ids."""
    return unescape(text)
