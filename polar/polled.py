"""Changes without a webhook: read from Polar now and then, and stored as events of types of our own."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from polar.catalog.event_fields import FieldTree
from polar.models import Customer, MinorUnits, Part, Resource, UtcDatetime
from polar.text.words import contact, counted, day, format_money, person, words


class Dispute(Resource):
    """A chargeback or its early warning (`GET /v1/disputes/{id}`), as contract 2026-10 has it."""

    status: str
    amount: MinorUnits
    tax_amount: MinorUnits
    currency: str
    order_id: str
    payment_id: str | None = None
    reason: str | None = None
    evidence_due_by: UtcDatetime | None = None
    past_due: bool = False
    customer: Customer | None = None


class FailedEvent(Part):
    """One webhook that another endpoint never took."""

    id: str
    type: str
    created_at: UtcDatetime


class FailedDeliveries(Resource):
    """The deliveries that failed at one endpoint in one window of time; `id` is the endpoint's.

    `since` and `until` bound the attempts to read again; `host` is the endpoint's address without what may be
    secret in it.
    """

    host: str
    since: UtcDatetime
    until: UtcDatetime
    events: tuple[FailedEvent, ...]


Pairs = Iterable[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Polled:
    """A type of our own: the model of its `data`, its fields, its sentence, its facts."""

    model: type[Resource]
    fields: FieldTree
    sentence: Callable[[Any], str]
    facts: Callable[[Any], Pairs]


def _fields(model: type[Part], **inner: FieldTree) -> FieldTree:
    data = {name: inner.get(name, FieldTree()) for name in model.model_fields}
    return FieldTree(MappingProxyType(data))


def _event(model: type[Part], **inner: FieldTree) -> FieldTree:
    return FieldTree(
        MappingProxyType({"type": FieldTree(), "timestamp": FieldTree(), "data": _fields(model, **inner)})
    )


def _amount(dispute: Dispute) -> str:
    return format_money(dispute.amount + dispute.tax_amount, dispute.currency)


def _dispute_sentence(dispute: Dispute) -> str:
    due = f"; evidence is due by {day(dispute.evidence_due_by)}" if dispute.evidence_due_by else ""
    return f"{person(dispute.customer)} disputes {_amount(dispute)} ({words(dispute.status)}){due}"


def _dispute_facts(dispute: Dispute) -> Pairs:
    customer = dispute.customer
    yield "Customer", contact(customer.name, customer.email) if customer else None
    yield "Amount", _amount(dispute)
    yield "Reason", words(dispute.reason)
    yield "Due by", day(dispute.evidence_due_by)


def _failed_sentence(failed: FailedDeliveries) -> str:
    return f"{failed.host} did not take {counted(len(failed.events), 'webhook')} of {day(failed.since)}"


def _failed_facts(failed: FailedDeliveries) -> Pairs:
    yield "Endpoint", failed.host
    yield "From", f"{failed.since:%d %b %H:%M} UTC"
    yield "Webhooks", str(len(failed.events))
    yield "Kinds", ", ".join(sorted({event.type for event in failed.events}))


_DISPUTE = Polled(Dispute, _event(Dispute, customer=_fields(Customer)), _dispute_sentence, _dispute_facts)

POLLED: Mapping[str, Polled] = MappingProxyType(
    {
        "dispute.needs_response": _DISPUTE,
        "dispute.early_warning": _DISPUTE,
        "webhook_delivery.failed": Polled(
            FailedDeliveries,
            _event(FailedDeliveries, events=_fields(FailedEvent)),
            _failed_sentence,
            _failed_facts,
        ),
    }
)
"""Every type that is polled. Downstream they are events like any other; no webhook brings them."""
