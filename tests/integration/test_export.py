"""`polar-approvals export` reads in slices: all rows, in order, in one short transaction each."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bot.cli import export
from store import Store, open_store
from store.models import Decision, NewEvent, NewProposal, Verdict
from store.proposals.decisions import decide
from tests.fixtures.commands import environment, exported
from tests.integration.conftest import NOW

SECOND = timedelta(seconds=1)


async def test_slices_hold_every_row_once_and_in_order(
    store: Store,
    new_event: Callable[..., NewEvent],
    new_proposal: Callable[..., NewProposal],
    store_proposal: Callable[..., NewProposal],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in (4, 0, 2, 2, 2):  # received in one moment: then by id
        await store.record(new_event(received_at=NOW + number * SECOND))
    for number in (1, 0, 2, 2, 2):
        made = await store.do(store_proposal, new_proposal(created_at=NOW + number * SECOND))
        await store.do(decide, Decision(made.id, "U1", Verdict.DECLINE, "button", NOW))
    whole = {what: await exported(store, what) for what in export._EXPORTS}
    for size in (1, 2, 3):
        monkeypatch.setattr(export, "_SLICE", size)
        assert {what: await exported(store, what) for what in export._EXPORTS} == whole

    assert {what: len(rows) for what, rows in whole.items()} == {"events": 10, "proposals": 5, "decisions": 5}
    events, proposals = whole["events"], whole["proposals"]
    assert events == sorted(events, key=lambda one: (one["received_at"], one["id"]))
    assert proposals == sorted(proposals, key=lambda one: (one["created_at"], one["id"]))


async def test_a_reader_that_has_stopped_keeps_no_log_of_writes_from_being_reset(
    tmp_path: Path, new_event: Callable[..., NewEvent]
) -> None:
    path = tmp_path / "a.db"
    async with open_store(f"sqlite+aiosqlite:///{path}") as store:
        for _ in range(300):
            await store.record(new_event(body=json.dumps({"note": "x" * 10_000}).encode()))
        with subprocess.Popen(  # noqa: ASYNC220 - this interpreter, our own program; it is not waited for
            [sys.executable, "-m", "bot", "export", "events"], env=environment(path), cwd=tmp_path,
            stdout=subprocess.PIPE,
        ) as reader:  # fmt: skip
            assert reader.stdout is not None
            reader.stdout.readline()  # and no more: a pipe holds 64 KiB, the export is 3 MB
            await store.record(new_event())
            with sqlite3.connect(path, timeout=30) as beside:
                busy, *_ = beside.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            beside.close()
            still_reading = reader.poll() is None
            reader.kill()

    assert (busy, still_reading) == (0, True)
