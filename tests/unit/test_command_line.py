"""The command line: one name everywhere, and errors that are a line on standard error and the exit code 1."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from bot.__main__ import COMMANDS, main, script
from polar.client import VERSION

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_settings(tmp_path, monkeypatch):
    """A folder without .env, and an environment without our variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL", "POLAR_ACCESS_TOKEN", "POLAR_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_calls_itself_by_the_name_of_the_script(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    assert 0 == ended.value.code
    assert capsys.readouterr().out.startswith(f"usage: polar-approvals {command}")


def test_the_console_script_is_what_python_m_bot_runs(capsys, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, name = project["project"]["scripts"]["polar-approvals"].partition(":")
    monkeypatch.setattr("sys.argv", ["polar-approvals", "help"])

    assert script is getattr(import_module(module), name)
    assert 0 == script()
    listed = capsys.readouterr().out
    assert [] == [command for command in COMMANDS if f"  {command} " not in listed]


def test_the_version_is_written_down_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert "version" not in project["project"]
    assert {"attr": "polar.client.VERSION"} == project["tool"]["setuptools"]["dynamic"]["version"]
    assert 3 == len(VERSION.split("."))


def test_the_running_program_loads_no_command_lines_and_no_object_mapper():
    code = (
        "import sys; from bot.cli.run import without_command_lines, without_orm\n"
        "without_command_lines(); without_orm()\n"
        "import bot.app\n"
        "print([one for one in ('sqlalchemy.orm', 'typer', 'rich', 'alembic', 'PIL') if one in sys.modules])"
    )
    ran = subprocess.run(  # noqa: S603 - this interpreter, our own program
        [sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


@pytest.mark.parametrize(
    "arguments", [["export", "events"], ["explain", "p1"], ["verify-log"], ["backtest"], ["run"]]
)
def test_without_settings_a_command_says_what_is_missing_and_fails(arguments, without_settings, capsys):
    assert 1 == main(arguments)

    printed = capsys.readouterr()
    assert "" == printed.out
    assert "- SLACK_BOT_TOKEN is missing." in printed.err
