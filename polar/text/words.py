"""Polar's values in plain words: people, prices, dates, enumerations.

Text that customers type is made one harmless line; escaping it for Slack is the card's job.
"""

from datetime import datetime

from polar import models
from polar.text.money import format_money

NAME_LIMIT = 60
"""Characters of one name in a sentence: two long names still leave room for what happened."""

_EVERY = {"day": "a day", "week": "a week", "month": "a month", "year": "a year"}

# Scripts such as Persian and Hindi, and joined emoji, need these two; all other invisible characters go.
_JOINERS = "\u200c\u200d"


def plain(text: str | None, limit: int) -> str:
    """One line of visible characters, at most `limit` of them; "" for None.

    Line breaks, control and direction-changing characters become spaces, and runs of spaces one space.
    """
    # Cut before the slow part: a megabyte in a name must not cost a second.
    visible = "".join(c if c.isprintable() or c in _JOINERS else " " for c in (text or "")[: limit * 4])
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def words(value: str | None) -> str:
    """A member of one of Polar's enumerations as words: `past_due` is "past due"."""
    return plain(value, NAME_LIMIT).replace("_", " ")


def day(moment: datetime) -> str:
    """The UTC date: "21 Dec 2026"."""
    return f"{moment.day} {moment:%b} {moment.year}"


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


def holder(seat: models.CustomerSeat) -> str:
    """The holder of the seat, now or before, else ""; a revoked seat names nobody for certain."""
    member = seat.member
    email = seat.email or (member.email if member else None) or seat.customer_email
    return contact(member.name if member else None, email)


def grantee(grant: models.AnyGrant) -> str:
    """The person who uses the benefit: in a team the member, who need not be the one who pays."""
    member, customer = grant.member, grant.customer
    if member and not (customer and customer.email == member.email):
        return person(member)
    return person(customer)


def access(grant: models.AnyGrant) -> str:
    """The benefit of the grant, as a singular noun: "license key ****-67B947", "Discord role"."""
    match grant.properties:
        case models.LicenseKeysProperties(display_key=str(key)):
            return f"license key {plain(key, NAME_LIMIT)}"
        case models.GitHubRepositoryProperties(repository_owner=str(owner), repository_name=str(name)):
            return f"GitHub access to {plain(owner, 40)}/{plain(name, 40)}"
    kind = grant.benefit.type if grant.benefit else ""
    return _ACCESS.get(kind, "benefit")


_ACCESS = {
    "discord": "Discord role",
    "downloadables": "download",
    "feature_flag": "feature",
    "github_repository": "GitHub access",
    "license_keys": "license key",
    "meter_credit": "meter credit",
    "slack_shared_channel": "Slack channel",
}


def product_name(product: models.Product | None, otherwise: str | None = None) -> str:
    """The product's name, else `otherwise`, else "a product"."""
    return plain(product.name if product else None, NAME_LIMIT) or plain(otherwise, NAME_LIMIT) or "a product"


def benefit_name(benefit: models.Benefit | None) -> str:
    """The merchant's name for the benefit, else its type."""
    if benefit is None:
        return "a benefit"
    return plain(benefit.description, NAME_LIMIT) or words(benefit.type) or "a benefit"


def total(order: models.Order) -> str:
    """The amount that the customer was asked for, with tax."""
    return format_money(order.total_amount, order.currency)


def refunded(order: models.Order) -> str:
    """The amount that the customer got back so far, with tax: "$9.00 of $29.00", or "all of $29.00"."""
    amount = format_money(order.refunded_amount + order.refunded_tax_amount, order.currency)
    return f"all of {amount}" if order.status == "refunded" else f"{amount} of {total(order)}"


def given_back(refund: models.Refund) -> str:
    """The amount that the customer receives from this refund, with tax."""
    return format_money(refund.amount + refund.tax_amount, refund.currency)


def rate(subscription: models.Subscription) -> str:
    """The price for each period, after discount and before tax: "$29.00 a month", "free"."""
    if subscription.amount == 0:
        return "free"
    every = _period(subscription.recurring_interval, subscription.recurring_interval_count)
    return f"{format_money(subscription.amount, subscription.currency)} {every}".rstrip()


def cancellation_reason(subscription: models.Subscription) -> str:
    """The customer's reason for canceling, as chosen from Polar's list: "too expensive"; "" when not said."""
    reason = subscription.customer_cancellation_reason
    return "other reason" if reason == "other" else words(reason)


def list_price(product: models.Product) -> str:
    """The price of a product, by its first price in use: "$29.00 a month", "free", "metered", "no price"."""
    price = next((one for one in product.prices if not one.is_archived), None)
    if price is None:
        return "no price"
    amount = _price(price)
    every = _period(product.recurring_interval, product.recurring_interval_count)
    return amount if amount == "free" else f"{amount} {every}".rstrip()


def reduction(discount: models.Discount) -> str:
    """The reduction of a discount: "12.5% off", "$5.00 off", "$5.00 or €4.00 off"; "" when unknown."""
    if discount.basis_points is not None:
        whole, hundredths = divmod(discount.basis_points, 100)
        return f"{whole}.{hundredths:02}".rstrip("0").rstrip(".") + "% off"
    amounts = [format_money(amount, code) for code, amount in (discount.amounts or {}).items()]
    return f"{' or '.join(amounts[:2])}{' …' if len(amounts) > 2 else ''} off" if amounts else ""


def _period(interval: str | None, count: int | None) -> str:
    if not interval:
        return ""
    if count is not None and count > 1:
        return f"every {count} {words(interval)}s"
    return _EVERY.get(interval) or f"per {words(interval)}"


def _price(price: models.ProductPrice) -> str:
    currency = price.price_currency or ""
    if price.amount_type == "seat_based" and price.seat_tiers and price.seat_tiers.tiers:
        return f"{format_money(price.seat_tiers.tiers[0].price_per_seat, currency)} a seat"
    if price.amount_type == "custom":
        return "pay what you want"
    if price.amount_type == "metered_unit":
        return "metered"
    if price.price_amount is None:
        return words(price.amount_type)
    return format_money(price.price_amount, currency) if price.price_amount else "free"
