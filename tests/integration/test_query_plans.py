"""What people and timers ask costs the same after years: each statement's plan is held against SQLite."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event

from store import Store, open_store
from store.graduation.pages import automatic_runs
from store.proposals import lists
from store.proposals.actions import due_snoozes
from store.proposals.timers import expire, to_remind
from tests.integration import test_every_query as every_query

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
ASKED: dict[str, Callable[[Connection], Any]] = {
    "queue": partial(lists.queue, which="", **_QUEUE),
    "queue urgent": partial(lists.queue, which="urgent", **_QUEUE),
    "mine": partial(lists.mine, person=MAYA, soon=NOW),
    "history of a person": partial(lists.history, by="person", value=MAYA),
    "candidates": partial(lists.candidates, now=NOW),
    "automatic runs": partial(automatic_runs, since=NOW, now=NOW),
    "reminder": partial(to_remind, older_than=NOW, reminded_before=NOW, now=NOW),
    "expiry": partial(expire, now=NOW),
    "snoozes": partial(due_snoozes, now=NOW, said=""),
}


# Reports, which run beside the writer and are to read everything; counts, which are taken in the background; and
# a query whose conditions its callers give.
READ_ALL = {
    "events.count_events", "events.rule_activity", "past_cases.case_ids",
    "proposals.all_proposals", "proposals.proposal_ids", "proposals.read_proposals", "stats.count_all", "stats.count_proposals",
    "verify.altered", "verify.knows", "verify.verify",
}  # fmt: skip
# Rows are read in the order of their arrival as they are needed: the newest one, or an export.
IN_ORDER = "SCAN events USING INDEX ix_events_received_at"


@contextmanager
def steps(connection: Connection) -> Iterator[list[str]]:
    """The steps by which SQLite answers the statements of the block, once it is left."""
    asked: list[tuple[str, Any]] = []
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        if statement.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"):
            asked.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(connection, "before_cursor_execute", note)
    yield found
    event.remove(connection, "before_cursor_execute", note)
    for statement, parameters in asked:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        found += [str(row[3]) for row in rows]


def scanned(found: list[str]) -> list[str]:
    """The steps that read all of a table that grows, or of an index of more than what waits."""
    reads = [step.split() for step in found if step.startswith("SCAN ") and step != IN_ORDER]
    return [" ".join(words) for words in reads if words[1] in GROWING and not OPEN & set(words)]


async def test_only_reports_and_counts_in_the_background_read_all_of_a_table_that_grows(
    sqlite_url: str,
) -> None:
    def asked(connection: Connection) -> set[str]:
        every_query.prepare(connection)
        reading = set()
        for question in every_query._questions():
            with steps(connection) as found:
                every_query._ask(connection, question, "pending")
            reading |= {question.name} if scanned(found) else set()
        return reading

    async with open_store(sqlite_url) as store:
        assert await store.do(asked) == READ_ALL


async def plans(store: Store, query: Callable[[Connection], Any]) -> list[str]:
    """The steps by which SQLite answers a query."""

    def explained(connection: Connection) -> list[str]:
        with steps(connection) as found:
            query(connection)
        return found

    return await store.do(explained)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("queue", "ix_proposals_worth"),
        ("queue urgent", "ix_proposals_ends_at"),
        ("mine", "ix_proposals_assignee"),
        ("mine", "ix_proposals_proposer"),
        ("mine", "ix_decisions_proposal_id"),
        ("candidates", "ix_proposals_worth"),
        ("automatic runs", "ix_outcomes_at"),
        ("automatic runs", "ix_proposals_decided_at"),
        ("history of a person", "ix_decisions_proposal_id"),
        ("reminder", "ix_proposals_reminded_at"),
        ("expiry", "ix_proposals_expires_at"),
        ("snoozes", "ix_proposals_snoozed_until"),
    ],
)
async def test_what_waits_is_read_in_its_order(sqlite_url: str, name: str, index: str) -> None:
    async with open_store(sqlite_url) as store:
        found = await plans(store, ASKED[name])
    assert [step for step in found if index in step]


@pytest.mark.parametrize("name", ["queue", "queue urgent"])
async def test_a_page_of_the_queue_sorts_nothing_but_itself(sqlite_url: str, name: str) -> None:
    async with open_store(sqlite_url) as store:
        found = await plans(store, ASKED[name])
    sorts = [step for step in found if "ORDER BY" in step]
    assert sorts == ["USE TEMP B-TREE FOR ORDER BY"]  # of the eight rows of the page
