"""Fills the shop: whole objects made from a few facts, and the objects in Polar's recorded deliveries."""

import hashlib
import json
from functools import cache
from typing import Any

from bot.demo.polar.call import RECORDED
from bot.demo.polar.shop import DERIVED, NESTED, Row, Shop, Told

_TABLE_OF_EVENT = {
    "product": "products", "benefit": "benefits", "member": "members", "subscription": "subscriptions",
    "customer": "customers", "discount": "discounts", "benefit_grant": "benefit-grants",
    "customer_seat": "customer-seats", "order": "orders", "refund": "refunds", "checkout": "checkouts",
}  # fmt: skip
_LATE_PRODUCT: Row = {"prices": [], "medias": [], "attached_custom_fields": [], "benefit_ids": []}


def add_customer(shop: Shop, name: str | None, email: str, *, address: Row | None = None, **more: Any) -> Row:
    """A customer and the member who owns the account. `address` is a billing address as Polar has it."""
    digest = hashlib.sha256(email.encode(errors="replace")).hexdigest()
    fields: Row = {
        "metadata": {}, "external_id": None, "email": email, "email_verified": False, "type": "individual",
        "name": name, "billing_name": name, "billing_address": address, "tax_id": None, "locale": None,
        "organization_id": shop.organization_id, "default_payment_method_id": None, "deleted_at": None,
        "first_user_event_at": None, "avatar_url": f"https://www.gravatar.com/avatar/{digest}?d=404",
    }  # fmt: skip
    customer = shop.add("customers", **{**fields, **more})
    shop.add(
        "members", customer_id=customer["id"], email=email, name=name, external_id=customer["external_id"],
        role="owner",
    )  # fmt: skip
    return customer


def add_license_benefit(shop: Shop, description: str, prefix: str) -> Row:
    """A license-key benefit: three devices, a hundred uses."""
    return shop.add(
        "benefits",
        type="license_keys", description=description, selectable=True, deletable=True, is_deleted=False,
        organization_id=shop.organization_id, metadata={}, visibility="public", visibility_configurable=True,
        properties={"prefix": prefix, "expires": None, "limit_usage": 100,
                    "activations": {"limit": 3, "enable_customer_admin": True}},
    )  # fmt: skip


def add_product(
    shop: Shop,
    name: str,
    amount: int,
    currency: str = "usd",
    *,
    every: str | None = None,
    benefits: tuple[Row, ...] = (),
) -> Row:
    """A product with one fixed price in the currency's smallest unit; `every` (month, year) if it recurs."""
    product_id = shop.new_id()
    price: Row = {
        "created_at": shop.now(), "modified_at": None, "id": shop.new_id(), "source": "catalog",
        "amount_type": "fixed", "price_currency": currency, "tax_behavior": None, "is_archived": False,
        "product_id": product_id, "type": "recurring" if every else "one_time", "recurring_interval": every,
        "price_amount": amount,
    }  # fmt: skip
    return shop.add(
        "products",
        id=product_id, trial_interval=None, trial_interval_count=None, name=name, description=None,
        visibility="public", recurring_interval=every, recurring_interval_count=1 if every else None,
        meter_interval=None, meter_interval_count=None, is_recurring=every is not None, is_archived=False,
        organization_id=shop.organization_id, metadata={}, prices=[price], medias=[],
        attached_custom_fields=[], benefit_ids=[each["id"] for each in benefits],
    )  # fmt: skip


def add_order(shop: Shop, customer: Row, product: Row, *, tax: int = 0, **more: Any) -> Row:
    """A paid order of the product at its price, with the customer's billing details. `tax` in minor units."""
    price = product["prices"][0]
    net = price["price_amount"]
    item: Row = {
        "created_at": shop.now(), "modified_at": None, "id": shop.new_id(), "label": product["name"],
        "amount": net, "tax_amount": tax, "proration": False, "product_price_id": price["id"],
    }  # fmt: skip
    fields: Row = {
        "status": "paid", "paid": True, "subtotal_amount": net, "discount_amount": 0, "net_amount": net,
        "tax_amount": tax, "total_amount": net + tax, "applied_balance_amount": 0, "due_amount": net + tax,
        "refunded_amount": 0, "refunded_tax_amount": 0, "currency": price["price_currency"],
        "billing_reason": "purchase", "billing_name": customer["billing_name"],
        "billing_address": customer["billing_address"], "invoice_number": _invoice_number(shop),
        "is_invoice_generated": False, "receipt_number": None, "seats": None, "units": None,
        "customer_id": customer["id"], "product_id": product["id"], "product_price_id": price["id"],
        "discount_id": None, "subscription_id": None, "checkout_id": None, "next_payment_attempt_at": None,
        "metadata": {}, "custom_field_data": {}, "platform_fee_amount": 0, "platform_fee_currency": None,
        "items": [item], "description": product["name"], "amount": net, "from_balance_amount": 0,
    }  # fmt: skip
    return shop.add("orders", **{**fields, **more})


def add_subscription(shop: Shop, customer: Row, product: Row, **more: Any) -> Row:
    """An active subscription in its first month."""
    price = product["prices"][0]
    fields: Row = {
        "amount": price["price_amount"], "currency": price["price_currency"],
        "recurring_interval": product["recurring_interval"], "recurring_interval_count": 1,
        "status": "active",
        "current_period_start": shop.now(), "current_period_end": shop.now(days=30),
        "current_meter_period_start": None, "current_meter_period_end": None, "trial_start": None,
        "trial_end": None, "cancel_at_period_end": False, "canceled_at": None, "started_at": shop.now(),
        "ends_at": None, "ended_at": None, "past_due_at": None, "pause_at_period_end": False,
        "paused_at": None, "resumes_at": None, "customer_id": customer["id"], "product_id": product["id"],
        "discount_id": None, "checkout_id": None, "seats": None, "units": None,
        "customer_cancellation_reason": None, "customer_cancellation_comment": None, "price_id": price["id"],
        "metadata": {}, "custom_field_data": {}, "prices": product["prices"], "meters": [],
        "pending_update": None,
    }  # fmt: skip
    return shop.add("subscriptions", **{**fields, **more})


def add_grant(shop: Shop, source: Row, benefit: Row, *, member: Row | None = None) -> tuple[Row, Row]:
    """A granted license-key benefit of an order or subscription, and its key: (grant, key)."""
    customer_id = source["customer_id"]
    member = member or next(shop.rows("members", customer_id=customer_id))
    order = "billing_reason" in source
    key = _add_key(shop, customer_id, benefit)
    grant = shop.add(
        "benefit-grants",
        granted_at=shop.now(), is_granted=True, revoked_at=None, is_revoked=False,
        subscription_id=None if order else source["id"], order_id=source["id"] if order else None,
        customer_id=customer_id, member_id=member["id"], benefit_id=benefit["id"], error=None,
        properties={"license_key_id": key["id"], "display_key": key["display_key"]},
    )  # fmt: skip
    return grant, key


def _add_key(shop: Shop, customer_id: str, benefit: Row) -> Row:
    properties = benefit["properties"]
    written = f"{properties['prefix']}-{shop.new_id().upper()}"
    return shop.add(
        "license-keys",
        organization_id=shop.organization_id, customer_id=customer_id, benefit_id=benefit["id"], key=written,
        display_key=f"****-{written[-6:]}", status="granted",
        limit_activations=properties["activations"]["limit"], usage=0, limit_usage=properties["limit_usage"],
        validations=0, last_validated_at=None, expires_at=None,
    )  # fmt: skip


def _invoice_number(shop: Shop) -> str:
    return "INV-" + "".join(shop.random.choices("ABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=6))


@cache
def deliveries() -> tuple[Told, ...]:
    """The 28 recorded deliveries, one of each type, in the order they came."""
    lines = (RECORDED / "deliveries.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Told(each["type"], each["body"].encode()) for each in map(json.loads, lines))


def load_recorded(shop: Shop) -> None:
    """Put the organization and every recorded object into the state, as last shown.

    The organization is made up; its id is the one that the deliveries were recorded in.
    """
    objects = json.loads((RECORDED / "objects.json").read_text(encoding="utf-8"))
    shop.put("organizations", objects["organization"])
    absorb(shop, "license-keys", objects["license_key"])
    for each in deliveries():
        load_delivery(shop, each)


def load_delivery(shop: Shop, delivery: Told) -> None:
    """Make the state what it was when this event was told, so that reads agree with it."""
    event_type, data = delivery.type, json.loads(delivery.payload)["data"]
    row = absorb(shop, _TABLE_OF_EVENT[event_type.partition(".")[0]], data)
    if event_type == "discount.deleted":
        shop.remove("discounts", row["id"])
    key = shop.peek("license-keys", row.get("properties", {}).get("license_key_id"))
    if key and event_type.startswith("benefit_grant."):
        shop.change(key, status="granted" if row["is_granted"] else "revoked")


def absorb(shop: Shop, table: str, shown: Row) -> Row:
    """Store an object as Polar shows it: the objects nested in it go to their own tables."""
    nested = NESTED.get(table, {})
    for name, other in nested.items():
        if shown.get(name):
            absorb(shop, other, shown[name])
    row: dict[str, Any] = {k: v for k, v in shown.items() if k not in nested and k not in DERIVED}
    if table == "products":
        _absorb_product(shop, row)
    return shop.put(table, row)


def _absorb_product(shop: Shop, row: Row) -> None:
    """An order shows its product without prices and benefits: keep what is known of them."""
    if "benefits" in row:
        row["benefit_ids"] = [absorb(shop, "benefits", each)["id"] for each in row.pop("benefits")]
    if row["id"] not in shop.tables["products"]:
        for name, empty in _LATE_PRODUCT.items():
            row.setdefault(name, empty)
