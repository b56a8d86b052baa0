"""An open store on each database, and factories for what goes into it.

`store` runs a test on SQLite and, where POSTGRES_URL names a server, on PostgreSQL too.
`new_event(...)` and `new_proposal(...)` make values (any field can be given); `store_proposal` writes a
proposal with the event and the rule it needs. All of them share the moment NOW, which is the fixture `now`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from store import Store, open_store
from store.events.events import insert_events, keep_rules
from store.models import NewEvent, NewProposal, PlannedCall, RuleMatch, RuleMatchState
from tests.fixtures.databases import postgres_database, sqlite_database
from tests.fixtures.proposals import add_proposal
from tests.fixtures.store_beside import beside

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
_NUMBERS = count(1)


@pytest.fixture
def now() -> datetime:
    """The moment at which everything the factories make was made."""
    return NOW


@pytest.fixture
def new_event() -> Callable[..., NewEvent]:
    """A factory: `new_event(id="evt_1", body=b"…")`; each without an id gets its own."""
    return _new_event


@pytest.fixture
def new_proposal() -> Callable[..., NewProposal]:
    """A factory: `new_proposal(calls=(PlannedCall(…),))`; each without an id gets its own."""
    return _new_proposal


@pytest.fixture
def store_proposal() -> Callable[..., NewProposal]:
    """A query for `store.do`: `await store.do(store_proposal, new_proposal())` stores it as pending.

    With no proposal it makes one; the event, the rule and the rule_match it refers to are stored before it.
    """
    return _store_proposal


def _new_event(**fields: Any) -> NewEvent:
    defaults = {
        "id": f"evt_{next(_NUMBERS)}",
        "type": "order.paid",
        "body": b'{"type":"order.paid","data":{}}',
        "signature": "v1,c2lnbmVk",
        "sent_at": NOW,
        "received_at": NOW,
    }
    return NewEvent(**(defaults | fields))


def _new_proposal(**fields: Any) -> NewProposal:
    number = next(_NUMBERS)
    defaults = {
        "id": f"prop_{number}",
        "fact_key": f"order.paid:order_{number}",
        "event_id": f"evt_{number}",
        "rule": "generate-invoice",
        "rule_version": "v1",
        "subject": f"order_{number}",
        "title": "Generate the invoice of order 1?",
        "reasons": ("The order was paid",),
        "facts": (("Customer", "Ada"),),
        "risk": "low",
        "always_asks": None,
        "calls": (PlannedCall("orders:generate_invoice", path={"id": f"order_{number}"}),),
        "created_at": NOW,
    }
    return NewProposal(**(defaults | fields))


def _store_proposal(connection: Connection, proposal: NewProposal | None = None) -> NewProposal:
    made = _new_proposal() if proposal is None else proposal
    insert_events(connection, [_new_event(id=made.event_id)])
    keep_rules(connection, {made.rule_version: (made.rule, {})}, made.created_at)
    rule_match = RuleMatch(
        made.fact_key, made.rule, made.rule_version, made.event_id, RuleMatchState.PROPOSED
    )
    add_proposal(connection, rule_match, made)
    return made


@pytest.fixture
async def sqlite_url(tmp_path: Path) -> str:
    """The address of this test's own, migrated, empty SQLite file."""
    return await sqlite_database(tmp_path)


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    """The address of this test's own, migrated, empty PostgreSQL database; skips without POSTGRES_URL."""
    async with postgres_database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a migrated, empty database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An open, empty store; SQLite always, PostgreSQL when POSTGRES_URL is set."""
    async with open_store(database_url) as opened:
        yield opened


@pytest.fixture
async def rivals(database_url: str) -> AsyncIterator[list[Store]]:
    """Four programs on one empty database, each with an engine of its own."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(open_store(database_url))
        others = [beside(database_url) for _ in range(3)]
        yield [first, *[await stack.enter_async_context(other) for other in others]]
