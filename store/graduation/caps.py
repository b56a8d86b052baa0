"""Queries on how much ran: counted in the transaction that lets it run, so that no cap is ever broken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, Select, and_, bindparam, or_, select

from store.engine.dialects import add_up
from store.models.graduation import Spent
from store.schema.graduation import spending

ALL = "all"
_COLUMNS = (
    spending.c.scope,
    spending.c.day,
    spending.c.currency,
    spending.c.count,
    spending.c.amount,
)
MONTH = timedelta(days=29)  # with today that is thirty days


@dataclass(frozen=True, slots=True)
class Since:
    """A scope, and the day or hour from which on it is asked for."""

    scope: str
    since: str


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter: so many cases of a scope on a day or in an hour, and their money in minor units."""

    scope: str
    day: str
    currency: str
    cases: int
    amount: int


def of_case_kind(case_kind: str) -> str:
    """The scope of a kind of case."""
    return f"case_kind:{case_kind}"


def of_customer(customer_id: str) -> str:
    """The scope of a customer."""
    return f"customer:{customer_id}"


def cases_of(case_kind: str) -> str:
    """The scope under which every case of a kind is counted by the hour, whether it ran or not."""
    return f"cases:{case_kind}"


def breaches_of(case_kind: str) -> str:
    """The scope under which a kind's breaches of a cap are counted by the hour."""
    return f"over:{case_kind}"


def day(at: datetime) -> str:
    """A day in UTC: "2026-11-21"."""
    return f"{at:%Y-%m-%d}"


def hour(at: datetime) -> str:
    """An hour in UTC: "2026-11-21T09"."""
    return f"{at:%Y-%m-%dT%H}"


def spend(connection: Connection, wheres: Iterable[tuple[str, str]], currency: str, amount: int) -> None:
    """Count one more case in each (scope, day or hour), with its money in minor units."""
    rows = [
        {"scope": scope, "day": when, "currency": currency, "count": 1, "amount": amount}
        for scope, when in wheres
    ]
    add_up(connection, spending, rows, key=("scope", "day", "currency"), sums=("count", "amount"))


def counters(connection: Connection, wanted: Sequence[Since]) -> Sequence[Counter]:
    """The counters of several scopes in one read."""
    known = {f"scope{n}": one.scope for n, one in enumerate(wanted)}
    known |= {f"since{n}": one.since for n, one in enumerate(wanted)}
    return [Counter(*row) for row in connection.execute(_counters(len(wanted)), known).all()]


@cache  # building it costs ten times what the database takes for it
def _counters(scopes: int) -> Select[str, str, str, int, int]:
    where = [
        and_(spending.c.scope == bindparam(f"scope{n}"), spending.c.day >= bindparam(f"since{n}"))
        for n in range(scopes)
    ]
    return select(*_COLUMNS).where(or_(*where))


def summed(rows: Iterable[Counter], scope: str, currency: str | None) -> Spent:
    """What a scope's counters come to: all its cases, and its money in one currency."""
    own = [row for row in rows if row.scope == scope]
    money = sum(row.amount for row in own if row.currency == (currency or ""))
    return Spent(sum(row.cases for row in own), money)


def spent(connection: Connection, scope: str, since: str, currency: str | None) -> Spent:
    """What one scope has counted since a day or hour."""
    return summed(counters(connection, [Since(scope, since)]), scope, currency)
