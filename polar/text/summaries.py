"""The summary of an event in one line of plain words, and the few facts about it that a card shows."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from polar.events import RESOURCES, Event, noun
from polar.polled import POLLED
from polar.text.words import WORDS, plain

SUMMARY_LIMIT = 200
VALUE_LIMIT = 100
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Fact:
    """One labelled value of a card; `value` is plain text of at most 100 characters, never empty."""

    label: str
    value: str


def summarise(event: Event) -> str:
    """One plain-text line of at most 200 characters on what happened; not escaped for Slack."""
    if event.resource is None:
        if event.type in RESOURCES:
            return f"Polar sent `{event.type}` with data that this version does not understand"
        return f"Polar sent `{plain(event.type, 120)}`, which this version does not know"
    if event.type in POLLED:
        return plain(POLLED[event.type].sentence(event.resource), SUMMARY_LIMIT)
    said, sentence = WORDS[noun(event.type)](event.resource), _SENTENCES[event.type]
    if not isinstance(sentence, str):
        name, with_it, without = sentence
        sentence = with_it if said[name] else without
    shown = _OPTIONAL.sub(lambda part: part[1] if said[part[2]] else "", sentence)
    return plain(shown.format_map(said), SUMMARY_LIMIT)


def facts(event: Event) -> tuple[Fact, ...]:
    """At most four facts: who, how much, for what, and the one telling detail; not escaped for Slack.

    In the order a person wants them on a phone.
    """
    if event.resource is None:
        found = [("Event", event.type), ("Problem", event.problem)]
    elif event.type in POLLED:
        found = list(POLLED[event.type].facts(event.resource))
    else:
        kind = noun(event.type)
        said = WORDS[kind](event.resource)
        found = [(label, said[name]) for label, name in (_FACTS.get(event.type) or _FACTS[kind]).items()]
    plainly = ((label, plain(value, VALUE_LIMIT)) for label, value in found)
    return tuple(Fact(label, value) for label, value in plainly if value)[:SHOWN]


# A part in brackets is left out where its word is missing.
_OPTIONAL = re.compile(r"\[([^\]]*\{(\w+)\}[^\]]*)\]")
_REFUND = (
    "succeeded",
    "{amount} was refunded ({reason}[, benefits {revoked}])",
    "A refund of {amount} {has} {status} ({reason}[, benefits {revoked}])",
)
_ENDED = "{theirs} ended[ on {ended_at}][: {reason}]"
# There is no benefit.deleted: a deletion arrives as an update.
_BENEFIT_DELETED = "Benefit {benefit} was deleted ({type})"

# By event type: one sentence, or a word, the sentence when there is one, and the sentence when there is none.
_SENTENCES: Mapping[str, str | tuple[str, str, str]] = {
    "benefit.created": ("deleted", _BENEFIT_DELETED, "Benefit {benefit} was created ({type})"),
    "benefit.updated": ("deleted", _BENEFIT_DELETED, "Benefit {benefit} was updated ({type})"),
    "benefit_grant.created": (
        "granted",
        "{user} received {access} ({benefit})",
        "{user} did not get {access} ({benefit})[: {problem}]",
    ),
    "benefit_grant.cycled": "{user}'s {access} was renewed ({benefit})",
    "benefit_grant.revoked": "{user}'s {access} was revoked ({benefit})",
    "benefit_grant.updated": "{user}'s {access} was updated ({benefit})",
    "checkout.created": "{who} opened a checkout for {product} ({price})",
    "checkout.expired": "{who} left a checkout for {product} ({price}) unfinished",
    "checkout.updated": "{who}'s checkout for {product} ({price}) was updated ({status})",
    "customer.created": "New customer: {named}",
    "customer.deleted": "Customer deleted: {named}",
    "customer.state_changed": "{who} now has {subscriptions} and {benefits}",
    "customer.updated": "Customer updated: {named}",
    "customer_seat.assigned": "{who} was given a seat[; the invitation ends {invitation_token_expires_at}]",
    "customer_seat.claimed": "{who} claimed a seat",
    "customer_seat.revoked": ("holder", "The seat of {holder} was revoked", "A seat was revoked"),
    "discount.created": "Discount {discount} was created[ ({terms})]",
    "discount.deleted": "Discount {discount} was deleted[ ({terms})]",
    "discount.updated": "Discount {discount} was updated[ ({terms})]",
    "member.created": "Team member {who} was added[ ({role})]",
    "member.deleted": "Team member {who} was removed[ ({role})]",
    "member.updated": "Team member {who} was updated[ ({role})]",
    "order.created": "{who} ordered {product} for {total} ({occasion}[, {unpaid}])",
    "order.paid": (
        "free",
        "{who} got {product} for free ({occasion})",
        "{who} paid {total} for {product} ({occasion})",
    ),
    "order.refunded": "{who} was refunded {refunded} for {product}",
    "order.updated": "{who}'s order of {product} for {total} was updated ({status})",
    "organization.updated": "The settings of {organization} were updated",
    "product.created": "Product {product} was created ({price}[, {archived}])",
    "product.updated": "Product {product} was updated ({price}[, {archived}])",
    "refund.created": _REFUND,
    "refund.updated": _REFUND,
    "subscription.active": "{theirs} is {status} ({rate})",
    "subscription.canceled": ("ended_at", _ENDED, "{who} canceled {product}[: {reason}][; ends {ends_at}]"),
    "subscription.created": (
        "trial",
        "{who} started a trial of {product}[ until {trial_end}], then {rate}",
        "{who} subscribed to {product} ({rate})",
    ),
    "subscription.cycled": "{theirs} began a new period[ until {current_period_end}] ({rate})",
    "subscription.migrated": "{theirs} was migrated to Polar ({rate})",
    "subscription.past_due": "{theirs} is past due: a payment failed ({rate})",
    "subscription.paused": "{theirs} is paused[ until {resumes_at}]",
    "subscription.resumed": "{theirs} resumed ({rate})",
    "subscription.revoked": _ENDED,
    "subscription.uncanceled": "{who} withdrew the cancellation of {product}",
    "subscription.updated": "{theirs} was updated ({notes})",
}

_SOLD = {"Customer": "contact", "Amount": "rate", "Product": "product"}
_LAST = {"Status": "status"}

# By kind of resource, or by event type where the event is about one of many dates: label and word.
_FACTS: Mapping[str, Mapping[str, str]] = {
    "benefit": {"Benefit": "benefit", "Kind": "type", "Status": "deleted"},
    "benefit_grant": {
        "Customer": "contact",
        "Benefit": "benefit",
        "Problem": "message",
        "Access": "access",
        "Member": "member",
    },
    "checkout": {"Customer": "contact", "Amount": "price", "Product": "product", "Status": "status"},
    "customer": {"Customer": "contact", "Kind": "type", "Your id": "external_id", "Deleted": "deleted_at"},
    "customer_seat": {
        "Person": "holder",
        "Seat": "status",
        "Revoked": "revoked_at",
        "Claimed": "claimed",
        "Invitation ends": "open_until",
    },
    "customer_state": {
        "Customer": "contact",
        "Subscriptions": "active",
        "Benefits": "granted",
        "Meters": "meters",
    },
    "discount": {"Discount": "name", "Value": "value", "Code": "code", "Ends": "ends_at", "Used": "used"},
    "member": {"Person": "contact", "Role": "role", "Your id": "external_id"},
    "order": {
        "Customer": "contact",
        "Amount": "total",
        "Product": "product",
        "Status": "unusual",
        "Invoice": "invoice_number",
    },
    "order.refunded": {
        "Customer": "contact",
        "Amount": "total",
        "Product": "product",
        "Refunded": "refunded",
        "Invoice": "invoice_number",
    },
    "organization": {"Organization": "name", "Status": "status", "E-mail": "email"},
    "product": {"Product": "name", "Price": "price", "Status": "status", "Benefits": "benefits"},
    "refund": {
        "Amount": "amount",
        "Reason": "reason",
        "Status": "status",
        "Dispute": "dispute",
        "Benefits": "benefits",
    },
    "subscription": _SOLD | _LAST,
    "subscription.active": _SOLD | {"Period ends": "current_period_end"} | _LAST,
    "subscription.canceled": _SOLD | {"Reason": "comment", "Ends": "ends_at"} | _LAST,
    "subscription.created": _SOLD | {"Trial ends": "trial_end"} | _LAST,
    "subscription.cycled": _SOLD | {"Period ends": "current_period_end"} | _LAST,
    "subscription.past_due": _SOLD | {"Past due since": "past_due_at"} | _LAST,
    "subscription.paused": _SOLD | {"Resumes": "resumes_at"} | _LAST,
    "subscription.resumed": _SOLD | {"Period ends": "current_period_end"} | _LAST,
    "subscription.revoked": _SOLD | {"Ended": "ended_at"} | _LAST,
    "subscription.uncanceled": _SOLD | {"Next renewal": "current_period_end"} | _LAST,
}
