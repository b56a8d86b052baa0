"""Polar's values in plain words: amounts of money, people, dates, enumerations, and every kind of resource.

Text that customers type is made one harmless line; escaping it for Slack is the card's job.
"""

import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from polar import grants, models

# Polar stores these without a fraction and every other currency in hundredths, also where usage differs (huf,
# isk, ugx, twd). Three-decimal currencies are not offered. Source: Polar's own formatting rule.
ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)

# Only what cannot be mistaken: no other dollar shows as a bare "$", nor the yuan as a bare "¥".
SYMBOLS = {
    "aud": "A$",
    "brl": "R$",
    "cad": "CA$",
    "cny": "CN¥",
    "eur": "€",
    "gbp": "£",
    "hkd": "HK$",
    "ils": "₪",
    "inr": "₹",
    "jpy": "¥",
    "krw": "₩",
    "mxn": "MX$",
    "ngn": "₦",
    "nzd": "NZ$",
    "php": "₱",
    "sgd": "S$",
    "twd": "NT$",
    "usd": "$",
    "vnd": "₫",
}

NAME_LIMIT = 60
"""Characters of one name in a sentence: two long names still leave room for what happened."""

# Scripts such as Persian and Hindi, and joined emoji, need these two; all other invisible characters go.
_JOINERS = "\u200c\u200d"


def format_money(minor: int, currency: str) -> str:
    """An amount with its currency: `$29.00`, `¥2,900`, `CHF 29.00`, `-$3.00`.

    `minor` is in the currency's smallest unit as Polar counts it, `currency` a three-letter ISO code in
    either case. Text that is no such code is not repeated, because it could say anything.
    """
    code = currency.lower()
    sign = "-" if minor < 0 else ""
    whole, fraction = divmod(abs(minor), 100)
    number = f"{abs(minor):,}" if code in ZERO_DECIMAL else f"{whole:,}.{fraction:02}"
    if code in SYMBOLS:
        return f"{sign}{SYMBOLS[code]}{number}"
    if len(code) == 3 and code.isascii() and code.isalpha():
        return f"{sign}{code.upper()} {number}"
    return f"{sign}{number} (unknown currency)"


def plain(text: str | None, limit: int) -> str:
    """One line of visible characters, at most `limit` of them; "" for None.

    Line breaks, control and direction-changing characters become spaces, and runs of spaces one space.
    """
    # Cut before the slow part: a megabyte in a name must not cost a second.
    visible = "".join(c if c.isprintable() or c in _JOINERS else " " for c in (text or "")[: limit * 4])
    return _one_line(visible, limit)


def clean(text: str, limit: int) -> str:
    """`text` on one line, at most `limit` characters, without invisible or reordering characters.

    Control, format (zero-width and bidirectional marks), surrogate, private and unassigned characters go:
    they can hide text, turn its order around or fail to encode.
    """
    if (start := text[: limit * 4]).isprintable():  # nearly always: nothing of that is in it
        return _one_line(start, limit)
    spaced = (" " if char.isspace() else char for char in start)
    return _one_line("".join(char for char in spaced if unicodedata.category(char)[0] != "C"), limit)


def _one_line(text: str, limit: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def words(value: str | None) -> str:
    """A member of one of Polar's enumerations as words: `past_due` is "past due"."""
    return plain(value, NAME_LIMIT).replace("_", " ")


def day(moment: datetime | None) -> str:
    """The UTC date: "21 Dec 2026"; "" for None."""
    return f"{moment.day} {moment:%b} {moment.year}" if moment else ""


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 benefit", "2 benefits", "no benefits"."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def person(someone: models.Customer | models.Member | None) -> str:
    """Name, else e-mail, else "A customer"; to begin a sentence."""
    if someone is None:
        return "A customer"
    return plain(someone.name, NAME_LIMIT) or plain(someone.email, NAME_LIMIT) or "A customer"


def contact(name: str | None, email: str | None) -> str:
    """Name and e-mail as far as known, else "". The name is cut first: the e-mail is what identifies."""
    shown_name, shown_email = plain(name, 30), plain(email, NAME_LIMIT)
    return f"{shown_name} ({shown_email})" if shown_name and shown_email else shown_name or shown_email


def rate(subscription: models.Subscription) -> str:
    """The price for each period, after discount and before tax: "$29.00 a month", "free"."""
    amount = format_money(subscription.amount, subscription.currency) if subscription.amount else "free"
    return _each(amount, subscription.recurring_interval, subscription.recurring_interval_count)


def list_price(product: models.Product) -> str:
    """The price of a product, by its first price in use: "$29.00 a month", "free", "metered", "no price"."""
    price = next((one for one in product.prices if not one.is_archived), None)
    if price is None:
        return "no price"
    currency = price.price_currency or ""
    if price.amount_type == "seat_based" and price.seat_tiers and price.seat_tiers.tiers:
        amount = f"{format_money(price.seat_tiers.tiers[0].price_per_seat, currency)} a seat"
    elif price.amount_type in _WITHOUT_AMOUNT or price.price_amount is None:
        amount = _WITHOUT_AMOUNT.get(price.amount_type) or words(price.amount_type)
    else:
        amount = format_money(price.price_amount, currency) if price.price_amount else "free"
    return _each(amount, product.recurring_interval, product.recurring_interval_count)


_WITHOUT_AMOUNT = {"custom": "pay what you want", "metered_unit": "metered"}


def _each(amount: str, interval: str | None, count: int | None) -> str:
    """A price with the period it is for: "$29.00 a month", "$29.00 every 3 months"."""
    if not interval or amount == "free":
        return amount
    if count is not None and count > 1:
        return f"{amount} every {count} {words(interval)}s"
    return f"{amount} {'a' if interval in ('day', 'week', 'month', 'year') else 'per'} {words(interval)}"


def reduction(discount: models.Discount) -> str:
    """The reduction of a discount: "12.5% off", "$5.00 off", "$5.00 or €4.00 off"; "" when unknown."""
    if discount.basis_points is not None:
        whole, hundredths = divmod(discount.basis_points, 100)
        return f"{whole}.{hundredths:02}".rstrip("0").rstrip(".") + "% off"
    amounts = [format_money(amount, code) for code, amount in (discount.amounts or {}).items()]
    return f"{' or '.join(amounts[:2])}{' …' if len(amounts) > 2 else ''} off" if amounts else ""


# -- The words about each kind of resource, by the names that sentences and facts use. -----------------------

Words = Mapping[str, str | None]

_BILLING_REASONS = {
    "purchase": "one-time purchase",
    "subscription_create": "new subscription",
    "subscription_cycle": "renewal",
    "subscription_meter_cycle": "usage",
    "subscription_update": "plan change",
}


def _order(order: models.Order) -> Words:
    total = format_money(order.total_amount, order.currency)
    back = format_money(order.refunded_amount + order.refunded_tax_amount, order.currency)
    return _own(order, order.customer) | {
        "product": _product_name(order.product, order.description),
        "total": total,  # what the customer was asked for, with tax
        "free": None if order.total_amount else "free",
        "refunded": f"all of {back}" if order.status == "refunded" else f"{back} of {total}",  # so far
        "occasion": _BILLING_REASONS.get(order.billing_reason) or words(order.billing_reason),
        "unpaid": None if order.paid else words(order.status),
        "unusual": None if order.status == "paid" else words(order.status),
    }


def _subscription(subscription: models.Subscription) -> Words:
    product = _product_name(subscription.product)
    # As the customer chose it from Polar's list.
    reason = words(subscription.customer_cancellation_reason)
    reason = "other reason" if reason == "other" else reason
    comment = subscription.customer_cancellation_comment
    # An update is usually about what is scheduled.
    notes = [words(subscription.status)]
    if subscription.cancel_at_period_end:
        notes.append(f"ends {day(subscription.ends_at)}" if subscription.ends_at else "will end")
    notes += ["will pause"] if subscription.pause_at_period_end else []
    notes += ["a change is waiting"] if subscription.pending_update else []
    return _own(subscription, subscription.customer) | {
        "product": product,
        "theirs": f"{person(subscription.customer)}'s subscription to {product}",
        "rate": rate(subscription),
        "trial": "trial" if subscription.status == "trialing" else None,
        "notes": ", ".join(notes),
        "reason": reason,
        "comment": f"{reason}: {comment}" if reason and comment else reason,
    }


def _refund(refund: models.Refund) -> Words:
    received = refund.amount + refund.tax_amount
    return _own(refund) | {
        "amount": format_money(received, refund.currency),
        "succeeded": "succeeded" if refund.status == "succeeded" else None,
        "has": "has" if refund.status == "failed" else "is",
        "dispute": words(refund.dispute.status) if refund.dispute else None,
        "revoked": "revoked" if refund.revoke_benefits else None,
        "benefits": "revoked" if refund.revoke_benefits else "kept",
    }


def _checkout(checkout: models.Checkout) -> Words:
    name, email = checkout.customer_name, checkout.customer_email
    return _own(checkout) | {
        "who": plain(name, NAME_LIMIT) or plain(email, NAME_LIMIT) or "Someone",
        "contact": contact(name, email),
        "product": _product_name(checkout.product),
        "price": format_money(checkout.total_amount, checkout.currency),
    }


def _customer(customer: models.Customer) -> Words:
    named = contact(customer.name, customer.email) or "no name or e-mail"
    return _own(customer, customer) | {"named": named}


def _customer_state(state: models.CustomerState) -> Words:
    subscriptions, benefits = len(state.active_subscriptions), len(state.granted_benefits)
    return _own(state, state) | {
        "subscriptions": counted(subscriptions, "active subscription"),
        "benefits": counted(benefits, "benefit"),
        "active": f"{subscriptions} active",
        "granted": str(benefits),
        "meters": str(len(state.active_meters) or ""),
    }


def _customer_seat(seat: models.CustomerSeat) -> Words:
    # Its holder now or before; a revoked seat names nobody for certain.
    member = seat.member
    email = seat.email or (member.email if member else None) or seat.customer_email
    holder = contact(member.name if member else None, email)
    expires = day(seat.invitation_token_expires_at)
    return _own(seat) | {
        "holder": holder,
        "who": holder or "Someone",
        "claimed": None if seat.revoked_at else day(seat.claimed_at),
        "open_until": None if seat.revoked_at or seat.claimed_at else expires,
    }


def _member(member: models.Member) -> Words:
    known = contact(member.name, member.email)
    return _own(member) | {"contact": known, "who": known or "without a name"}


def _benefit_grant(grant: grants.AnyGrant) -> Words:
    member, customer = grant.member, grant.customer
    email = customer.email if customer else None
    return _own(grant, customer) | {
        # In a team the member uses the benefit, who need not be the one who pays.
        "user": person(customer if member is None or (customer and email == member.email) else member),
        "access": _access(grant),
        "benefit": _benefit_name(grant.benefit) if grant.benefit else "a benefit",
        "granted": "granted" if grant.is_granted else None,
        "problem": plain(grant.error.message, NAME_LIMIT) if grant.error else None,
        "message": grant.error.message if grant.error else None,
        "member": contact(member.name, member.email) if member and member.email != email else None,
    }


def _access(grant: grants.AnyGrant) -> str:
    """The benefit of the grant, as a singular noun: "license key ****-67B947", "Discord role"."""
    match grant.properties:
        case grants.LicenseKeysProperties(display_key=str(key)):
            return f"license key {plain(key, NAME_LIMIT)}"
        case grants.GitHubRepositoryProperties(repository_owner=str(owner), repository_name=str(name)):
            return f"GitHub access to {plain(owner, 40)}/{plain(name, 40)}"
    return _ACCESS.get(grant.benefit.type if grant.benefit else "", "benefit")


_ACCESS = {
    "discord": "Discord role",
    "downloadables": "download",
    "feature_flag": "feature",
    "github_repository": "GitHub access",
    "license_keys": "license key",
    "meter_credit": "meter credit",
    "slack_shared_channel": "Slack channel",
}


def _product(product: models.Product) -> Words:
    return _own(product) | {
        "product": _product_name(product),
        "price": list_price(product),
        "archived": "archived" if product.is_archived else None,
        "status": "archived" if product.is_archived else words(product.visibility),
        "benefits": str(len(product.benefits)),
    }


def _discount(discount: models.Discount) -> Words:
    code = f"code {plain(discount.code, NAME_LIMIT)}" if discount.code else ""
    return _own(discount) | {
        "discount": plain(discount.name, NAME_LIMIT),
        "terms": ", ".join(filter(None, [reduction(discount), code])),
        "value": reduction(discount),
        "used": f"{discount.redemptions_count or 0} times",
    }


def _benefit(benefit: models.Benefit) -> Words:
    deleted = "deleted" if benefit.is_deleted else None
    return _own(benefit) | {"benefit": _benefit_name(benefit), "deleted": deleted}


def _organization(organization: models.Organization) -> Words:
    return _own(organization) | {"organization": plain(organization.name, NAME_LIMIT) or "the organization"}


_ENUMERATIONS = ("reason", "role", "status", "type")


def _own(resource: models.Resource, customer: models.Customer | None = None) -> dict[str, str | None]:
    """Its texts and dates by the names of their fields, and its customer."""
    found: dict[str, str | None] = {"who": person(customer)}
    found["contact"] = contact(customer.name, customer.email) if customer else None
    for name, value in resource:
        if isinstance(value, str):
            found[name] = words(value) if name in _ENUMERATIONS else value
        elif value is None or isinstance(value, datetime):
            found[name] = day(value)
    return found


def _product_name(product: models.Product | None, otherwise: str | None = None) -> str:
    return plain(product.name if product else None, NAME_LIMIT) or plain(otherwise, NAME_LIMIT) or "a product"


def _benefit_name(benefit: models.Benefit) -> str:
    """The merchant's name for the benefit, else its type."""
    return plain(benefit.description, NAME_LIMIT) or words(benefit.type) or "a benefit"


WORDS: Mapping[str, Callable[[Any], Words]] = {
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
"""The words about a resource, by its kind of subject; None or "" for what it does not have."""
