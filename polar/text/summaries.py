"""The summary of an event, in one line of plain words."""

from collections.abc import Callable
from typing import Any

from polar import models
from polar.events import RESOURCES, Event
from polar.polled import POLLED
from polar.text.facts import Fact, facts
from polar.text.money import format_money
from polar.text.words import (
    NAME_LIMIT,
    access,
    benefit_name,
    cancellation_reason,
    contact,
    counted,
    day,
    given_back,
    grantee,
    holder,
    list_price,
    person,
    plain,
    product_name,
    rate,
    reduction,
    refunded,
    total,
    words,
)

__all__ = ["SUMMARY_LIMIT", "Fact", "facts", "summarise"]

SUMMARY_LIMIT = 200

_BILLING_REASONS = {
    "purchase": "one-time purchase",
    "subscription_create": "new subscription",
    "subscription_cycle": "renewal",
    "subscription_meter_cycle": "usage",
    "subscription_update": "plan change",
}


def summarise(event: Event) -> str:
    """One plain-text line of at most 200 characters on what happened; not escaped for Slack."""
    if event.resource is not None and event.type in POLLED:
        return plain(POLLED[event.type].sentence(event.resource), SUMMARY_LIMIT)
    if event.resource is not None:
        return plain(_SENTENCES[event.type](event.resource), SUMMARY_LIMIT)
    if event.type in RESOURCES:
        return f"Polar sent `{event.type}` with data that this version does not understand"
    return f"Polar sent `{plain(event.type, 120)}`, which this version does not know"


def _order_created(order: models.Order) -> str:
    status = "" if order.paid else f", {words(order.status)}"
    return (
        f"{person(order.customer)} ordered {_bought(order)} for {total(order)} ({_occasion(order)}{status})"
    )


def _order_updated(order: models.Order) -> str:
    what = f"{person(order.customer)}'s order of {_bought(order)} for {total(order)}"
    return f"{what} was updated ({words(order.status)})"


def _order_paid(order: models.Order) -> str:
    if order.total_amount == 0:
        return f"{person(order.customer)} got {_bought(order)} for free ({_occasion(order)})"
    return f"{person(order.customer)} paid {total(order)} for {_bought(order)} ({_occasion(order)})"


def _order_refunded(order: models.Order) -> str:
    return f"{person(order.customer)} was refunded {refunded(order)} for {_bought(order)}"


def _bought(order: models.Order) -> str:
    return product_name(order.product, order.description)


def _occasion(order: models.Order) -> str:
    return _BILLING_REASONS.get(order.billing_reason) or words(order.billing_reason)


def _started(subscription: models.Subscription) -> str:
    who, plan = person(subscription.customer), product_name(subscription.product)
    if subscription.status == "trialing":
        until = f" until {day(subscription.trial_end)}" if subscription.trial_end else ""
        return f"{who} started a trial of {plan}{until}, then {rate(subscription)}"
    return f"{who} subscribed to {plan} ({rate(subscription)})"


def _subscription_updated(subscription: models.Subscription) -> str:
    """The status with what is scheduled: that is what an update is usually about."""
    notes = [words(subscription.status)]
    if subscription.cancel_at_period_end:
        notes.append(f"ends {day(subscription.ends_at)}" if subscription.ends_at else "will end")
    if subscription.pause_at_period_end:
        notes.append("will pause")
    if subscription.pending_update:
        notes.append("a change is waiting")
    return f"{_theirs(subscription)} was updated ({', '.join(notes)})"


def _active(subscription: models.Subscription) -> str:
    return f"{_theirs(subscription)} is {words(subscription.status)} ({rate(subscription)})"


def _canceled(subscription: models.Subscription) -> str:
    if subscription.ended_at:
        return _ended(subscription)
    reason = _because(subscription)
    ends = f"; ends {day(subscription.ends_at)}" if subscription.ends_at else ""
    return f"{person(subscription.customer)} canceled {product_name(subscription.product)}{reason}{ends}"


def _uncanceled(subscription: models.Subscription) -> str:
    return (
        f"{person(subscription.customer)} withdrew the cancellation of {product_name(subscription.product)}"
    )


def _ended(subscription: models.Subscription) -> str:
    when = f" on {day(subscription.ended_at)}" if subscription.ended_at else ""
    return f"{_theirs(subscription)} ended{when}{_because(subscription)}"


def _cycled(subscription: models.Subscription) -> str:
    end = subscription.current_period_end
    until = f" until {day(end)}" if end else ""
    return f"{_theirs(subscription)} began a new period{until} ({rate(subscription)})"


def _past_due(subscription: models.Subscription) -> str:
    return f"{_theirs(subscription)} is past due: a payment failed ({rate(subscription)})"


def _paused(subscription: models.Subscription) -> str:
    until = f" until {day(subscription.resumes_at)}" if subscription.resumes_at else ""
    return f"{_theirs(subscription)} is paused{until}"


def _resumed(subscription: models.Subscription) -> str:
    return f"{_theirs(subscription)} resumed ({rate(subscription)})"


def _migrated(subscription: models.Subscription) -> str:
    return f"{_theirs(subscription)} was migrated to Polar ({rate(subscription)})"


def _theirs(subscription: models.Subscription) -> str:
    return f"{person(subscription.customer)}'s subscription to {product_name(subscription.product)}"


def _because(subscription: models.Subscription) -> str:
    reason = cancellation_reason(subscription)
    return f": {reason}" if reason else ""


def _refund(refund: models.Refund) -> str:
    amount = given_back(refund)
    why = words(refund.reason) + (", benefits revoked" if refund.revoke_benefits else "")
    if refund.status == "succeeded":
        return f"{amount} was refunded ({why})"
    verb = "has" if refund.status == "failed" else "is"
    return f"A refund of {amount} {verb} {words(refund.status)} ({why})"


def _checkout(template: str) -> Callable[[models.Checkout], str]:
    def sentence(checkout: models.Checkout) -> str:
        who = plain(checkout.customer_name, NAME_LIMIT) or plain(checkout.customer_email, NAME_LIMIT)
        price = format_money(checkout.total_amount, checkout.currency)
        what = f"{product_name(checkout.product)} ({price})"
        return template.format(who=who or "Someone", what=what, status=words(checkout.status))

    return sentence


def _customer(template: str) -> Callable[[models.Customer], str]:
    def sentence(customer: models.Customer) -> str:
        return template.format(who=contact(customer.name, customer.email) or "no name or e-mail")

    return sentence


def _state(state: models.CustomerState) -> str:
    subscriptions = counted(len(state.active_subscriptions), "active subscription")
    return f"{person(state)} now has {subscriptions} and {counted(len(state.granted_benefits), 'benefit')}"


def _seat_assigned(seat: models.CustomerSeat) -> str:
    expires = seat.invitation_token_expires_at
    until = f"; the invitation ends {day(expires)}" if expires else ""
    return f"{holder(seat) or 'Someone'} was given a seat{until}"


def _seat_claimed(seat: models.CustomerSeat) -> str:
    return f"{holder(seat) or 'Someone'} claimed a seat"


def _seat_revoked(seat: models.CustomerSeat) -> str:
    whose = holder(seat)
    return f"The seat of {whose} was revoked" if whose else "A seat was revoked"


def _member(verb: str) -> Callable[[models.Member], str]:
    def sentence(member: models.Member) -> str:
        role = f" ({words(member.role)})" if member.role else ""
        return f"Team member {contact(member.name, member.email) or 'without a name'} was {verb}{role}"

    return sentence


def _grant_created(grant: models.AnyGrant) -> str:
    if grant.is_granted:
        return f"{grantee(grant)} received {access(grant)} ({benefit_name(grant.benefit)})"
    problem = plain(grant.error.message, NAME_LIMIT) if grant.error else ""
    why = f": {problem}" if problem else ""
    return f"{grantee(grant)} did not get {access(grant)} ({benefit_name(grant.benefit)}){why}"


def _grant(verb: str) -> Callable[[models.AnyGrant], str]:
    def sentence(grant: models.AnyGrant) -> str:
        return f"{grantee(grant)}'s {access(grant)} was {verb} ({benefit_name(grant.benefit)})"

    return sentence


def _product(verb: str) -> Callable[[models.Product], str]:
    def sentence(product: models.Product) -> str:
        archived = ", archived" if product.is_archived else ""
        return f"Product {product_name(product)} was {verb} ({list_price(product)}{archived})"

    return sentence


def _discount(verb: str) -> Callable[[models.Discount], str]:
    def sentence(discount: models.Discount) -> str:
        code = f"code {plain(discount.code, NAME_LIMIT)}" if discount.code else ""
        terms = ", ".join(filter(None, [reduction(discount), code]))
        return f"Discount {plain(discount.name, NAME_LIMIT)} was {verb}" + (f" ({terms})" if terms else "")

    return sentence


def _benefit(verb: str) -> Callable[[models.Benefit], str]:
    def sentence(benefit: models.Benefit) -> str:
        # There is no benefit.deleted: a deletion arrives as an update.
        done = "deleted" if benefit.is_deleted else verb
        return f"Benefit {benefit_name(benefit)} was {done} ({words(benefit.type)})"

    return sentence


def _organization(organization: models.Organization) -> str:
    return f"The settings of {plain(organization.name, NAME_LIMIT) or 'the organization'} were updated"


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "benefit.created": _benefit("created"),
    "benefit.updated": _benefit("updated"),
    "benefit_grant.created": _grant_created,
    "benefit_grant.cycled": _grant("renewed"),
    "benefit_grant.revoked": _grant("revoked"),
    "benefit_grant.updated": _grant("updated"),
    "checkout.created": _checkout("{who} opened a checkout for {what}"),
    "checkout.expired": _checkout("{who} left a checkout for {what} unfinished"),
    "checkout.updated": _checkout("{who}'s checkout for {what} was updated ({status})"),
    "customer.created": _customer("New customer: {who}"),
    "customer.deleted": _customer("Customer deleted: {who}"),
    "customer.state_changed": _state,
    "customer.updated": _customer("Customer updated: {who}"),
    "customer_seat.assigned": _seat_assigned,
    "customer_seat.claimed": _seat_claimed,
    "customer_seat.revoked": _seat_revoked,
    "discount.created": _discount("created"),
    "discount.deleted": _discount("deleted"),
    "discount.updated": _discount("updated"),
    "member.created": _member("added"),
    "member.deleted": _member("removed"),
    "member.updated": _member("updated"),
    "order.created": _order_created,
    "order.paid": _order_paid,
    "order.refunded": _order_refunded,
    "order.updated": _order_updated,
    "organization.updated": _organization,
    "product.created": _product("created"),
    "product.updated": _product("updated"),
    "refund.created": _refund,
    "refund.updated": _refund,
    "subscription.active": _active,
    "subscription.canceled": _canceled,
    "subscription.created": _started,
    "subscription.cycled": _cycled,
    "subscription.migrated": _migrated,
    "subscription.past_due": _past_due,
    "subscription.paused": _paused,
    "subscription.resumed": _resumed,
    "subscription.revoked": _ended,
    "subscription.uncanceled": _uncanceled,
    "subscription.updated": _subscription_updated,
}
