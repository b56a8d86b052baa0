"""What a message is made of, and what a card shows beside its proposal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.ui.text import Block
from store.models import Proposal

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """What Slack is given: `text` is the whole question in one line, for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CardView:
    """What a card shows that its proposal does not hold.

    `deciders` says in words who may decide; `approvals` are the actors who said yes so far when `needs_two`.
    `reasons` is why it was declined. `undo`: what was done can be taken back; `undone`: the proposal that
    takes it back. `today` are money lines of today (label, value), `score` and `spot_check` small print.
    """

    deciders: str = ""
    approvals: tuple[str, ...] = ()
    needs_two: bool = False
    decline_reasons: tuple[str, ...] = ()
    undo: bool = False
    undone: Proposal | None = None
    today: tuple[tuple[str, str], ...] = ()
    score: str | None = None
    spot_check: str | None = None
    now: datetime = _LONG_AGO
