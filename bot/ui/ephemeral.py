"""What one person is told, visible to them alone: why a tap did not count, or what Polar answered.

Each says what happened, what was not done, and what to do next. Sentences that always read the same are
constants; the others are functions. Names in them are mentions of ours or text that is escaped.
"""

from collections.abc import Collection

from bot.sanitize import clean
from bot.ui.reasons import plain
from bot.ui.states import phrase
from bot.ui.text import MESSAGE_TEXT, escape, fitted
from store.models import Proposal, ProposalState
from store.models.reasons import Reason

Whisper = str

OWN_PROPOSAL = "You proposed this yourself, so somebody else must approve it. You may decline it."
OWN_EDIT = "You changed what this asks, so somebody else must approve it. You may decline it."
DECLINED = "Declined. Nothing was done."
UNDONE = "Undone in time. Nothing was done."
UNDOING = "It is being undone; the card shows what comes of it."
CHANGED_SINCE = "It was changed since, so nothing was sent. Propose what you want with /polar propose."
UNDO_TAKES_TWO = (
    "Your yes to undoing it counts. It took two people, so somebody else has to approve that too: it has a "
    "card of its own."
)
KEPT = "Your approval is kept, but could not be carried through just now. It is tried again by itself."
NOBODY_MAY = "Nobody may decide: APPROVERS is empty. Whoever runs this program sets it. Nothing was changed."
STALE = (
    "This changed since the card you saw, so your tap changed nothing. "
    "The card now shows what is asked; look at it and decide again."
)
BEING_DECIDED = "Somebody has just approved this and Polar is being asked. Your tap changed nothing."
FIRST_YES = "Your yes counts. It takes two people: somebody else has to approve it before anything is done."
ONLY_ONE = (
    "Your yes counts, but it takes two people and nobody else may decide this, so it can never be approved. "
    "Have somebody added to those who may decide, or decline it."
)
SECOND_YES_NEEDED = "Your yes counts already. It takes two people, so somebody else has to approve it now."
BROKE = "Something went wrong here, and your tap may not count. Look at the card and tap again if it waits."
TOO_LATE_TO_UNDO = "Too late to undo: it was being sent already. Your tap changed nothing; see the card."
NOTHING_TO_UNDO = "There is nothing to undo here. Your tap changed nothing; the card shows where it stands."
BEING_UNDONE = "Somebody is undoing this already. Your tap changed nothing."
NOT_IN_DOUBT = "It is known by now what became of this. Your tap changed nothing; see the card."
NOTHING_TO_RETRY = "This is not to be tried again as it stands now. Your tap changed nothing; see the card."


def untold(reason: str) -> Whisper:
    """Whether this person may decide cannot be told now."""
    return f"{reason} Nothing was changed."


def other_untold(actor: str) -> Whisper:
    """Whether the earlier yes of somebody else still counts cannot be told now."""
    who = f"<@{actor}>" if _is_user(actor) else "whoever said yes before"
    return f"Slack did not say whether {who} may still decide; tap again in a moment. Nothing was changed."


def first_yes(gone: Collection[str], *, alone: bool) -> Whisper:
    """The first yes of two counts. `gone` are those whose yes counts no more; `alone`: nobody is left."""
    names = " and ".join(f"<@{actor}>" for actor in sorted(gone) if _is_user(actor))
    lead = f"The earlier yes of {names} counts no more: they may no longer decide this. " if names else ""
    return lead + (ONLY_ONE if alone else FIRST_YES)


def refusal(reason: str, deciders: str) -> Whisper:
    """Why this person may not decide, and who may. `deciders` holds names that people chose."""
    return escape(clean(f"{reason} Nothing was changed. {deciders}.", 600))


def already_decided(proposal: Proposal, by: str | None = None) -> Whisper:
    """Somebody was first: who, and what became of it. `by` is who taps now; it may have been them."""
    first = f"<@{proposal.decided_by}> was first. " if _is_user(proposal.decided_by) else ""
    if by is not None and proposal.decided_by == by:
        first = "You have decided this already. "
    return f"{first}{_stands(proposal)} Your tap changed nothing."


def approved(proposal: Proposal) -> Whisper:
    """An approval counts; for whoever does not look at the card."""
    if proposal.cancellable_until is None:
        return "Approved. It runs now; its card shows what comes of it."
    return f"Approved. It runs at {proposal.cancellable_until:%H:%M:%S} UTC; until then it can be undone."


def too_late_to_undo(proposal: Proposal) -> Whisper:
    """Undo was tapped when nothing could be taken back any more, or nothing was approved yet."""
    if proposal.state in (ProposalState.APPROVED, ProposalState.EXECUTING):
        return f"{TOO_LATE_TO_UNDO} Once it is done, Undo there takes it back if that is possible."
    return f"{NOTHING_TO_UNDO} {_stands(proposal)}"


def _stands(proposal: Proposal) -> str:
    return f"Its state is “{phrase(proposal.state)}”."


def withdrawn(why: Reason) -> Whisper:
    """Read again at the tap, it no longer applies."""
    return escape(clean(f"Nothing was done. {plain(why, 600)}", 600))


def on_hold(proposal: Proposal) -> Whisper:
    """A person said that nobody approves or runs this now."""
    by = f" by <@{proposal.held_by}>" if _is_user(proposal.held_by) else ""
    next_ = "Mention me with “release” in its thread, and it goes on."
    return f"This is on hold{by}. Nothing was changed. {next_}"


def _is_user(actor: str | None) -> bool:
    return bool(actor) and str(actor)[:1] in "UW" and str(actor).isalnum()


def gone() -> Whisper:
    """The button names a proposal that is not here."""
    return "This card is out of date: nothing here knows it. Nothing was done. Type /polar to see what waits."


def not_stored(why: str) -> Whisper:
    """The decision could not be written down."""
    return escape(clean(f"Your decision could not be stored, so nothing was done: {why} Tap again.", 600))


def handed(text: str) -> Whisper:
    """What Polar's answer holds for whoever approved, such as a link: theirs alone, and kept nowhere."""
    return fitted(text, MESSAGE_TEXT)
