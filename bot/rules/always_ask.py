"""The cases that always ask a person, with any history, each with its reason."""

from collections.abc import Iterable, Mapping

from store.models.reasons import AlwaysAsk

# In the first three, Polar has already changed the access of a customer. A person must judge what should
# follow.
ALWAYS_ASK_EVENTS: Mapping[str, AlwaysAsk] = {
    "benefit_grant.revoked": AlwaysAsk.LOST_ACCESS,
    "customer.state_changed": AlwaysAsk.STATE_CHANGED,
    "customer_seat.revoked": AlwaysAsk.LOST_SEAT,
    # Money under dispute is of the highest risk class, R4.
    "dispute.early_warning": AlwaysAsk.MONEY_DISPUTED,
    "dispute.needs_response": AlwaysAsk.MONEY_DISPUTED,
}


def always_asks(event_type: str, risks: Iterable[str], *, private: bool = False) -> AlwaysAsk | None:
    """The reason why this case always asks a person, or None when it may run on its own one day.

    `private` is True if the approver gets a private message.
    """
    if event_type in ALWAYS_ASK_EVENTS:
        return ALWAYS_ASK_EVENTS[event_type]
    if private:
        return AlwaysAsk.HANDS_OUT_LINK
    return AlwaysAsk.IRREVERSIBLE if "R4" in risks else None
