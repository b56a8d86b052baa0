"""The state of the stand-in's Polar: its tables, what a write changed and tells, rows as Polar shows them."""

import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.demo.polar.errors import not_found

Row = dict[str, Any]

TABLES = (
    "organizations", "customers", "members", "products", "benefits", "orders", "subscriptions",
    "benefit-grants", "license-keys", "customer-seats", "refunds", "discounts", "checkouts",
    "checkout-links", "disputes", "payments", "webhooks/endpoints", "webhooks/deliveries",
)  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class Told:
    """One event that Polar will tell: its type, and the body, byte for byte, of every attempt to do so."""

    type: str
    payload: bytes


def iso(moment: datetime) -> str:
    """As Polar writes time: UTC, six digits of a second, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Shop:
    """Rows as Polar stores them, without the objects nested in them (`wire` puts those in).

    `clock` gives aware UTC times; `seed` makes ids, keys and tokens come out the same every time.
    """

    def __init__(self, *, clock: Callable[[], datetime], seed: int) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in TABLES}
        self._of_customer: dict[tuple[str, str], list[str]] = {}
        self._told: list[Told] = []
        self._changed: list[str] = []

    def new_id(self) -> str:
        """A version 4 UUID, from the seed."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def now(self, **ahead: float) -> str:
        """The present moment as Polar writes it; `ahead` as for timedelta (hours=1)."""
        return iso(self.clock() + timedelta(**ahead))

    @property
    def organization_id(self) -> str:
        """The one organization of this shop."""
        return next(iter(self.tables["organizations"]))

    def add(self, table: str, **fields: Any) -> Row:
        """Insert a row; `id`, `created_at` and `modified_at` are filled in unless given."""
        row = {"id": self.new_id(), "created_at": self.now(), "modified_at": None, **fields}
        return self.put(table, row)

    def put(self, table: str, row: Row) -> Row:
        """Insert, or write over what is known of the row with this id."""
        rows = self.tables[table]
        if row["id"] in rows:
            rows[row["id"]].update(row)
            return rows[row["id"]]
        rows[row["id"]] = row
        if row.get("customer_id"):
            self._of_customer.setdefault((table, row["customer_id"]), []).append(row["id"])
        return row

    def remove(self, table: str, row_id: str) -> None:
        """Forget a row for good."""
        row = self.tables[table].pop(row_id)
        if row.get("customer_id"):
            self._of_customer[table, row["customer_id"]].remove(row_id)

    def get(self, table: str, row_id: str, detail: str = "Not found") -> Row:
        """The row, or 404 if there is none or it was deleted."""
        row = self.tables[table].get(row_id)
        if row is None or row.get("deleted_at"):
            raise not_found(detail)
        return row

    def peek(self, table: str, row_id: str | None) -> Row | None:
        """The row even if it was deleted: other objects still show it."""
        return self.tables[table].get(row_id) if row_id else None

    def rows(self, table: str, **match: object) -> Iterator[Row]:
        """The rows that are not deleted and have these values, oldest first."""
        rows = self.tables[table]
        customer = match.get("customer_id")
        if isinstance(customer, str) and table != "customer-seats":  # a revoked seat forgets its customer
            candidates = [rows[each] for each in self._of_customer.get((table, customer), ())]
        else:
            candidates = list(rows.values())
        for row in candidates:
            if not row.get("deleted_at") and all(row.get(name) == value for name, value in match.items()):
                yield row

    def change(self, row: Row, **fields: Any) -> bool:
        """Write the fields; `modified_at` moves only if something differs, as with Polar. True if it did."""
        if all(name in row and row[name] == value for name, value in fields.items()):
            return False
        row.update(fields, modified_at=self.now())
        return True

    def tell(self, event_type: str, data: Row) -> None:
        """Queue an event with the data as it is now: Polar writes the payload once, when it happens."""
        body = {"type": event_type, "timestamp": self.now(), "data": data}
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        self._told.append(Told(event_type, written.encode(errors="replace")))

    def tell_as_written(self, told: Told) -> None:
        """Queue an event whose body was written elsewhere."""
        self._told.append(told)

    def note(self, sentence: str) -> None:
        """Say in words what the current request changed, for the panel of the demo."""
        self._changed.append(sentence)

    def take(self) -> tuple[list[Told], str | None]:
        """The events and the notes since the last call, then forgotten."""
        told, changed = self._told, "; ".join(self._changed) or None
        self._told, self._changed = [], []
        return told, changed


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
            "id": customer["id"], "email": customer["email"], "public_name": name[0],
            "avatar_url": customer["avatar_url"], "github_username": None,
        }  # fmt: skip
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
    "products": _product, "orders": _order, "subscriptions": _subscription, "benefit-grants": _grant,
    "license-keys": lambda shop, row: _owned(shop, "license-keys", row),
    "customer-seats": lambda shop, row: _whole(shop, "customer-seats", row), "checkout-links": _checkout_link,
    "checkouts": _checkout,
}  # fmt: skip
