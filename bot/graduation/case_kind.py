"""The kind of case of a proposal: its fields, their hash and a label of the same meaning. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.graduation.novelty import Value
from bot.sanitize import clean
from polar.catalog import Call, Operation, operations
from polar.events import Event
from polar.text.money import format_money
from store.models import NewProposal, PlannedCall
from store.models.graduation import NewCaseKind, Past
from store.models.reasons import canonical_json, sha256

# The fields that give the reason of an event. The first field that is present counts.
_SUB_REASONS = ("billing_reason", "customer_cancellation_reason", "reason")
_REFUNDS = {0: "no refund before", 1: "1 refund before", 2: "2 or more refunds before"}


def case_kind_of(proposal: NewProposal, event: Event, past: Past, *, environment: str) -> NewCaseKind:
    """The kind of case of a rule's proposal about `event`. `environment` is "production" or "sandbox"."""
    data = event.data
    fields: dict[str, Any] = {
        "action": _action(proposal.calls),
        "trigger": _trigger(event, proposal.calls),
        "product": _text(data.get("product_id")) or _text(_part(data, "product").get("id")),
        "interval": _interval(data),
        "amount": _band(proposal.amount, proposal.currency),
        "customer": _customer(past),
        "rule": proposal.rule_version,
        "environment": environment,
        "risk": proposal.risk,
    }
    family = sha256(canonical_json({"action": fields["action"], "trigger": fields["trigger"]}))
    label = " · ".join(filter(None, (clean(part, 120) for part in _labelled(fields, proposal, data))))
    return NewCaseKind(sha256(canonical_json(fields)), family, fields, label, proposal.risk)


def parameters(calls: Sequence[PlannedCall]) -> dict[str, Value]:
    """The values for the novelty gate: numbers, switches and choices of the bodies, by "operation.field".

    Ids and free text are left out: they differ in every case and do not describe its kind. With several
    calls, the largest number counts, and all choices count together.
    """
    found: dict[str, Value] = {}
    for call in calls:
        operation = operations().get(call.operation)
        for name, value in (call.body or {}).items():
            if isinstance(value, bool) or value is None or _is_choice(operation, name):
                found[f"{call.operation}.{name}"] = value if isinstance(value, str | bool) else None
            elif isinstance(value, int | float):
                known = found.get(f"{call.operation}.{name}")
                largest = value if not isinstance(known, int | float) else max(known, value)
                found[f"{call.operation}.{name}"] = largest
    count = {} if len(calls) < 2 else {"calls": len(calls)}
    return {**found, **count}


def _is_choice(operation: Operation | None, name: str) -> bool:
    if operation is None or operation.body is None:
        return False
    schemas = [one.fields[name] for one in operation.body.variants if name in one.fields]
    return any(option.enum for schema in schemas for option in (schema, *schema.options))


def _action(calls: Sequence[PlannedCall]) -> list[list[Any]]:
    """The method, the path template and the names of the set fields: each different call once, sorted."""
    found = []
    for call in calls:
        operation = operations()[call.operation]
        found.append([operation.method, operation.path, sorted([*(call.body or {}), *call.query])])
    return sorted({canonical_json({"": one}): one for one in found}.values())


def _trigger(event: Event, calls: Sequence[PlannedCall]) -> list[str]:
    """The type of the event, its reason, and for refunds the share of the order."""
    data = event.data
    why = next((said for name in _SUB_REASONS if (said := _text(data.get(name)))), None)
    return [part for part in (event.type, why, _extent(event, calls)) if part]


def _extent(event: Event, calls: Sequence[PlannedCall]) -> str | None:
    data = event.data
    if event.type == "order.refunded":
        return "partial" if data.get("status") == "partially_refunded" else "full"
    refunded = [
        call.body.get("amount")
        for call in calls
        if call.operation == "refunds:create" and call.body is not None
    ]
    whole = data.get("refundable_amount", data.get("net_amount"))
    if not refunded or not isinstance(whole, int):
        return None
    return "full" if any(isinstance(one, int) and one >= whole for one in refunded) else "partial"


def _interval(data: Mapping[str, Any]) -> str | None:
    for part in (data, _part(data, "product"), _part(data, "subscription")):
        if unit := _text(part.get("recurring_interval")):
            count = part.get("recurring_interval_count")
            return f"{count} {unit}" if isinstance(count, int) and count > 1 else unit
    return None


def _band(amount: int | None, currency: str | None) -> list[Any] | None:
    """The floor of the base-2 logarithm of minor units, with the currency; -1 for 0; None without money."""
    if amount is None or currency is None:
        return None
    return [abs(amount).bit_length() - 1, currency.lower()]


def _customer(past: Past) -> dict[str, Any]:
    orders = "first" if past.orders == 0 else "returning"
    return {"orders": orders, "refunds": min(past.refunds, 2), "dispute": past.dispute}


def _labelled(fields: Mapping[str, Any], proposal: NewProposal, data: Mapping[str, Any]) -> list[str]:
    titles = dict.fromkeys(
        operations()[call.operation].describe(Call.of(call)).title for call in proposal.calls
    )
    kind, *why = fields["trigger"]
    said = [kind.replace(".", " ").replace("_", " "), *(one.replace("_", " ") for one in why)]
    product = _text(_part(data, "product").get("name")) or fields["product"]
    how_often = _ly(fields["interval"])
    said_already = how_often and product is not None and how_often in product.lower()
    sold = " ".join(filter(None, (product, "" if said_already else how_often)))
    customer = fields["customer"]
    who = "first order" if customer["orders"] == "first" else "returning customer"
    if customer["refunds"]:
        who += f", {_REFUNDS[customer['refunds']]}"
    if customer["dispute"]:
        who += ", open dispute"
    sandbox = "sandbox" if fields["environment"] == "sandbox" else ""
    return ["; ".join(titles), ", ".join(said), sold, _range(fields["amount"]), who, sandbox]


def _ly(interval: str | None) -> str:
    return {None: "", "day": "daily", "week": "weekly", "month": "monthly", "year": "yearly"}.get(
        interval, f"every {interval}s"
    )


def _range(band: Sequence[Any] | None) -> str:
    if band is None:
        return ""
    exponent, currency = band
    if exponent < 0:
        return format_money(0, currency)
    return f"{format_money(2**exponent, currency)} to {format_money(2 ** (exponent + 1) - 1, currency)}"


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = data.get(name)
    return part if isinstance(part, Mapping) else {}


def _text(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None
