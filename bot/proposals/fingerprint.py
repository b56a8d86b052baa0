"""The customer, the amount and the content hash of a proposal. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from polar.catalog import Call, operations
from polar.events import Event
from store.models import NewProposal

_TOTALS = ("total_amount", "amount", "refundable_amount")


def customer_of(event: Event) -> tuple[str | None, str | None]:
    """The id and the e-mail address (lower case) of the customer an event is about, as far as it tells."""
    data = event.data
    own = data if event.type.startswith("customer.") else data.get("customer")
    customer: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
    identity = customer.get("id") or data.get("customer_id")
    email = customer.get("email") or data.get("customer_email")
    return _text(identity), (_text(email) or "").lower() or None


def _text(value: Any) -> str | None:
    return value[:320] if isinstance(value, str) and value else None


def money_of(calls: Sequence[Call], data: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """The money at stake in minor units and its currency in lower case: the calls' own, else the event's."""
    bodies = [(call, call.body or {}) for call in calls]
    moved = [
        body["amount"] for call, body in bodies if _is_money(call) and isinstance(body.get("amount"), int)
    ]
    named = [data[name] for name in _TOTALS if isinstance(data.get(name), int)]
    currencies = [data.get("currency"), *(body.get("currency") for _, body in bodies)]
    currency = next((one for one in currencies if isinstance(one, str)), None)
    if currency is None or not (moved or named):
        return None, None
    return (sum(moved) if moved else named[0]), currency.lower()[:3]


def _is_money(call: Call) -> bool:
    return operations()[call.operation].describe(call).money


def digest_of(
    title: str, reasons: Sequence[str], facts: Sequence[tuple[str, str]], calls: Sequence[Call]
) -> str:
    """One value for everything the card shows and the calls behind it: another digest is another question."""
    asked = [title, list(reasons), [list(fact) for fact in facts], [_call(call) for call in calls]]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _call(call: Call) -> list[Any]:
    return [call.operation, call.path, call.query, call.body]


def digest_of_proposal(proposal: NewProposal) -> str:
    """The digest of a proposal about to be stored."""
    calls = [Call.of(call) for call in proposal.calls]
    return digest_of(proposal.title, proposal.reasons, proposal.facts, calls)
