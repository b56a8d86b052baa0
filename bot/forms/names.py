"""The operations a person may propose, the names of their fields, and the objects that fields name. Pure."""

from collections.abc import Mapping
from functools import cache

from polar.catalog import Operation, Parameter, operations

# Amounts in the smallest unit of a currency.
MONEY = frozenset(
    {"amount", "price_amount", "minimum_amount", "maximum_amount", "preset_amount", "cap_amount"}
    | {"price_per_seat", "auto_accept_below_amount"}
)
CURRENCY = ("currency", "price_currency")
# An amount whose currency the contract fixes ("in USD cents"), as `Leaf.currency` has it.
FIXED_CURRENCY: Mapping[str, str] = {"auto_accept_below_amount": "=usd"}
# An amount in the currency of an object that is there: the read, and the field that names the object.
OBJECT_CURRENCY: Mapping[str, tuple[str, str]] = {
    "refunds:create": ("orders:get", "body.order_id"),
    "checkouts:update": ("checkouts:get", "path.id"),
}
# The fields that name the subject. Another subject is another proposal, so an edit does not ask for it.
ABOUT = frozenset(
    {"customer_id", "external_customer_id", "external_member_id", "member_id", "order_id", "seat_id"}
    | {"subscription_id"}
)
# A field of one operation that needs other words than its name.
OWN_LABELS: Mapping[str, Mapping[str, str]] = {"refunds:create": {"body.amount": "Amount before tax"}}
# Facts for the approver that the form does not show.
NOTES: Mapping[str, str] = {
    "refunds:create": "Polar returns the tax in proportion on top of the amount; its fees are not returned."
}
# The patterns of the contract, which the catalog does not keep: each pattern and its words.
PATTERNS: Mapping[str, tuple[str, str]] = {
    "slug": (r"[a-z0-9_-]+", "Write small letters, digits, - and _ only."),
}
LONG = frozenset(
    {"description", "comment", "note", "welcome_message", "customer_cancellation_comment", "about"}
)
# A field that must repeat what the path says.
REPEATS: Mapping[str, Mapping[str, str]] = {"files:uploaded": {"id": "path.id"}}

# The objects that a field names: `custom_field_id` names one of "custom fields".
_NAMED_BY_ID = (
    *("benefit", "custom field", "customer", "discount", "member", "meter", "order", "organization"),
    *("payment method", "product", "seat", "subscription"),
)
SOURCES: Mapping[str, str] = {f"{name.replace(' ', '_')}_id": f"{name}s" for name in _NAMED_BY_ID} | {
    "benefits": "benefits",
    "external_customer_id": "your customers",
    "external_member_id": "your members",
    "files": "files",
    "medias": "files",
    "member_external_id": "your members",
    "product_price_id": "prices",
    "products": "products",
}
# What a search takes of other answers: by source, its query parameters with the questions that they take.
LIMITS: Mapping[str, Mapping[str, str]] = {
    "members": {"customer_id": "path.id"},
    "payment methods": {"order": "path.id"},
    "your members": {"external_customer_id": "path.external_id"},
}
# The object that `{id}` in a path names: (what the path begins with, the source, its singular).
_IN_A_PATH = (
    *("benefit", "checkout link", "checkout", "custom field", "customer", "discount", "dispute", "file"),
    *("license key", "meter", "order", "organization", "product", "subscription"),
)
PATHS: tuple[tuple[str, str, str], ...] = (
    ("/v1/webhooks/events/", "webhook events", "Webhook event"),
    ("/v1/webhooks/endpoints/", "endpoints", "Webhook endpoint"),
    ("/v1/customers/external/", "your customers", "Customer"),
    ("/v1/event-types/", "event types", "Type of event"),
    ("/v1/metrics/dashboards/", "dashboards", "Dashboard"),
    *((f"/v1/{name.replace(' ', '-')}s/", f"{name}s", name.capitalize()) for name in _IN_A_PATH),
)

_LABELS: Mapping[str, str] = {
    "amounts": "Amount off in each currency",
    "basis_points": "Percent off",
    "customer_id": "Customer",
    "external_customer_id": "Customer, by your own id",
    "external_member_id": "Member, by your own id",
    "member_external_id": "Member, by your own id",
    "func": "Function",
    "ge": "At least",
    "le": "At most",
    "limit": "Limit",
    "meta": "Metadata",
    "note": "Note",
    "ttl": "Valid for",
    "timeframe": "Unit of time",
    "url": "URL",
}


def label(name: str) -> str:
    """A field's name in words: `order_id` is "Order", `customer_tax_id` "Customer tax id"."""
    if name in _LABELS:
        return _LABELS[name]
    if name in SOURCES and name.endswith("_id"):
        name = name.removesuffix("_id")
    return name.strip("_").replace("_", " ").capitalize()


def path_source(operation: Operation, parameter: Parameter) -> tuple[str, str]:
    """The source of the object that a path parameter names, and its label."""
    if parameter.name in SOURCES:
        return SOURCES[parameter.name], label(parameter.name)
    for start, source, singular in PATHS:
        if operation.path.startswith(start):
            return source, singular
    return "", label(parameter.name)


# --- Operations -------------------------------------------------------------------------------------------

MOST_SHOWN = 100  # Slack's limit of options, groups together or not


@cache
def proposable() -> tuple[Operation, ...]:
    """Every operation that changes something and that our token may call, by family, then title."""
    found = (one for one in operations().values() if one.is_write and one.refused is None)
    return tuple(sorted(found, key=lambda one: (family(one), title(one))))


def family(operation: Operation) -> str:
    """The family of an operation, in words: `customer-seats:assign_seat` is of "Customer seats"."""
    return operation.id.partition(":")[0].replace("-", " ").replace("_", " ").capitalize()


def title(operation: Operation) -> str:
    """Its title, told apart from its twin that takes the merchant's own id."""
    return operation.title + (" (by your own id)" if "external" in operation.path else "")


def search(words: str) -> list[Operation]:
    """The operations that have every word in their title, id, path or family; all for no words.

    Those whose title has the words come first.
    """
    wanted = words.lower().split()
    found = [one for one in proposable() if all(word in _text(one) for word in wanted)]
    return sorted(found, key=lambda one: sum(word not in title(one).lower() for word in wanted))[:MOST_SHOWN]


def _text(one: Operation) -> str:
    return (
        f"{title(one)} {one.id} {one.id.replace('_', ' ').replace('-', ' ')} {one.path} {family(one)}".lower()
    )
