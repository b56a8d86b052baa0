"""The few facts about an event that a card shows, in the order a person wants them on a phone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from polar import models
from polar.events import Event
from polar.polled import POLLED
from polar.text.money import format_money
from polar.text.words import (
    access,
    benefit_name,
    cancellation_reason,
    contact,
    day,
    given_back,
    holder,
    list_price,
    plain,
    product_name,
    rate,
    reduction,
    refunded,
    total,
    words,
)

VALUE_LIMIT = 100
SHOWN = 4

Pairs = Iterable[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Fact:
    """One labelled value of a card; `value` is plain text of at most 100 characters, never empty."""

    label: str
    value: str


def facts(event: Event) -> tuple[Fact, ...]:
    """At most four facts: who, how much, for what, and the one telling detail; not escaped for Slack."""
    if event.resource is None:
        found: Pairs = (("Event", event.type), ("Problem", event.problem))
    elif event.type in POLLED:
        found = POLLED[event.type].facts(event.resource)
    else:
        noun = "customer_state" if isinstance(event.resource, models.CustomerState) else event.type
        found = _FACTS[noun.partition(".")[0]](event.resource, event.type)
    shown = ((label, plain(value, VALUE_LIMIT)) for label, value in found)
    return tuple(Fact(label, value) for label, value in shown if value)[:SHOWN]


def _who(customer: models.Customer | None) -> str | None:
    return contact(customer.name, customer.email) if customer else None


def _order(order: models.Order, event_type: str) -> Pairs:
    yield "Customer", _who(order.customer)
    yield "Amount", total(order)
    yield "Product", product_name(order.product, order.description)
    if event_type == "order.refunded":
        yield "Refunded", refunded(order)
    elif order.status != "paid":
        yield "Status", words(order.status)
    yield "Invoice", order.invoice_number


def _subscription(subscription: models.Subscription, event_type: str) -> Pairs:
    yield "Customer", _who(subscription.customer)
    yield "Amount", rate(subscription)
    yield "Product", product_name(subscription.product)
    if event_type == "subscription.canceled" and (reason := cancellation_reason(subscription)):
        comment = subscription.customer_cancellation_comment
        yield "Reason", f"{reason}: {comment}" if comment else reason
    label, date = _TELLING_DATES.get(event_type, ("", ""))
    if moment := getattr(subscription, date, None):
        yield label, day(moment)
    yield "Status", words(subscription.status)


# Of a subscription's many dates the one that the event is about, with its label.
_TELLING_DATES = {
    "subscription.active": ("Period ends", "current_period_end"),
    "subscription.canceled": ("Ends", "ends_at"),
    "subscription.created": ("Trial ends", "trial_end"),
    "subscription.cycled": ("Period ends", "current_period_end"),
    "subscription.past_due": ("Past due since", "past_due_at"),
    "subscription.paused": ("Resumes", "resumes_at"),
    "subscription.resumed": ("Period ends", "current_period_end"),
    "subscription.revoked": ("Ended", "ended_at"),
    "subscription.uncanceled": ("Next renewal", "current_period_end"),
}


def _refund(refund: models.Refund, _: str) -> Pairs:
    yield "Amount", given_back(refund)
    yield "Reason", words(refund.reason)
    yield "Status", words(refund.status)
    if refund.dispute:
        yield "Dispute", words(refund.dispute.status)
    yield "Benefits", "revoked" if refund.revoke_benefits else "kept"


def _checkout(checkout: models.Checkout, _: str) -> Pairs:
    yield "Customer", contact(checkout.customer_name, checkout.customer_email)
    yield "Amount", format_money(checkout.total_amount, checkout.currency)
    yield "Product", product_name(checkout.product)
    yield "Status", words(checkout.status)


def _customer(customer: models.Customer, _: str) -> Pairs:
    yield "Customer", _who(customer)
    yield "Kind", words(customer.type)
    yield "Your id", customer.external_id
    if customer.deleted_at:
        yield "Deleted", day(customer.deleted_at)


def _customer_state(state: models.CustomerState, _: str) -> Pairs:
    yield "Customer", _who(state)
    yield "Subscriptions", f"{len(state.active_subscriptions)} active"
    yield "Benefits", str(len(state.granted_benefits))
    yield "Meters", str(len(state.active_meters) or "")


def _customer_seat(seat: models.CustomerSeat, _: str) -> Pairs:
    yield "Person", holder(seat)
    yield "Seat", words(seat.status)
    for label, moment in (
        ("Revoked", seat.revoked_at),
        ("Claimed", seat.claimed_at),
        ("Invitation ends", seat.invitation_token_expires_at),
    ):
        if moment:
            yield label, day(moment)
            return


def _member(member: models.Member, _: str) -> Pairs:
    yield "Person", contact(member.name, member.email)
    yield "Role", words(member.role)
    yield "Your id", member.external_id


def _benefit_grant(grant: models.AnyGrant, _: str) -> Pairs:
    yield "Customer", _who(grant.customer)
    yield "Benefit", benefit_name(grant.benefit)
    if grant.error:
        yield "Problem", grant.error.message
    yield "Access", access(grant)
    if grant.member and grant.member.email != (grant.customer.email if grant.customer else None):
        yield "Member", contact(grant.member.name, grant.member.email)


def _product(product: models.Product, _: str) -> Pairs:
    yield "Product", product.name
    yield "Price", list_price(product)
    yield "Status", "archived" if product.is_archived else words(product.visibility)
    yield "Benefits", str(len(product.benefits))


def _discount(discount: models.Discount, _: str) -> Pairs:
    yield "Discount", discount.name
    yield "Value", reduction(discount)
    yield "Code", discount.code
    if discount.ends_at:
        yield "Ends", day(discount.ends_at)
    yield "Used", f"{discount.redemptions_count or 0} times"


def _benefit(benefit: models.Benefit, _: str) -> Pairs:
    yield "Benefit", benefit_name(benefit)
    yield "Kind", words(benefit.type)
    if benefit.is_deleted:
        yield "Status", "deleted"


def _organization(organization: models.Organization, _: str) -> Pairs:
    yield "Organization", organization.name
    yield "Status", words(organization.status)
    yield "E-mail", organization.email


_FACTS: dict[str, Callable[[Any, str], Pairs]] = {
    "benefit": _benefit,
    "benefit_grant": _benefit_grant,
    "checkout": _checkout,
    "customer": _customer,
    "customer_seat": _customer_seat,
    "customer_state": _customer_state,
    "discount": _discount,
    "member": _member,
    "order": _order,
    "organization": _organization,
    "product": _product,
    "refund": _refund,
    "subscription": _subscription,
}
