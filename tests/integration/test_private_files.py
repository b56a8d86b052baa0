"""What the program writes is for its owner alone, whatever the umask was before."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import open_store
from tests.fixtures.commands import environment


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The rights on a folder and on all that is in it."""
    found = {one.name: one for one in (folder, *folder.iterdir())}
    return {name: stat.S_IMODE(one.stat().st_mode) for name, one in found.items()}


def test_the_database_its_log_of_writes_and_its_folder_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "run"], env=environment(folder / "a.db"), cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as program:  # fmt: skip
        assert program.stdout is not None
        assert any("listening on" in line for line in program.stdout)
        found = modes(folder)
        program.kill()

    assert found == {"data": 0o700} | dict.fromkeys(["a.db", "a.db-wal", "a.db-shm", "a.db.lock"], 0o600)


@pytest.mark.parametrize(
    "command", ["export events", "export proposals", "export decisions", "verify-log", "backtest"]
)
async def test_a_new_file_that_is_printed_into_is_private(tmp_path: Path, command: str) -> None:
    path, printed = tmp_path / "a.db", tmp_path / "printed"
    async with open_store(f"sqlite+aiosqlite:///{path}") as store:
        await store.ping()
    with printed.open("wb") as file:
        subprocess.run(  # noqa: S603, ASYNC221 - this interpreter, our own program
            [sys.executable, "-m", "bot", *command.split()], env=environment(path), cwd=tmp_path, stdout=file,
            check=True, timeout=60,
        )  # fmt: skip

    assert stat.S_IMODE(printed.stat().st_mode) == 0o600


async def test_the_rights_on_a_file_that_is_added_to_stay(tmp_path: Path) -> None:
    path, printed = tmp_path / "a.db", tmp_path / "printed"
    async with open_store(f"sqlite+aiosqlite:///{path}") as store:
        await store.ping()
    printed.write_text("earlier\n")
    printed.chmod(0o640)
    with printed.open("ab") as file:
        subprocess.run(  # noqa: ASYNC221 - this interpreter, our own program
            [sys.executable, "-m", "bot", "verify-log"], env=environment(path), cwd=tmp_path, stdout=file,
            check=True, timeout=60,
        )  # fmt: skip

    assert stat.S_IMODE(printed.stat().st_mode) == 0o640
