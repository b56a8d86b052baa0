"""A database of the second schema, with rows in it, is brought to the third; hostile text does not stop it."""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import JSON, Connection, column, insert, inspect, table, text

import store
from store import open_store
from store.audit_log.verify import verify
from store.engine.engines import make_engine
from store.events.events import latest_state
from store.graduation.admission import past_of
from store.models import Mode, ProposalKind, ProposalState, Verdict
from store.models.details import ProposalDetails
from store.models.graduation import Past
from store.proposals.details import proposal_details
from store.proposals.proposals import get_proposal
from store.schema.graduation import metadata
from tests.integration.conftest import _new_proposal

ROWS = (
    """INSERT INTO events (id, type, body, signature, sent_at, received_at, state, attempts, due_at)
       VALUES ('msg_1', 'order.paid', '{}', '', 1, 1, 'done', 1, 0)""",
    "INSERT INTO rule_versions (version, name, source, first_seen_at) VALUES ('v1', 'a', '{}', 0)",
    """INSERT INTO firings (fact_key, rule, rule_version, event_id, state, attempts)
       VALUES ('fact', 'a', 'v1', 'msg_1', 'proposed', 0)""",
    """INSERT INTO proposals (id, fact_key, event_id, rule, rule_version, title, because, facts, risk, created_at,
         state, version, attempts, looks, decided_by, decided_at, due_at, drawn, card_due_at)
       VALUES ('p1', 'fact', 'msg_1', 'a', 'v1', 'Do it?', '["paid"]', '[["Customer", "Ada"]]', 'R2', 1,
         'succeeded', 4, 1, 0, 'U1', 2, 0, 4, 0)""",
    """INSERT INTO calls (proposal_id, number, operation, path, query, body, state)
       VALUES ('p1', 0, 'orders:generate_invoice', '{"id": "o"}', '{}', NULL, 'done')""",
    "INSERT INTO decisions (proposal_id, actor, verdict, via, at) VALUES ('p1', 'U1', 'approve', 'button', 2)",
    """INSERT INTO transitions (proposal_id, version, to_state, actor, at, told)
       VALUES ('p1', 1, 'pending', 'rule a', 1, 1)""",
)
STATES = {
    "order:1": {"status": "paid", "customer_id": "c1"},
    "order:2": {"status": "paid", "customer_id": "c1", "name": "A\0da\ud800 \U0001f600"},
    "refund:1": {"status": "succeeded", "customer_id": "c1"},
    "product:1": {"name": "Pro"},
}
SUBJECTS = table(
    "subjects",
    *(column(name) for name in ("subject", "terminal", "occurred_at", "rank", "event_id")),
    column("state", JSON),
)


def _second(connection: Connection) -> None:
    """An empty database with the second schema and a few rows."""
    metadata.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0002")
    for statement in ROWS:
        connection.exec_driver_sql(statement)
    same = {"terminal": 0, "occurred_at": 1, "rank": 0, "event_id": "msg_1"}
    connection.execute(
        insert(SUBJECTS), [same | {"subject": name, "state": state} for name, state in STATES.items()]
    )


def _look(connection: Connection) -> dict[str, Any]:
    proposal = _new_proposal(customer_id="c1", subject="order:9")
    return {
        "difference": compare_metadata(MigrationContext.configure(connection), metadata),
        "past": past_of(connection, proposal),
        "odd": latest_state(connection, "order:2"),
        "product": latest_state(connection, "product:1"),
        "proposal": get_proposal(connection, "p1"),
        "dossier": proposal_details(connection, "p1"),
        "verified": verify(connection),
        "order": {each["name"]: each["type"] for each in inspect(connection).get_columns("subjects")}[
            "subject"
        ],
    }


async def test_rows_of_the_second_schema_are_all_there_in_the_third(database_url: str) -> None:
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(_second)
    await engine.dispose()

    async with open_store(database_url) as opened:
        found = await opened.do(_look)

    assert found["difference"] == []
    assert found["past"] == Past(orders=2, refunds=1, dispute=False)
    assert found["odd"]["customer_id"] == "c1"
    assert found["odd"]["name"].endswith("\U0001f600")
    assert found["product"] == {"name": "Pro"}
    proposal = found["proposal"]
    assert (proposal.state, proposal.kind, proposal.mode) == (
        ProposalState.SUCCEEDED,
        ProposalKind.CALLS,
        Mode.ASKED,
    )
    assert (proposal.revision, proposal.has_card, proposal.facts) == (1, True, (("Customer", "Ada"),))
    assert [call.path for call in proposal.calls] == [{"id": "o"}]
    known: ProposalDetails = found["dossier"]
    assert [(one.actor, one.verdict, one.revision) for one in known.decisions] == [("U1", Verdict.APPROVE, 1)]
    order = getattr(found["order"], "collation", None)
    assert order == ("C" if database_url.startswith("postgresql") else None)  # a prefix is a range
    assert (found["verified"].rows, found["verified"].problems) == (0, ())
