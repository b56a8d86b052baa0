"""What people and timers ask costs the same after years: each statement's plan is held against SQLite."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event

from store import Store, open_store
from store.engine.leases import expire_all_leases
from store.graduation.pages import automatic_runs
from store.proposals import lists
from store.proposals.actions import due_snoozes
from store.proposals.execution import recover_stranded
from store.proposals.stats import backlog, count_open, daily_stats, today, waiting_since
from store.proposals.timers import expire, to_remind

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MAYA = "U0MAYA00001"
_QUEUE: dict[str, Any] = {"person": MAYA, "now": NOW, "soon": NOW + DAY}
# Tables that hold a row for every webhook or decision there has ever been.
GROWING = {
    "events",
    "rule_matches",
    "proposals",
    "calls",
    "decisions",
    "transitions",
    "audit_log",
    "outcomes",
}
# The partial indexes of what is still to be done: reading one from end to end is reading what waits.
OPEN = {"ix_events_new", "ix_events_failed", "ix_proposals_undrawn", "ix_rule_matches_waiting"}
LOOKS: dict[str, Callable[[Connection], Any]] = {
    **{f"queue {which}": partial(lists.queue, which=which, **_QUEUE) for which in ("", "urgent", "mine", "snoozed", "failed")},
    "mine": partial(lists.mine, person=MAYA, soon=NOW),
    **{f"history by {by}": partial(lists.history, by=by, value="x") for by in ("", "customer", "customer_id", "rule", "person")},
    "candidates": partial(lists.candidates, now=NOW),
    "backlog": backlog,
    "open": count_open,
    "today": partial(today, since=NOW),
    "automatic runs": partial(automatic_runs, since=NOW, now=NOW),
    "digest": partial(daily_stats, since=NOW, until=NOW),
    "waiting": partial(waiting_since, moment=NOW),
    "reminder": partial(to_remind, older_than=NOW, reminded_before=NOW, now=NOW),
}  # fmt: skip
WRITES: dict[str, Callable[[Connection], Any]] = {
    "expiry": partial(expire, now=NOW),
    "snoozes": partial(due_snoozes, now=NOW, said=""),
    "stranded": partial(recover_stranded, now=NOW),
    "leases": expire_all_leases,
}


async def plans(store: Store, query: Callable[[Connection], Any]) -> list[str]:
    """The steps by which SQLite answers the statements of a query."""
    statements: list[tuple[str, Any]] = []

    def explained(connection: Connection) -> list[str]:
        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
            statements.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        query(connection)
        event.remove(connection, "before_cursor_execute", note)
        return [
            str(row[3])
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    found = await store.do(explained)
    assert found
    return found


# The newest webhook: one row, for `LIMIT 1` ends it.
NEWEST = "SCAN events USING INDEX ix_events_received_at"


def scanned(steps: list[str]) -> list[str]:
    """The steps that read all of a table that grows, or of an index of more than what waits."""
    reads = [step.split() for step in steps if step.startswith("SCAN ") and step != NEWEST]
    return [" ".join(words) for words in reads if words[1] in GROWING and not OPEN & set(words)]


@pytest.mark.parametrize("name", [*LOOKS, *WRITES])
async def test_no_look_and_no_timer_reads_all_of_a_table_that_grows(sqlite_url: str, name: str) -> None:
    async with open_store(sqlite_url) as store:
        assert scanned(await plans(store, {**LOOKS, **WRITES}[name])) == []


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("queue ", "ix_proposals_worth"),
        ("queue urgent", "ix_proposals_ends_at"),
        ("mine", "ix_proposals_assignee"),
        ("mine", "ix_proposals_proposer"),
        ("mine", "ix_decisions_actor (actor=? AND at>?)"),
        ("candidates", "ix_proposals_worth"),
        ("automatic runs", "ix_outcomes_at"),
        ("reminder", "ix_proposals_reminded_at"),
        ("expiry", "ix_proposals_expires_at"),
        ("snoozes", "ix_proposals_snoozed_until"),
    ],
)
async def test_what_waits_is_read_in_its_order(sqlite_url: str, name: str, index: str) -> None:
    async with open_store(sqlite_url) as store:
        steps = await plans(store, {**LOOKS, **WRITES}[name])
    assert [step for step in steps if index in step]


@pytest.mark.parametrize("name", ["queue ", "queue urgent"])
async def test_a_page_of_the_queue_sorts_nothing_but_itself(sqlite_url: str, name: str) -> None:
    async with open_store(sqlite_url) as store:
        steps = await plans(store, LOOKS[name])
    sorts = [step for step in steps if "ORDER BY" in step]
    assert sorts == ["USE TEMP B-TREE FOR ORDER BY"]  # of the eight rows of the page
