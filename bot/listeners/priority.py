"""Which card to decide next: money times hurry. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from store.models import Proposal
from store.proposals.usd import worth

SOON = timedelta(days=2)  # a deadline within this is due soon: it goes before money
_BASE = 10.0  # dollars; what a card without money counts as, so that its deadline still moves it
_HURRY = 100.0  # how many times its money a card counts whose deadline is now


def rank(proposal: Proposal, now: datetime) -> float:
    """How much it matters to decide this next; more is sooner.

    Money is in rough dollars (store.proposals.usd: orders of magnitude, for the order only). Hurry is 1
    without a deadline, grows as it comes near (about 2 four days ahead, 5 a day ahead) and is greatest once
    it passed.
    """
    due = proposal.deadline or proposal.expires_at
    hours = max((due - now) / timedelta(hours=1), 0.0) if due is not None else None
    hurry = 1.0 if hours is None else 1.0 + _HURRY / (1.0 + hours)
    return (_BASE + worth(proposal.amount, proposal.currency)) * hurry


def next_card(found: Iterable[Proposal], now: datetime) -> Proposal | None:
    """The one to decide next; of equal ones the oldest."""
    ordered = sorted(found, key=lambda each: (-rank(each, now), each.created_at, each.id))
    return ordered[0] if ordered else None
