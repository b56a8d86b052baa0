"""Graduation's sentences and names of the third schema are codes and standard names in the fourth."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, bindparam, select, text

import store
from store import open_store
from store.audit_log.log import row_hash
from store.audit_log.verify import ProblemCode, verify
from store.engine.engines import make_engine
from store.graduation.case_kinds import get_case_kind
from store.graduation.labels import generations_of
from store.graduation.pages import changes_of
from store.graduation.reducer import Generation
from store.models import CaseKindState, Mode
from store.models.graduation import CaseCounts
from store.models.reasons import ChangeCause, ChangeCode
from store.proposals.proposals import get_proposal
from store.schema.graduation import cap_usage, case_labels, metadata

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
MICROSECONDS = int(AT.timestamp()) * 1_000_000
GATE = {
    "verdict": "audit", "why": "drawn for an audit", "would_run": True, "would_why": "", "pi": 0.5, "state": "graduated",
    "decree": False, "epoch": 0, "n": 52, "k": 1, "score": 92.1, "target": 90, "audits": [5, 5], "paused": None,
    "spent": {"customer": [0, 0], "shape": [2, 0], "day": [2, 0]}, "amount": 0, "currency": "", "dead_man": 259200,
    "caps": {"case": 0, "customer": [3, 0], "shape": [50, 0], "day": [200, 0]}, "human_at": None, "at": AT.isoformat(),
}  # fmt: skip
CHANGE = {
    "from": "graduated", "to": "asking", "actor": "U1", "cause": "an audited case was declined (p1)", "epoch": 1,
    "decree": False, "new_epoch": True, "words": "An invoice", "epoch_at": AT.isoformat(),
}  # fmt: skip


def _third(connection: Connection) -> None:
    """An empty database with the third schema and a few rows."""
    metadata.drop_all(connection)
    connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0003")
    _insert(
        connection, "shapes", hash="5a9e", family="f", fields="{}", words="An invoice", risk="R1", state="asking",
        decree=0, epoch=1, epoch_at=MICROSECONDS, n=3, k=1, customers=2, clean_tail=2, audits_agreed=1, audits=1, seen="{}",
        used_at=MICROSECONDS, changed_at=MICROSECONDS, cause=CHANGE["cause"], offered_at=MICROSECONDS,
    )  # fmt: skip
    for name, change in (
        ("p1", {"mode": "audit", "gate": json.dumps(GATE), "always_asks": "a person edited it"}),
        ("poffer1", {"kind": "graduation", "fact_key": "graduation|5a9e|0|40", "created_at": 1}),
        ("poffer2", {"kind": "graduation", "fact_key": "graduation|5a9e|1|62", "created_at": 2}),
    ):
        row = {
            "id": name, "fact_key": name, "title": "Do it?", "because": "[]", "facts": "[]", "risk": "R1", "created_at": 1,
            "state": "pending", "version": 1, "attempts": 0, "looks": 0, "due_at": 0, "drawn": 0, "card_due_at": 0,
            "shape": "5a9e",
        }  # fmt: skip
        _insert(connection, "proposals", **row | change)
    for name, why in (("p1", "yes by one tap for several"), ("poffer1", "in no table")):
        _insert(
            connection, "labels", proposal_id=name, shape="5a9e", epoch=0, bad=0, counted=0, why=why, audit=1,
            decided_at=1, matures_at=1,
        )  # fmt: skip
    for scope in ("shape:5a9e", "customer:shape:x"):
        _insert(connection, "spending", scope=scope, day="2026-11-21", currency="", count=1, amount=0)
    previous = "0" * 64
    policy = {"shape": "5a9e", "mode": "audit", "gate": GATE}
    for seq, (kind, subject, body) in enumerate((("policy", "p1", policy), ("shape", "5a9e", CHANGE)), 1):
        plain = json.dumps(body, sort_keys=True, separators=(",", ":"))
        digest = row_hash(previous, seq=seq, at=AT, kind=kind, subject=subject, body=plain)
        _insert(
            connection, "ledger", seq=seq, at=MICROSECONDS, kind=kind, subject=subject, body=plain, hash=digest
        )  # fmt: skip
        previous = digest


def _insert(connection: Connection, table: str, **row: Any) -> None:
    values = ", ".join(f":{name}" for name in row)
    statement = text(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})")  # noqa: S608 - our own words
    connection.execute(statement.bindparams(*map(bindparam, row)), row)


def _look(connection: Connection) -> dict[str, Any]:
    return {
        "kind": get_case_kind(connection, "5a9e"),
        "proposal": get_proposal(connection, "p1"),
        "labels": dict(
            tuple(row)
            for row in connection.execute(select(case_labels.c.proposal_id, case_labels.c.reason_code))
        ),
        "scopes": set(connection.execute(select(cap_usage.c.scope)).scalars()),
        "changes": changes_of(connection, "5a9e"),
        "generations": generations_of(connection, "5a9e"),
        "problems": verify(connection).problems,
    }


@pytest.fixture
async def migrated(database_url: str) -> dict[str, Any]:
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(_third)
    await engine.dispose()
    async with open_store(database_url) as opened:
        return await opened.do(_look)


async def test_rows_of_graduation_are_all_there_and_say_the_same(migrated: dict[str, Any]) -> None:
    kind, cause = migrated["kind"], ChangeCause.of(ChangeCode.SPOT_CHECK_DECLINED, proposal="p1")
    assert (kind.label, kind.counts, kind.cause) == ("An invoice", CaseCounts(3, 1, 1), cause)
    assert (kind.last_case_at, kind.approvals_since_rejection) == (AT, 2)
    assert (kind.spot_checks_agreed, kind.offered_generation, kind.offered_cases) == (1, 1, 62)
    assert migrated["labels"] == {"p1": "bulk", "poffer1": "text"}
    assert migrated["scopes"] == {"case_kind:5a9e", "customer:shape:x"}
    proposal = migrated["proposal"]
    assert (proposal.mode, proposal.always_asks) == (Mode.SPOT_CHECK, "edited")
    assert proposal.gate["reason"] == {"code": "spot_check", "args": {}}
    assert (proposal.gate["cases"], proposal.gate["rejections"]) == (52, 1)


async def test_the_log_stays_as_it_was_and_is_read_in_the_names_of_today(migrated: dict[str, Any]) -> None:
    (change,) = migrated["changes"]
    assert (change.to, change.demoted, change.generation) == (CaseKindState.ASKING, True, 1)
    assert change.cause == ChangeCause.of(ChangeCode.SPOT_CHECK_DECLINED, proposal="p1")
    assert migrated["generations"] == [Generation(), Generation(1, AT)]
    # The mark of the newest row is missing, as no old program has written these rows.
    assert [one for one in migrated["problems"] if one.code != ProblemCode.CUT_OFF] == []
