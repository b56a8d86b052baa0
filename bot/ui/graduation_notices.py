"""The words of trust: a card's score line, what ran on its own, and what lost its trust and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.sanitize import clean
from bot.ui.text import Block, bullets, emoji, escape, glue, line, rich, words
from polar.text.money import format_money
from store.models import CaseKindState

DEMOTION, PAUSE, TURNED_ON = "demotion", "breaker", "graduation"


def money(minor: int, currency: str) -> str:
    """An amount as people read it."""
    return format_money(minor, currency)


def duration(seconds: int) -> str:
    """A length of time in minutes, from two hours on in hours."""
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def change_notice(change: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The message about a change of trust, by its row in the log; None when nobody needs to be told.

    `change` holds `case_kind`, `words`, `from`, `to`, `cause`, `generation` and `new_generation`: whether
    trust was lost.
    """
    before, after = CaseKindState(change["from"]), CaseKindState(change["to"])
    if before == after:
        return None
    kind, sign, said, next_ = _SAID[after]
    if after == CaseKindState.ASKING and not change.get("new_generation", True):
        next_ = "Every such case asks a person again. What it has earned stays"
    cause = clean(str(change["cause"]), 300)
    text = f"{said}: {clean(str(change['words']), 300)}. Why: {cause}."
    body = line(emoji(sign), glue(" "), words(f"{said}: ", 100, bold=True), words(str(change["words"]), 400))
    block = rich(
        f"trust.{change['case_kind'][:12]}.{change['generation']}", body, bullets([f"Why: {cause}", next_])
    )
    return kind, {"text": escape(clean(text, 500)), "blocks": [block]}


_SAID: Mapping[CaseKindState, tuple[str, str, str, str]] = {
    CaseKindState.ASKING: (
        DEMOTION,
        "rotating_light",
        "No longer runs on its own",
        "Every such case asks a person again. Trust is earned anew, to a higher bar",
    ),
    CaseKindState.PAUSED: (
        PAUSE,
        "double_vertical_bar",
        "Paused",
        "Every such case asks a person until somebody turns it on again in /polar trust",
    ),
    CaseKindState.GRADUATED: (
        TURNED_ON,
        "white_check_mark",
        "Runs on its own now",
        "The digest says what ran. Turn it off in /polar trust",
    ),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What one kind of case did on its own. `left` says in words what its caps leave today."""

    words: str
    count: int
    moved: Mapping[str, int]
    refused: int
    undone: int
    score: float
    left: str


def receipts_block(ran: Sequence[Ran], tag: str) -> Block | None:
    """What ran on its own, a line for each kind, for the digest and the Home tab; None for nothing."""
    if not ran:
        return None
    said = [receipt(one) for one in ran]
    return rich(f"ran.{tag}", line(words("Ran on its own", 60, bold=True)), bullets(said[:20]))


def receipt(one: Ran) -> str:
    """One kind's line: `Generate an invoice · …: 12 ran, 0 failed, 0 undone. Score 91.8. 38 left today`."""
    moved = [money(total, currency) for currency, total in sorted(one.moved.items())]
    parts = [f"{one.count} ran", *moved, f"{one.refused} failed", f"{one.undone} undone"]
    return f"{clean(one.words, 300)}: {', '.join(parts)}. Score {one.score:.1f}. {one.left}"


def audit_line(bad: bool, agreed: int, audits: int) -> str:
    """What is said once an audit is answered: `audit: agreed, 31/31`."""
    return f"audit: {'not agreed' if bad else 'agreed'}, {agreed}/{audits}"
