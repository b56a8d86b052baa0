"""The lines a card's thread gets when something has come of its proposal."""

from bot.ui.card_status import PREFIX, outcome, plain_reason, taken_back_by
from bot.ui.effects import call_title
from bot.ui.message import Message
from bot.ui.text import MESSAGE_TEXT, bullets, clean, fitted, glue, line, person, rich, told, words
from store.models import Proposal, ProposalState, Transition

_TOLD = frozenset(
    {
        ProposalState.SUCCEEDED,
        ProposalState.FAILED,
        ProposalState.UNKNOWN,
        ProposalState.WITHDRAWN,
        ProposalState.EXPIRED,
    }
)


def thread_line(proposal: Proposal, change: Transition) -> Message | None:
    """The line for the card's thread about one change; None for one the card itself shows well enough."""
    if change.to not in _TOLD:
        return None
    tag = f"{proposal.id}.{change.version}"
    back = taken_back_by(change.reason) if change.to == ProposalState.WITHDRAWN else None
    if back:
        text = "Undone in time. Nothing was done."
        return Message(text, (rich(f"outcome.{tag}", line(person(back), glue(": "), words(text))),))
    why = told(plain_reason(change.reason), 1_000) if change.reason else []
    said = f": {''.join(one.get('text', 'Somebody') for one in why)}" if why else ""
    text = clean(f"{PREFIX[change.to].rstrip(': ')}{said}", 1_000)
    details = [f"{call_title(call)}: {outcome(call)}" for call in proposal.calls[:20]]
    head = [glue(PREFIX[change.to]), *why] if why else []
    parts = [line(*(head or [words(text, 1_000)])), *([bullets(details)] if details else [])]
    return Message(fitted(text, MESSAGE_TEXT), (rich(f"outcome.{tag}", *parts),))
