"""The reasons offered for a decline, by the operations of the proposal. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bot.ui.elements import ButtonValue, Element, option, select
from store.models import Proposal

REASON = "reason"  # action id of the select on a declined card
REASON_ALL = "reason_all"  # and on the card of a bundle
OTHER = "other"
_MONEY = {
    "not_due": "Not due to them",
    "amount": "Wrong amount",
    "other_way": "Settled another way",
    "abuse": "Looks like abuse",
    "ask_first": "Ask the customer first",
}
_ACCESS = {
    "keep": "They should keep it",
    "too_early": "Too early",
    "by_mistake": "It happened by mistake",
    "by_hand": "Done by hand already",
    "ask_first": "Ask the customer first",
}
_INVOICE = {
    "not_wanted": "They do not want one",
    "wrong_details": "Billing details are wrong",
    "by_hand": "Done by hand already",
}
_OFFER = {
    "no_offer": "No offer for this one",
    "too_much": "Too generous",
    "abuse": "Looks like abuse",
    "ask_first": "Ask the customer first",
}
_ANY = {
    "not_needed": "Not needed",
    "wrong": "The rule is wrong here",
    "too_early": "Too early",
    "by_hand": "Done by hand already",
}
# By the operation, else by its family: the part of its id before the colon.
_BY_OPERATION: Mapping[str, Mapping[str, str]] = {
    "orders:generate_invoice": _INVOICE,
    "disputes": _MONEY,
    "orders": _MONEY,
    "refunds": _MONEY,
    "customer-seats": _ACCESS,
    "license_keys": _ACCESS,
    "benefits": _ACCESS,
    "subscriptions": _ACCESS,
    "discounts": _OFFER,
}


def presets(proposal: Proposal) -> Mapping[str, str]:
    """The reasons offered for declining it, {key: label}, in the order in which they are shown."""
    operation = proposal.calls[0].operation if proposal.calls else ""
    own = _BY_OPERATION.get(operation) or _BY_OPERATION.get(operation.partition(":")[0], {})
    return {**own, **{key: said for key, said in _ANY.items() if key not in own}}


def reason_select(proposal: Proposal) -> Element:
    """The select of a declined card."""
    offered = [*presets(proposal).items(), (OTHER, "Other…")]
    return _select(REASON, ButtonValue(proposal.id, proposal.revision), offered)


def reasons_select(proposal: Proposal, bundle_id: str) -> Element:
    """The select for all declined proposals of a bundle."""
    return _select(REASON_ALL, ButtonValue(bundle_id), presets(proposal).items())


def _select(action_id: str, about: ButtonValue, offered: Iterable[tuple[str, str]]) -> Element:
    return select(action_id, "Say why", [option(label, replace(about, detail=key)) for key, label in offered])
