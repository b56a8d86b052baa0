"""The state of the stand-in's Polar: its tables, and what the current write changed and tells."""

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


@dataclass(frozen=True, slots=True)
class Told:
    """One event that Polar will tell: its type, and the body, byte for byte, of every attempt to do so."""

    type: str
    payload: bytes


def iso(moment: datetime) -> str:
    """As Polar writes time: UTC, six digits of a second, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Shop:
    """Rows as Polar stores them, without the objects nested in them (`wire.py` puts those in).

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
