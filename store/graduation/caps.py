"""Queries on how much ran: counted in the transaction that lets it run, so that no cap is ever broken."""

from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import Connection, Select, and_, bindparam, or_, select

from store.engine.dialects import upsert_increment
from store.graduation.usage import Counter, Since, Usage
from store.models.graduation import Spent
from store.schema.graduation import cap_usage

_NAMES = ("scope", "day", "currency", "count", "amount")


def spend(connection: Connection, counters: Iterable[Counter]) -> None:
    """Add to the counters."""
    rows = [{name: getattr(one, name) for name in _NAMES} for one in counters]
    upsert_increment(connection, cap_usage, rows, key=("scope", "day", "currency"), sums=("count", "amount"))


def usage(connection: Connection, wanted: Sequence[Since]) -> Usage:
    """The counters of several scopes in one read."""
    known = {f"scope{n}": one.scope for n, one in enumerate(wanted)}
    known |= {f"since{n}": one.since for n, one in enumerate(wanted)}
    found = Usage()
    for row in connection.execute(_counters(len(wanted)), known):
        found.add(Counter(*row))
    return found


@cache  # building it costs ten times what the database takes for it
def _counters(scopes: int) -> Select[str, str, str, int, int]:
    where = [
        and_(cap_usage.c.scope == bindparam(f"scope{n}"), cap_usage.c.day >= bindparam(f"since{n}"))
        for n in range(scopes)
    ]
    c = cap_usage.c
    return select(c.scope, c.day, c.currency, c.count, c.amount).where(or_(*where))


def spent(connection: Connection, wanted: Since, currency: str | None) -> Spent:
    """The count of one scope."""
    return usage(connection, [wanted]).spent(wanted, currency)
