"""Objects found by e-mail, name or number instead of a pasted id: reads of Polar while somebody types."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.forms import names
from bot.forms.fields import Form, all_leaves
from bot.ui.elements import options
from polar import redaction
from polar.catalog import Call, operations
from polar.client import PolarClient
from polar.errors import NotFound, PolarError
from polar.text.words import contact, format_money, plain, words

log = logging.getLogger(__name__)

Row = Mapping[str, Any]
Options = list[dict[str, Any]]

# Slack waits three seconds for suggestions and for the answer to a submit.
WITHIN = 2.0
_TRY_FOR = 1.0
_MOST = 50
_CUSTOMERS = 5  # the number of customers found by the words whose orders are read
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """A source of objects of one kind. `query`: Polar searches itself; else we search through one page.

    `by_customer`: the words may name the customer. `parts` takes several objects out of one row.
    """

    read: str
    describe: Callable[[Row], str]
    query: bool = False
    by_customer: bool = False
    value: str = "id"
    get: str = ""
    parts: Callable[[Row], Iterable[Row]] = lambda row: (row,)


class Lookup:
    """Searches Polar for what a question may name. If Polar does not answer, nothing is offered."""

    def __init__(self, polar: PolarClient) -> None:
        self._polar = polar

    async def find(self, source: str, typed: str, context: Mapping[str, str]) -> Options:
        """Options for what was typed, at most 50; `context` are the values of other questions by path."""
        typed = typed.strip()
        if _UUID.fullmatch(typed):
            return await self._pasted(source, typed)
        found: Options = []
        try:
            async with asyncio.timeout(WITHIN):
                found = await self._search(source, typed, context)
        except (PolarError, TimeoutError) as error:
            log.warning("cannot search %s: %s", source, getattr(error, "plain", "no answer in time"))
        if typed and source.startswith("your"):
            found = [*found[: _MOST - 1], *options([(f"{typed} (as typed)", typed)])]
        return found

    async def currency(self, operation: str, object_id: str) -> str | None:
        """The currency of the object that an amount of this operation is about; None when Polar won't say."""
        read, _ = names.OBJECT_CURRENCY[operation]
        try:
            async with asyncio.timeout(WITHIN):
                body = await self._read(Call(read, {"id": object_id}))
        except (PolarError, TimeoutError) as error:
            log.warning("the currency is not known: %s", getattr(error, "plain", "no answer in time"))
            return None
        return str(body["currency"]) if isinstance(body, Mapping) and body.get("currency") else None

    async def _pasted(self, source: str, identity: str) -> Options:
        """The object of a pasted id; none when Polar says there is none."""
        known = SOURCES.get(source)
        as_pasted = options([(f"{identity} (as pasted)", identity)])
        if known is None or not known.get:
            return as_pasted
        try:
            async with asyncio.timeout(WITHIN):
                body = await self._read(Call(known.get, {"id": identity}))
        except NotFound:
            return []
        except (PolarError, TimeoutError):
            return as_pasted
        return options([(known.describe(body), identity)])

    async def _search(self, source: str, typed: str, context: Mapping[str, str]) -> Options:
        if source == "seats":
            return await self._seats(typed)
        if source == "payment methods":
            return await self._payment_methods(context)
        known = SOURCES[source]
        query: dict[str, Any] = {
            name: context[path] for name, path in names.LIMITS.get(source, {}).items() if path in context
        }
        if typed and known.query:
            query["query"] = typed
        query |= {"limit": 100} if operations()[known.read].paginated else {}
        rows = await self._rows(Call(known.read, {}, query))
        found = [part for row in rows for part in known.parts(row) if part.get(known.value)]
        if typed and not known.query:
            found = [one for one in found if _has(known.describe(one), typed)]
        if typed and known.by_customer:
            found = [*found, *await self._of_customers(known, typed)]
        unique = {str(one[known.value]): known.describe(one) for one in found}
        return options((text, value) for value, text in unique.items())[:_MOST]

    async def _of_customers(self, known: Source, typed: str) -> list[Row]:
        customers = await self._rows(Call("customers:list", {}, {"query": typed, "limit": _CUSTOMERS}))
        ids = [one["id"] for one in customers][:_CUSTOMERS]
        return await self._rows(Call(known.read, {}, {"customer_id": ids, "limit": _MOST})) if ids else []

    async def _seats(self, typed: str) -> Options:
        """Seats have no list of their own: those of the subscriptions that the words find."""
        known = SOURCES["subscriptions"]
        found = await self._of_customers(known, typed) if typed else []
        found = found or await self._rows(Call(known.read, {}, {"limit": 100}))
        ids = [one["id"] for one in found if one.get("seats")][:_CUSTOMERS]
        calls = [Call("customer-seats:list_seats", {}, {"subscription_id": each}) for each in ids]
        answers = await asyncio.gather(*(self._read(call) for call in calls))
        seats = [seat for answer in answers for seat in answer.get("seats", ())]
        return options((_seat(one), one["id"]) for one in seats)[:_MOST]

    async def _payment_methods(self, context: Mapping[str, str]) -> Options:
        order = context.get("path.id")
        if order is None:
            return []
        customer = (await self._read(Call("orders:get", {"id": order})))["customer_id"]
        rows = await self._rows(Call("customers:list_payment_methods", {"id": customer}))
        return options((_card(one), one["id"]) for one in rows)[:_MOST]

    async def _rows(self, call: Call) -> list[Row]:
        body = await self._read(call)
        rows = body.get("items", ()) if isinstance(body, Mapping) else body
        return [row for row in rows if isinstance(row, Mapping)]

    async def _read(self, call: Call) -> Any:
        return (await self._polar.read(call, within=_TRY_FOR)).body


def _has(text: str, typed: str) -> bool:
    return all(word in text.lower() for word in typed.lower().split())


# --- Names of objects -------------------------------------------------------------------------------------


def _person(row: Row) -> str:
    external = f" · {row['external_id']}" if row.get("external_id") else ""
    return (contact(row.get("name"), row.get("email")) or "without a name") + external


def _who(row: Row) -> str:
    customer = row.get("customer") or {}
    return contact(customer.get("name"), customer.get("email"))


def _product(row: Row) -> str:
    price = next((one for one in row.get("prices") or () if one.get("price_amount") is not None), None)
    cost = f" · {format_money(price['price_amount'], price.get('price_currency') or '')}" if price else ""
    return plain(row.get("name"), 50) + cost + (" · archived" if row.get("is_archived") else "")


def _amount(row: Row, name: str = "total_amount") -> str:
    return format_money(row.get(name) or 0, row.get("currency") or "")


def _status(row: Row) -> str:
    return words(row.get("status"))


def _link(row: Row) -> str:
    products = ", ".join(plain(one.get("name"), 30) for one in (row.get("products") or ())[:2])
    return _joined(row.get("label"), products) or "without a label"


def _card(row: Row) -> str:
    held = row.get("method_metadata") or {}
    ends = f"ends in {held['last4']}" if held.get("last4") else ""
    return _joined(row.get("type"), held.get("brand"), ends)


def _price(row: Row) -> str:
    amount = row.get("price_amount")
    cost = format_money(amount, row.get("price_currency") or "") if isinstance(amount, int) else ""
    return _joined(row.get("product_name"), cost or words(row.get("amount_type")))


def _label(*parts: str | Callable[[Row], Any]) -> Callable[[Row], str]:
    """The words of these parts for an object: fields, or made of it; its id where they say nothing."""

    def label(row: Row) -> str:
        return _joined(*(row.get(part) if isinstance(part, str) else part(row) for part in parts)) or str(
            row.get("id")
        )

    return label


def _joined(*parts: Any) -> str:
    return " · ".join(plain(str(part), 40) for part in parts if part)


_seat = _label(lambda row: row.get("email") or row.get("customer_email"), _status)


def _prices(row: Row) -> Iterable[Row]:
    return ({**one, "product_name": row.get("name")} for one in row.get("prices") or ())


def _delivered(row: Row) -> Iterable[Row]:
    event = row.get("webhook_event")
    return (event,) if isinstance(event, Mapping) else ()


SOURCES: Mapping[str, Source] = {
    "benefits": Source("benefits:list", _label("description", "type"), query=True, get="benefits:get"),
    "checkout links": Source("checkout-links:list", _link, get="checkout-links:get"),
    "checkouts": Source(
        "checkouts:list", _label("customer_email", _amount, _status), query=True, get="checkouts:get"
    ),
    "custom fields": Source(
        "custom-fields:list", _label("name", "slug"), query=True, get="custom-fields:get"
    ),
    "customers": Source("customers:list", _person, query=True, get="customers:get"),
    "dashboards": Source("metrics:list_dashboards", _label("name"), get="metrics:get_dashboard"),
    "discounts": Source("discounts:list", _label("name", "code"), query=True, get="discounts:get"),
    "disputes": Source(
        "disputes:list", _label(lambda row: _amount(row, "amount"), _who, _status), get="disputes:get"
    ),
    "endpoints": Source(
        "webhooks:list_webhook_endpoints",
        _label("name", lambda row: redaction.host(str(row.get("url") or ""))),
        get="webhooks:get_webhook_endpoint",
    ),
    "event types": Source("event-types:list", _label("label", "name"), query=True),
    "files": Source("files:list", _label("name", "version")),
    "license keys": Source("license_keys:list", _label("display_key", _who, _status), get="license_keys:get"),
    "members": Source("members:list_members", _person),
    "meters": Source("meters:list", _label("name"), query=True, get="meters:get"),
    "orders": Source(
        "orders:list", _label("invoice_number", _amount, _who, _status), by_customer=True, get="orders:get"
    ),
    "organizations": Source("organizations:list", _label("name", "slug"), get="organizations:get"),
    "prices": Source("products:list", _price, query=True, parts=_prices),
    "products": Source("products:list", _product, query=True, get="products:get"),
    "subscriptions": Source(
        "subscriptions:list",
        _label(lambda row: (row.get("product") or {}).get("name"), _who, _status),
        by_customer=True,
        get="subscriptions:get",
    ),
    "webhook events": Source(
        "webhooks:list_webhook_deliveries",
        _label("type", lambda row: str(row.get("created_at") or "")[:16].replace("T", " ")),
        parts=_delivered,
    ),
    "your customers": Source("customers:list", _person, query=True, value="external_id"),
    "your members": Source("members:list_members", _person, value="external_id"),
}
# Objects that events are about too, by the source in which they are looked up: "orders" are of "order".
_SUBJECTS = frozenset(
    {"benefits", "checkouts", "customers", "discounts", "orders", "products", "subscriptions"}
)


def subject_of(form: Form, call: Call) -> str | None:
    """The subject of the proposal, as events name it: "order:…"."""
    held = {f"body.{name}": value for name, value in (call.body or {}).items()}
    held |= {f"path.{name}": value for name, value in call.path.items()}
    for leaf in all_leaves(form):
        if leaf.source in _SUBJECTS and isinstance(held.get(leaf.path), str):
            return f"{leaf.source.removesuffix('s')}:{held[leaf.path]}"
    return None
