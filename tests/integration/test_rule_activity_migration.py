"""A database of the first schema is brought to the second, with the firings it has."""

from datetime import UTC, datetime
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import store
from store.engine.store import open_store
from store.events.events import rule_activity

SENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
# The number is SENT in microseconds.
ROWS = """
INSERT INTO events (id, type, body, signature, sent_at, received_at, state, attempts, due_at)
  VALUES ('msg_1', 'order.paid', x'7b7d', '', 1795262400000000, 1795262400000000, 'done', 1, 0);
INSERT INTO rule_versions (version, name, source, first_seen_at) VALUES ('v1', 'a', '{}', 0);
INSERT INTO firings (fact_key, rule, rule_version, event_id, state, attempts)
  VALUES ('fact', 'a', 'v1', 'msg_1', 'proposed', 0);
"""


async def test_firings_of_the_first_schema_get_the_time_of_their_event(tmp_path):
    path = tmp_path / "store.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in ROWS.strip().split(";")[:-1]:
            connection.execute(text(statement))
    engine.dispose()

    async with open_store(f"sqlite+aiosqlite:///{path}") as opened:
        activity = await opened.do(rule_activity)

    assert activity["a"].last_matched_at == SENT
    assert activity["a"].matched == 1
