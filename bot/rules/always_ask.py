"""Which cases always ask a person, whatever the history says, and the words for it on the card."""

from collections.abc import Iterable, Mapping

# The first three are fixed by the mission: each tells of something Polar has already done to a customer's
# access, so what follows is a judgement.
ALWAYS_ASK_EVENTS: Mapping[str, str] = {
    "benefit_grant.revoked": "a customer lost access",
    "customer.state_changed": "it says that something changed, not what",
    "customer_seat.revoked": "somebody lost a seat",
    # Whatever is under dispute is a person's, as graduation.md 3.6 has it (R4).
    "dispute.early_warning": "money is under dispute",
    "dispute.needs_response": "money is under dispute",
}


def always_asks(event_type: str, risks: Iterable[str], *, tells: bool = False) -> str | None:
    """Why this case always asks, or None when it may be trusted one day.

    `tells`: its answer is for whoever approved.
    """
    if event_type in ALWAYS_ASK_EVENTS:
        return ALWAYS_ASK_EVENTS[event_type]
    if tells:
        return "somebody is handed a link"
    return "irreversible" if "R4" in risks else None
