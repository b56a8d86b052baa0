"""The recorded deliveries of Polar's own server, and how the objects in them enter the stand-in's state."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from bot.demo.polar.routes import RECORDED
from bot.demo.polar.shop import Row, Shop
from bot.demo.polar.wire import DERIVED, NESTED

_TABLE_OF_EVENT = {
    "product": "products", "benefit": "benefits", "member": "members", "subscription": "subscriptions",
    "customer": "customers", "discount": "discounts", "benefit_grant": "benefit-grants",
    "customer_seat": "customer-seats", "order": "orders", "refund": "refunds", "checkout": "checkouts",
}  # fmt: skip
_LATE_PRODUCT: Row = {"prices": [], "medias": [], "attached_custom_fields": [], "benefit_ids": []}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recorded delivery: the event's type, and the body byte for byte."""

    type: str
    payload: bytes


@cache
def deliveries() -> tuple[Delivery, ...]:
    """The 28 recorded deliveries, one of each type, in the order they came."""
    lines = (RECORDED / "deliveries.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Delivery(each["type"], each["body"].encode()) for each in map(json.loads, lines))


def load_all(shop: Shop) -> None:
    """Put the organization and every recorded object into the state, as last shown.

    The organization is made up; its id is the one that the deliveries were recorded in.
    """
    objects = json.loads((RECORDED / "objects.json").read_text(encoding="utf-8"))
    shop.put("organizations", objects["organization"])
    absorb(shop, "license-keys", objects["license_key"])
    for each in deliveries():
        load(shop, each)


def load(shop: Shop, delivery: Delivery) -> None:
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
