"""A database that the program filled at revision 0003: migrated, nothing is lost and the audit log is whole."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from store import Connection, open_store
from store.audit_log.log import read_row
from store.audit_log.verify import verify
from store.models import ProposalState
from store.models.reasons import ReasonCode
from store.proposals.details import comments_of
from store.schema.graduation import audit_log
from tests.fixtures.commands import exported
from tests.integration.compare_exports import differences
from tests.integration.old_database import load_old_database, old_export, old_rows


def test_the_old_database_has_rows_in_every_table_and_a_proposal_in_every_state_at_rest():
    rows = old_rows()

    assert [table for table, found in rows.items() if not found] == []
    # The program was stopped in good order: nothing was being sent.
    assert {row["state"] for row in rows["proposals"]} == set(ProposalState) - {ProposalState.EXECUTING}


async def test_exports_before_and_after_differ_in_names_and_codes_alone(database_url: str):
    await load_old_database(database_url)
    async with open_store(database_url) as store:
        proposals = await exported(store, "proposals")
        decisions = await exported(store, "decisions")

    assert list(_all(old_export("proposals"), proposals)) == []
    assert list(_all(old_export("decisions"), decisions)) == []


async def test_an_argument_that_is_lost_or_a_code_that_says_something_else_is_a_difference(database_url: str):
    await load_old_database(database_url)
    async with open_store(database_url) as store:
        proposals = await exported(store, "proposals")

    unseen: set[tuple[str, str]] = set()
    for before, after in zip(old_export("proposals"), proposals, strict=True):
        for told in (one for one in [after, *after["trail"], *after["calls"]] if one["reason_code"]):
            code, args = told["reason_code"], told["reason_args"]
            for name in args:
                told["reason_args"] = {other: args[other] for other in args if other != name}
                unseen |= set() if any(differences(before, after)) else {(code, name)}
            told["reason_code"], told["reason_args"] = ReasonCode.ECHO, args
            unseen |= set() if any(differences(before, after)) else {(code, "")}
            told["reason_code"] = code
    # The code says it already: there is one status of each.
    assert unseen == {("polar_rate_limited", "status"), ("polar_scope_missing", "status")}


async def test_most_sentences_became_codes(database_url: str):
    await load_old_database(database_url)
    async with open_store(database_url) as store:
        proposals = await exported(store, "proposals")

    codes = [row["reason_code"] for row in proposals if row["reason_code"] is not None]
    assert codes
    assert codes.count(ReasonCode.TEXT) * 5 <= len(codes), codes


async def test_the_audit_log_is_whole_after_the_migration(database_url: str):
    before = old_rows()["ledger"]
    await load_old_database(database_url)
    async with open_store(database_url) as store:
        found = await store.do(verify)

    assert (found.problems, found.rows) == ((), len(before))
    assert found.head == before[-1]["hash"]


async def test_a_deleted_message_is_marked_in_its_row_and_in_the_log(database_url: str):
    [before] = [row for row in old_rows()["remarks"] if row["text"].startswith("(deleted) ")]
    await load_old_database(database_url)
    async with open_store(database_url) as store:
        found = await store.do(comments_of, before["proposal_id"])
        logged = await store.do(_comments_in_the_log, before["proposal_id"])

    assert [(one.text, one.deleted) for one in found if one.ts == before["ts"]] == [("Never mind", 1)]
    assert [(one["text"], one.get("deleted")) for one in logged if one.get("ts") == before["ts"]] == [
        ("Never mind", None),
        ("Never mind", 1),
    ]


def _comments_in_the_log(connection: Connection, proposal_id: str) -> list[dict[str, Any]]:
    own = (audit_log.c.subject == proposal_id, audit_log.c.kind == "remark")
    rows = connection.execute(select(audit_log.c.body).where(*own).order_by(audit_log.c.seq)).scalars()
    return [read_row("remark", body)[1] for body in rows]


def _all(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    assert len(old) == len(new)
    for before, after in zip(old, new, strict=True):
        yield from (f"{before.get('id')}{line}" for line in differences(before, after))
