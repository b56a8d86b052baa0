"""Every object by its id, and every list with Polar's pages and filters."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from bot.demo.polar.call import ID, Call, check
from bot.demo.polar.errors import Answer, not_simulated
from bot.demo.polar.shop import Row, Shop, wire

_COUNT = TypeAdapter[Any](Annotated[int, Field(gt=0)])
_PAGING = frozenset({"page", "limit", "sorting", "organization_id"})
_TRUE = {"true", "1", "yes", "on", "t", "y"}
_DEFAULT_SORT = {
    "checkout-links": "created_at", "organizations": "created_at", "subscriptions": "-started_at",
}  # fmt: skip
_EQUAL = frozenset(
    {"customer_id", "order_id", "subscription_id", "product_id", "discount_id", "checkout_id", "benefit_id",
     "member_id", "status", "type", "id", "role", "visibility", "customer_cancellation_reason", "slug"}
)  # fmt: skip
_FLAGS = frozenset({"is_granted", "is_archived", "is_recurring", "cancel_at_period_end"})


def get(table: str) -> Callable[[Call], Answer]:
    """A handler that answers with the object, or 404."""
    return lambda call: Answer(200, wire(call.shop, table, call.shop.get(table, call.id)))


def get_key(call: Call) -> Answer:
    """license_keys:get: the only answer that shows a key's activations; nobody activates one here."""
    key = wire(call.shop, "license-keys", call.shop.get("license-keys", call.id))
    return Answer(200, {**key, "activations": []})


def listing(table: str) -> Callable[[Call], Answer]:
    """A handler that answers with one page of the objects that the query asks for."""

    def answer(call: Call) -> Answer:
        page, limit = _number(call, "page", 1), min(_number(call, "limit", 10), 100)
        asked = _filters(call)
        one = {"customer_id": next(iter(ids))} if len(ids := asked.get("customer_id", ())) == 1 else {}
        rows = [
            row
            for row in call.shop.rows(table, **one)
            if all(_match(call.shop, row, name, values) for name, values in asked.items())
        ]
        _sort(rows, [value for name, value in call.query if name == "sorting"], table)
        shown = [wire(call.shop, table, row) for row in rows[(page - 1) * limit : page * limit]]
        pages = {"total_count": len(rows), "max_page": -(-len(rows) // limit)}
        return Answer(200, {"items": shown, "pagination": pages})

    return answer


def grants_of_benefit(call: Call) -> Answer:
    """benefits:grants: the grants of the benefit in the path."""
    call.shop.get("benefits", call.id)
    query = (*call.query, ("benefit_id", call.id))
    return listing("benefit-grants")(Call(call.shop, call.operation, {}, query, call.body))


def _number(call: Call, name: str, default: int) -> int:
    given = next((value for key, value in call.query if key == name), default)
    return int(check(_COUNT, given, "query", name))


def _filters(call: Call) -> dict[str, set[str]]:
    """The filters asked for, each with its values; names that Polar does not know are ignored, as it does."""
    asked: dict[str, set[str]] = {}
    for name, value in call.query:
        known = name.partition("[")[0] in call.operation.query or name == "benefit_id"
        if known and name not in _PAGING:
            if name.endswith("_id") and not name.startswith("external"):
                check(ID, value, "query", name)
            asked.setdefault(name, set()).add(value)
    return asked


def _match(shop: Shop, row: Row, name: str, values: set[str]) -> bool:
    if name in _EQUAL:
        return row.get(name) in values or not values.isdisjoint(row.get(f"{name}s", ()))
    if name in _FLAGS:
        return row[name] in {value.lower() in _TRUE for value in values}
    if name.startswith("metadata["):
        return str(row["metadata"].get(name[9:-1])) in values
    special = _SPECIAL.get(name)
    if special is None:
        raise not_simulated(f"the filter {name}")
    return special(shop, row, next(iter(values)))


def _times(field: str, after: str, before: str) -> dict[str, Callable[[Shop, Row, str], bool]]:
    """The filters, by their names, of the rows whose time is later or earlier than the value."""
    return {
        after: lambda _shop, row, value: bool(row[field]) and _moment(row[field]) > _moment(value),
        before: lambda _shop, row, value: bool(row[field]) and _moment(row[field]) < _moment(value),
    }


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value.replace(" ", "+"))


def _owner_external(shop: Shop, row: Row, value: str) -> bool:
    customer = shop.peek("customers", row["customer_id"])
    return customer is not None and customer["external_id"] == value


def _contains(_: Shop, row: Row, value: str) -> bool:
    return any(
        value.lower() in str(row.get(name) or "").lower() for name in ("email", "name", "code", "description")
    )


def _succeeded(_: Shop, row: Row, value: str) -> bool:
    done = row["succeeded"] if "succeeded" in row else row["status"] == "succeeded"
    return bool(done) == (value.lower() in _TRUE)


_SPECIAL: dict[str, Callable[[Shop, Row, str], bool]] = {
    "external_customer_id": _owner_external,
    "email": lambda _shop, row, value: (row["email"] or "").lower() == value.lower(),
    "query": _contains,
    "active": lambda _shop, row, value: (row["status"] in {"active", "trialing"}) == (value.lower() in _TRUE),
    "succeeded": _succeeded,
    **_times("created_at", "created_after", "created_before"),
    **_times("started_at", "started_after", "started_before"),
    **_times("canceled_at", "canceled_at_after", "canceled_at_before"),
    **_times("created_at", "start_timestamp", "end_timestamp"),
    "endpoint_id": lambda _shop, row, value: row["webhook_event"]["endpoint_id"] == value,
    "event_type": lambda _shop, row, value: row["webhook_event"]["type"] == value,
}


def _sort(rows: list[Row], asked: list[str], table: str) -> None:
    for each in reversed(asked or [_DEFAULT_SORT.get(table, "-created_at")]):
        field, descending = each.removeprefix("-"), each.startswith("-")
        if rows and field not in rows[0]:
            raise not_simulated(f"sorting by {field}")
        rows.sort(key=_order(field), reverse=descending)


def _order(field: str) -> Callable[[Row], tuple[bool, Any]]:
    """A value that is missing comes first when descending, as in PostgreSQL."""
    return lambda row: (row[field] is None, 0 if row[field] is None else row[field])
