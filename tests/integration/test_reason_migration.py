"""Sentences that the third schema held are codes with arguments in the fourth, and the log still fits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, bindparam, text

import store
from bot.ui.reasons import plain
from store import open_store
from store.engine.engines import make_engine
from store.events.events import claim_rule_matches, get_event
from store.messages.cards import get_bundle
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import get_proposal, trail
from store.schema.graduation import metadata

_C = ReasonCode
LATER = datetime(2026, 11, 21, tzinfo=UTC)
REFUSED = "Polar refused: The order is under dispute; it is gone"
# By proposal: its state, how it got there (from, to, sentence), and the error of its one call.
PAST: dict[str, tuple[str, list[tuple[str, str, str | None]], str | None]] = {
    "pundone": ("withdrawn", [("pending", "approved", None), ("approved", "withdrawn", "Undone by U0ANNA in time. Nothing was done.")], None),
    "pfailed": ("failed", [("pending", "approved", "It took too long."), ("executing", "failed", REFUSED)], "The order is under dispute"),
    "pdeclined": ("declined", [("pending", "declined", "It took too long.")], None),
    "pdoubt": ("unknown", [("executing", "unknown", "The program stopped while Polar was being called.")], "The program stopped while Polar was being called."),
    "podd": ("failed", [("executing", "failed", "A sentence \U0001f600 of yore")], None),
    "pplain": ("pending", [], None),
}  # fmt: skip
BUNDLES = {
    "ball": "all|a|v1|orders:generate_invoice|usd|R1",
    "beach": "each|a|v1|orders:generate_invoice|usd|R1",
}


def _third(connection: Connection) -> None:
    """An empty database with the third schema and a few rows."""
    metadata.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0003")
    connection.exec_driver_sql(
        "INSERT INTO rule_versions (version, name, source, first_seen_at) VALUES ('v1', 'a', '{}', 0)"
    )
    _insert(
        connection, "events", id="msg_1", type="order.paid", body=b"{}", signature="", sent_at=1, received_at=1,
        state="done", attempts=1, due_at=0, note="a: waits until 21 Nov 09:30 UTC",
    )  # fmt: skip
    _insert(
        connection, "firings", fact_key="f", rule="a", rule_version="v1", event_id="msg_1", state="waiting",
        attempts=0, due_at=1, note="waits until 21 Nov 09:30 UTC",
    )  # fmt: skip
    for name, key in BUNDLES.items():
        _insert(
            connection, "bundles", id=name, key=key, created_at=0, version=1, drawn=1, card_due_at=0
        )  # fmt: skip
    for name, (state, steps, error) in PAST.items():
        last = next((said for _, _, said in reversed(steps)), None)
        _insert(
            connection, "proposals", id=name, fact_key=name, title="Do it?", because="[]", facts="[]", risk="R2", created_at=1,
            state=state, version=1 + len(steps), attempts=1, looks=0, due_at=0, drawn=0, card_due_at=0, note=last,
        )  # fmt: skip
        _insert(
            connection, "calls", proposal_id=name, number=0, operation="orders:generate_invoice", path="{}", query="{}",
            state="refused" if error else "planned", error=error,
        )  # fmt: skip
        for version, (from_, to, said) in enumerate(steps, 2):
            _insert(
                connection, "transitions", proposal_id=name, version=version, from_state=from_, to_state=to,
                actor="U0ANNA", reason=said, at=version, told=1,
            )  # fmt: skip


def _insert(connection: Connection, table: str, **row: Any) -> None:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    statement = text(f"INSERT INTO {table} ({names}) VALUES ({values})").bindparams(*map(bindparam, row))  # noqa: S608
    connection.execute(statement, row)


def _look(connection: Connection) -> dict[str, Any]:
    return {
        "difference": compare_metadata(MigrationContext.configure(connection), metadata),
        "bundles": [get_bundle(connection, name) for name in BUNDLES],
        "found": {name: get_proposal(connection, name) for name in PAST},
        "event": get_event(connection, "msg_1"),
        "matches": claim_rule_matches(
            connection, token="t", now=LATER, until=LATER + timedelta(minutes=1), limit=9
        ),
        "trails": {name: [change.reason for change in trail(connection, name)] for name in PAST},
    }


@pytest.fixture
async def migrated(database_url: str) -> dict[str, Any]:
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(_third)
    await engine.dispose()
    async with open_store(database_url) as opened:
        return await opened.do(_look)


async def test_sentences_become_reasons_and_none_is_lost(migrated: dict[str, Any]) -> None:
    found, trails = migrated["found"], migrated["trails"]

    changed = [one for one in migrated["difference"] if one[0] in ("add_column", "remove_column")]
    assert [one for one in changed if one[3].name in ("reason_code", "reason_args")] == []
    assert found["pundone"].status_reason == Reason(_C.UNDONE_IN_TIME, {"actor": "U0ANNA"})
    assert trails["pundone"] == [None, found["pundone"].status_reason]
    assert found["pfailed"].status_reason.code is _C.CALLS_REFUSED
    assert trails["pfailed"] == [
        Reason(_C.GIVEN, {"text": "It took too long."}),
        found["pfailed"].status_reason,
    ]
    assert found["pdeclined"].status_reason == Reason(_C.GIVEN, {"text": "It took too long."})
    assert found["pdoubt"].status_reason == found["pdoubt"].calls[0].reason == Reason(_C.STRANDED)
    assert found["podd"].status_reason == Reason(_C.TEXT, {"text": "A sentence \U0001f600 of yore"})
    assert migrated["event"].reason == Reason(_C.TEXT, {"text": "a: waits until 21 Nov 09:30 UTC"})
    assert [one.reason for one in migrated["matches"]] == [
        Reason(_C.TEXT, {"text": "waits until 21 Nov 09:30 UTC"})
    ]
    assert (found["pplain"].status_reason, found["pplain"].calls[0].reason) == (None, None)


async def test_what_is_gone_through_one_by_one_is_said_in_a_column(migrated: dict[str, Any]) -> None:
    kind = "a|v1|orders:generate_invoice|usd|R1"
    assert [(one.key, one.one_by_one) for one in migrated["bundles"]] == [(kind, False), (kind, True)]


async def test_what_was_read_before_is_read_now(migrated: dict[str, Any]) -> None:
    for name, (_, steps, error) in PAST.items():
        said = [sentence for _, _, sentence in steps]
        assert [reason and plain(reason, 600) for reason in migrated["trails"][name]] == said
        why = migrated["found"][name].calls[0].reason
        assert (why and plain(why, 600)) == error
