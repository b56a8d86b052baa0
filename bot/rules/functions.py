"""The functions rules may call beside CEL's own: amounts, days and names as a person reads them."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from polar.text.money import format_money


def money(amount: Any, currency: Any) -> str:
    """`money(data.total_amount, data.currency)`: minor units as "$29.00"; "an unknown amount" for null."""
    if not isinstance(amount, int) or not isinstance(currency, str):
        return "an unknown amount"
    return format_money(amount, currency)


def who(customer: Any) -> str:
    """`who(data.customer)`: the customer's name, else the e-mail, else "a customer"."""
    if isinstance(customer, Mapping):
        for field in ("name", "email"):
            if isinstance(customer.get(field), str) and customer[field].strip():
                return str(customer[field])
    return "a customer"


def day(moment: Any) -> str:
    """`day(data.ends_at)`: an ISO date-time as "21 Dec 2026"; "an unknown day" for null."""
    try:
        parsed = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return "an unknown day"
    return f"{parsed.day} {parsed:%b %Y}"


def plural(count: Any, noun: Any) -> str:
    """`plural(size(for_each), 'license key')`: "1 license key", "2 license keys"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# They never raise: the library would print the failure to standard output.
FUNCTIONS: Mapping[str, Callable[..., str]] = {"money": money, "who": who, "day": day, "plural": plural}
