"""The cases that always ask a person, whatever the history says, each with its reason for the card."""

from collections.abc import Iterable, Mapping

# The first three tell of something that Polar has already done to a customer's access: what should follow is
# for a person to judge.
ALWAYS_ASK_EVENTS: Mapping[str, str] = {
    "benefit_grant.revoked": "a customer lost access",
    "customer.state_changed": "it says that something changed, not what",
    "customer_seat.revoked": "somebody lost a seat",
    # Money under dispute is of the highest risk class, R4.
    "dispute.early_warning": "money is under dispute",
    "dispute.needs_response": "money is under dispute",
}


def always_asks(event_type: str, risks: Iterable[str], *, private: bool = False) -> str | None:
    """Why this case always asks a person, or None when it may run on its own one day.

    `private`: whoever approves gets a private message.
    """
    if event_type in ALWAYS_ASK_EVENTS:
        return ALWAYS_ASK_EVENTS[event_type]
    if private:
        return "somebody is handed a link"
    return "irreversible" if "R4" in risks else None
