"""A database file that is spoilt: every command says so in SQLite's own words, and none ends in a traceback."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.__main__ import main
from store import open_store
from tests.fixtures.commands import environment

SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no database": (lambda _: b"not a database at all, really" * 500, "file is not a database"),
    "cut off": (lambda data: data[:20_000], "database disk image is malformed"),
    "overwritten": (
        lambda data: data[:4_096] + b"\xff" * (len(data) - 4_096),
        "database disk image is malformed",
    ),
}
COMMANDS = (
    "check", "decide p1 decline --as U0MAYA00001", "export events", "export proposals", "export decisions", "explain p1",
    "verify-log", "backtest",
)  # fmt: skip


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a new database."""

    async def make(path: Path) -> None:
        async with open_store(f"sqlite+aiosqlite:///{path}") as store:
            await store.ping()

    path = tmp_path_factory.mktemp("healthy") / "a.db"
    asyncio.run(make(path))
    return path.read_bytes()


@pytest.fixture(params=SPOILT)
def words(
    request: pytest.FixtureRequest, healthy: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What SQLite says of a spoilt file that the settings name."""
    spoil, said = SPOILT[request.param]
    (tmp_path / "a.db").write_bytes(spoil(healthy))
    for name, value in environment(tmp_path / "a.db").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_sqlite_says(
    command: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 1

    printed = capsys.readouterr()
    assert words in printed.out + printed.err
    assert "disk full" not in printed.out + printed.err


def test_the_program_does_not_start_and_says_what_sqlite_says(words: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bot", "run"], env=environment(tmp_path / "a.db"), check=False,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert ran.returncode == 1
    assert words in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr
