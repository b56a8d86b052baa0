"""What one person is told, visible to them alone: why a tap did not count, or what Polar answered."""

from collections.abc import Mapping

from bot.cards.text import clean, escape
from store.models import Proposal, ProposalState

Whisper = str

OWN_PROPOSAL = "You proposed this yourself, so somebody else must approve it. You may decline it."
_STANDS: Mapping[ProposalState, str] = {
    ProposalState.PENDING: "It still waits for a decision.",
    ProposalState.APPROVED: "It has been approved and is about to run.",
    ProposalState.EXECUTING: "It has been approved and is running.",
    ProposalState.SUCCEEDED: "It has been approved and done.",
    ProposalState.FAILED: "It was approved, and Polar refused it.",
    ProposalState.UNKNOWN: "It was approved; Polar has not answered.",
    ProposalState.DECLINED: "It has been declined.",
    ProposalState.EXPIRED: "It has expired.",
    ProposalState.WITHDRAWN: "It has been withdrawn.",
}


def refusal(reason: str, deciders: str) -> Whisper:
    """Why this person may not decide, and who may. `deciders` holds names that people chose."""
    return escape(clean(f"{reason} Nothing was changed. {deciders}.", 600))


def already_decided(proposal: Proposal) -> Whisper:
    """Somebody was first: who, and what became of it."""
    first = f"<@{proposal.decided_by}> was first. " if _is_user(proposal.decided_by) else ""
    return f"{first}{_STANDS[proposal.state]} Your tap changed nothing."


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
    return escape(clean(text, 2_900))
