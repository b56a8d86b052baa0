"""The form of a row in an answer or a webhook: with the objects that Polar nests in it."""

from collections.abc import Callable
from typing import Any

from bot.demo.polar.shop import Row, Shop

_PRODUCT_PARTS = frozenset({"prices", "benefits", "medias", "attached_custom_fields"})
_STATE_SUBSCRIPTION = (
    "id", "created_at", "modified_at", "custom_field_data", "metadata", "status", "amount", "currency",
    "recurring_interval", "current_period_start", "current_period_end", "trial_start", "trial_end",
    "cancel_at_period_end", "canceled_at", "started_at", "ends_at", "product_id", "discount_id", "price_id",
    "meters",
)  # fmt: skip
NESTED = {
    "orders": {"customer": "customers", "product": "products", "discount": "discounts"},
    "subscriptions": {"customer": "customers", "product": "products", "discount": "discounts"},
    "benefit-grants": {"customer": "customers", "member": "members", "benefit": "benefits"},
    "license-keys": {"customer": "customers"},
    "customer-seats": {"member": "members"},
}
"""The fields of a table's wire form that hold a row of another table, and that table."""

DERIVED = frozenset(
    {"user", "user_id", "subscription", "price", "product_price", "previous_properties", "refundable_amount",
     "refundable_tax_amount", "active_subscriptions", "granted_benefits", "active_meters"}
)  # fmt: skip
"""Fields of the wire that are computed: they are not stored."""


def wire(shop: Shop, table: str, row: Row) -> Row:
    """The object as Polar sends it. The nested parts are the shop's own rows: do not change them."""
    render = _RENDER.get(table)
    return render(shop, row) if render else row


def _whole(shop: Shop, table: str, row: Row) -> Row:
    nested = {name: shop.peek(other, row[f"{name}_id"]) for name, other in NESTED[table].items()}
    return {**row, **nested}


def _owned(shop: Shop, table: str, row: Row) -> Row:
    """With the customer once more, in the form of a user."""
    whole, user = _whole(shop, table, row), None
    if customer := whole["customer"]:
        name = customer["name"] or customer["email"] or "?"
        user = {
            "id": customer["id"],
            "email": customer["email"],
            "public_name": name[0],
            "avatar_url": customer["avatar_url"],
            "github_username": None,
        }
    return {**whole, "user_id": row["customer_id"], "user": user}


def _product(shop: Shop, row: Row) -> Row:
    benefits = [benefit for each in row["benefit_ids"] if (benefit := shop.peek("benefits", each))]
    return {**{k: v for k, v in row.items() if k != "benefit_ids"}, "benefits": benefits}


def _product_summary(row: Row | None) -> Row | None:
    return row and {k: v for k, v in row.items() if k not in _PRODUCT_PARTS and k != "benefit_ids"}


def _order(shop: Shop, row: Row) -> Row:
    whole = _owned(shop, "orders", row)
    subscription = shop.peek("subscriptions", row["subscription_id"])
    return {
        **whole,
        "product": _product_summary(whole["product"]),
        "product_price": None,
        "subscription": subscription and {k: v for k, v in subscription.items() if k != "prices"},
        "refundable_amount": row["net_amount"] + row["applied_balance_amount"] - row["refunded_amount"],
        "refundable_tax_amount": row["tax_amount"] - row["refunded_tax_amount"],
    }


def _subscription(shop: Shop, row: Row) -> Row:
    whole = _owned(shop, "subscriptions", row)
    product = whole["product"] and _product(shop, whole["product"])
    return {**whole, "product": product, "price": row["prices"][0] if row["prices"] else None}


def _grant(shop: Shop, row: Row) -> Row:
    return {**_whole(shop, "benefit-grants", row), "user_id": row["customer_id"]}


def grant_event(shop: Shop, row: Row, previous: dict[str, Any]) -> Row:
    """A benefit grant as webhooks carry it: with `previous_properties`, which no answer has."""
    return {**_grant(shop, row), "previous_properties": previous}


def _checkout_link(shop: Shop, row: Row) -> Row:
    products = [_product(shop, each) for key in row["product_ids"] if (each := shop.peek("products", key))]
    first = products[0] if products else None
    return {
        **{k: v for k, v in row.items() if k not in {"product_ids", "deleted_at"}},
        "products": products,
        "product_id": first and first["id"],
        "product": first,
        "discount": shop.peek("discounts", row["discount_id"]),
    }


def _checkout(shop: Shop, row: Row) -> Row:
    product = shop.peek("products", row["product_id"])
    shown = product and _product(shop, product)
    return {
        **row,
        "products": [shown] if shown else [],
        "product": shown,
        "product_price": shown["prices"][0] if shown and shown["prices"] else None,
        "discount": shop.peek("discounts", row["discount_id"]),
    }


def customer_state(shop: Shop, customer: Row) -> Row:
    """The snapshot of customer.state_changed: the active subscriptions and the granted benefits."""
    customer_id = customer["id"]
    active = [
        {name: each[name] for name in _STATE_SUBSCRIPTION}
        for each in shop.rows("subscriptions", customer_id=customer_id)
        if each["status"] in {"active", "trialing"}
    ]
    granted = [
        _state_grant(shop, each)
        for each in shop.rows("benefit-grants", customer_id=customer_id)
        if each["is_granted"]
    ]
    return {**customer, "active_subscriptions": active, "granted_benefits": granted, "active_meters": []}


def _state_grant(shop: Shop, grant: Row) -> Row:
    benefit = shop.tables["benefits"][grant["benefit_id"]]
    parts = ("id", "created_at", "modified_at", "granted_at", "benefit_id", "properties")
    return {
        **{name: grant[name] for name in parts},
        "benefit_type": benefit["type"],
        "benefit_metadata": benefit["metadata"],
    }


_RENDER: dict[str, Callable[[Shop, Row], Row]] = {
    "products": _product,
    "orders": _order,
    "subscriptions": _subscription,
    "benefit-grants": _grant,
    "license-keys": lambda shop, row: _owned(shop, "license-keys", row),
    "customer-seats": lambda shop, row: _whole(shop, "customer-seats", row),
    "checkout-links": _checkout_link,
    "checkouts": _checkout,
}
