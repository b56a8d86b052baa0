"""The benchmark's own parts: a filled database is one that the program works with, and Ctrl-C leaves nothing."""

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tests.bench.child import ROOT
from tests.bench.deliveries import LISTENED
from tests.bench.history import grow, shown
from tests.bench.load import send
from tests.bench.stage import on_stage, until

_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"


async def test_the_program_goes_on_with_a_database_that_was_filled_with_copies():
    async with on_stage() as stage:
        with closing(sqlite3.connect(stage.database)) as database:
            made = database.execute(_INDEXES).fetchall()
        await grow(stage, events=50, waiting=20)
        with closing(sqlite3.connect(stage.database)) as database:
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert database.execute(_INDEXES).fetchall() == made
        assert (stage.ask("SELECT count(*) FROM events"), stage.ask("SELECT count(*) FROM calls")) == (50, 20)

        await shown(stage, "queue")
        assert "20" in stage.demo.slack.ephemerals(stage.demo.slack.people[0])[-1].text
        await send(stage.job(LISTENED, most=1, first=1))
        assert await stage.carded(2, within=20)
        assert stage.errors == []


async def test_an_unhurried_program_tells_its_statements_and_its_longest_transaction():
    async with on_stage() as stage:
        before = await stage.statements()
        await send(stage.job(LISTENED, most=1))
        assert await stage.carded(1, within=20)
        assert await stage.statements() - before >= 5
        assert 0 < await stage.held() < 10


async def test_an_interrupted_run_ends_its_programs_and_removes_what_it_stored(tmp_path):
    bench = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench", "accept",
        cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert await until(lambda: len(_children(bench.pid)) >= 2, within=30)  # the yardstick, the program
        begun = _children(bench.pid)
        bench.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(bench.communicate(), 20)
    finally:
        if bench.returncode is None:
            bench.kill()
    assert bench.returncode == 130
    assert out.decode().splitlines()[-1] == "Interrupted."
    assert list(filter(_runs, begun)) == []
    assert list(tmp_path.iterdir()) == []


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(one) for one in found.split()]


def _runs(process: int) -> bool:
    return Path(f"/proc/{process}").exists()
