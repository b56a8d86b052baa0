"""`python -m bot backtest` over a real database: a table, JSON, another policy, and what cannot be used."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.cli import backtest
from tests.fixtures.past_cases import MAYA, past


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database of a kind of case that was earned and runs."""

    async def live(folder: Path) -> None:
        async with past(folder) as made:
            await made.earn()
            for number in range(12):
                await made.says(await made.case(number % 2))
                made.now += timedelta(hours=8)

    folder = tmp_path_factory.mktemp("lived")
    asyncio.run(live(folder))
    return folder


@pytest.fixture(autouse=True)
def _settings(lived: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {
        "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1", "SLACK_CHANNEL": "C0CARDS",
        "POLAR_ACCESS_TOKEN": "polar_oat_1", "POLAR_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "APPROVERS": MAYA, "DATABASE_URL": f"sqlite+aiosqlite:///{lived / 'past.db'}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def test_it_says_what_would_have_run_and_what_is_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Back-test over all of the log: 54 cases.")
    assert "Why a person was still asked:" in said
    assert "Spot checks are drawn with the program's own secret" in said
    assert "17" * 32 not in said


@pytest.mark.parametrize("size", [1, 7])
def test_the_size_of_the_slices_that_are_read_changes_nothing(
    size: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["backtest", "--json"]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr(backtest, "_SLICE", size)
    assert main(["backtest", "--json"]) == 0
    assert capsys.readouterr().out == whole


def test_as_json_and_under_another_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "--json"]) == 0
    now = json.loads(capsys.readouterr().out)
    assert now["total"]["would_have_run"] > 0
    assert now["total"]["seconds_saved"] == 20 * now["total"]["would_have_run"]
    assert now["total"]["cases"] == now["total"]["would_have_run"] + now["total"]["asked"] == 54
    (tmp_path / "strict.toml").write_text("[graduation]\nR1 = 99\n\n[caps]\nday_count = 1\n")
    assert main(["backtest", "--json", "--policy", "strict.toml"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["would_have_run"] == 0
    assert main(["backtest", "--json", "--since", "1d"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["cases"] == 0


def test_what_cannot_be_used_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wrong.toml").write_text("[graduation]\nR1 = 20\n")
    assert main(["backtest", "--policy", "wrong.toml"]) == 1
    assert "`graduation.R1`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["backtest", "--since", "yesterday"])
