"""The parts of a message, and the facts that a card shows beside its proposal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.ui.text import Block
from store.models import Proposal

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """A message for Slack. `text` is the whole question in one line, for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class CardView:
    """The facts that a card shows and that its proposal does not hold.

    `deciders` names the approvers in words. With `needs_two`, `approvals` are the actors who approved so far.
    `reasons` are the reasons of the decline. `undo` is True if the calls can be undone; `undone` is the
    proposal that undoes them. `today` are money lines of today (label, value). `score` and `spot_check` are
    small print.
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
