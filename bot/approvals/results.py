"""What comes of a person's decision, whichever way it came in, and what they are told."""

from dataclasses import dataclass
from enum import StrEnum

from bot.ui import ephemeral
from bot.ui.ephemeral import Whisper
from store.models import Proposal, ProposalState
from store.proposals.decisions import Bar


class Came(StrEnum):
    """What came of a decision."""

    APPROVED = "approved"
    FIRST_YES = "first yes"  # of two; it still waits for the other
    DECLINED = "declined"
    UNDONE = "undone"
    RESTATED = "restated"  # Polar's state has changed: it asks something else now
    WITHDRAWN = "withdrawn"  # read again, it no longer applies
    REFUSED = "refused"  # this person may not
    UNTOLD = "untold"  # Slack does not say who they are: whether they may cannot be told now
    ON_HOLD = "on hold"
    STALE = "stale"  # decided on what was shown before
    TWICE = "twice"  # their yes counts already
    SETTLED = "settled"  # somebody was first
    TOO_LATE = "too late"  # to undo
    GONE = "gone"
    REPEATED = "repeated"  # the same press, delivered again
    NOT_STORED = "not stored"
    KEPT = "kept"  # on disk, and seen to later: the database did not take the rest


_COUNTS = frozenset({Came.APPROVED, Came.FIRST_YES, Came.DECLINED, Came.UNDONE})
# The card itself shows these to whoever tapped it; a repeated press has been answered.
_SHOWN = frozenset({Came.APPROVED, Came.DECLINED, Came.UNDONE, Came.REPEATED})
_BARRED = {Bar.CHANGED: Came.STALE, Bar.ON_HOLD: Came.ON_HOLD, Bar.SETTLED: Came.SETTLED}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it, what to tell the person, and the proposal as it now is (None: there is none)."""

    came: Came
    text: Whisper
    proposal: Proposal | None = None

    @property
    def counts(self) -> bool:
        """Whether the decision was taken down."""
        return self.came in _COUNTS

    @property
    def shown(self) -> bool:
        """Whether whoever tapped the card sees it there, so that they need not be told."""
        return self.came in _SHOWN


def gone() -> Answer:
    """There is no such proposal."""
    return Answer(Came.GONE, ephemeral.gone())


def barred(bar: Bar, proposal: Proposal, actor: str) -> Answer:
    """Why a decision does not count, whoever takes it."""
    text = {
        Bar.CHANGED: ephemeral.STALE,
        Bar.ON_HOLD: ephemeral.on_hold(proposal),
        Bar.SETTLED: ephemeral.already_decided(proposal, by=actor),
    }
    return Answer(_BARRED[bar], text[bar], proposal)


def approved(proposal: Proposal) -> Answer:
    """An approval counts: the first of two, or the one that decides."""
    if proposal.state == ProposalState.PENDING:
        return Answer(Came.FIRST_YES, ephemeral.FIRST_YES, proposal)
    return Answer(Came.APPROVED, ephemeral.approved(proposal), proposal)
