"""Reasons that stay hidden until a decision, so that spot checks stay unbiased."""

from store.models import ProposalState

# Until somebody has said yes or no nothing may tell an audit from any other question, here or elsewhere.
BLIND = frozenset({ProposalState.PENDING, ProposalState.EXPIRED})


WITHHELD = (
    "What the policy said of it is told once it is decided: nobody may know that a question is an audit."
)
