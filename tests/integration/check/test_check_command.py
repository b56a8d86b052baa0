"""`python -m bot check` as a whole: what it prints, what it never shows; the rules and the database."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.checks import Level
from bot.cli import check as command
from bot.config import settings as environment
from bot.demo.polar import PolarStandIn
from bot.demo.slack import SlackStandIn
from store import open_store

MAYA, GROUP = "U0MAYA00001", "S0APPROVERS"
SECRETS = ("xoxb-stand-in", "xapp-stand-in", "polar_oat_demo")
ENDPOINT = "https://bot.example.com/polar/webhooks"


async def test_when_everything_is_as_it_should_be_only_the_write_scopes_stay_open(check: Any) -> None:
    findings = await check(APPROVERS=f"{MAYA},{GROUP}")

    assert findings.worse() == []
    untried = findings.only("The rules also need scopes").found
    assert {"license_keys:write", "refunds:write", "disputes:write"} <= set(
        untried.rstrip(".").split(": ")[1].split(", ")
    )
    assert findings.only("SLACK_BOT_TOKEN works: @polar-approvals in the workspace Harbor Software.")
    assert findings.only(f"APPROVERS {GROUP} is a user group; its members (2)")


async def test_nothing_is_written_anywhere_but_in_the_database(
    check: Any, slack: SlackStandIn, polar: PolarStandIn
) -> None:
    await check(APPROVERS=f"{MAYA},{GROUP}")

    assert {request.method for request in polar.requests} == {"GET"}
    assert not [exchange.what for exchange in slack.calls("chat.postMessage")]
    assert slack.messages() == []
    lists = [request for request in polar.requests if request.path != "/v1/webhooks/endpoints"]
    assert {request.query for request in lists} <= {(("limit", "1"),), ()}  # one row, where there are pages


async def test_each_mistake_in_the_rules_is_told(check: Any, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(
        '[[rule]]\nname = "x"\non = ["order.payed"]\noperation = "orders:gt"\ntitle = "?"\n'
    )
    findings = (await check(RULES_FILE=str(tmp_path / "rules.toml"))).worse()

    told = [finding.found for finding in findings if "rules.toml, rule 'x'" in finding.found]
    assert len(told) >= 2
    assert {finding.level for finding in findings if finding.found in told} == {Level.PROBLEM}


async def test_without_usable_rules_polar_is_not_compared_with_them(check: Any, tmp_path: Path) -> None:
    findings = (await check(RULES_FILE=str(tmp_path / "none.toml"))).worse()

    assert [finding.level for finding in findings] == [Level.PROBLEM, Level.WARNING]
    assert "cannot be read" in findings[0].found
    assert "were not compared with the rules" in findings[1].found


async def test_a_database_in_use_is_no_problem(check: Any, configure: Any) -> None:
    async with open_store(configure().database_url.get_secret_value()):
        (finding,) = (await check()).worse()

    assert (finding.level, finding.found.startswith("The database is in use")) == (Level.WARNING, True)


async def test_a_database_that_cannot_be_opened_is_a_problem(check: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = (await check(DATABASE_URL=f"sqlite:///{tmp_path}/file/db.sqlite")).worse()

    assert finding.level is Level.PROBLEM
    assert finding.found.startswith("The database cannot be used: ")


async def test_a_missing_database_driver_is_named(check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    (finding,) = (await check(DATABASE_URL="postgresql://127.0.0.1:1/none")).worse()

    assert finding.found == "The database needs the Python package asyncpg."


async def test_main_prints_one_line_for_what_is_and_one_for_what_to_do(
    configure: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command.main(configure()) == 0
    assert capsys.readouterr().out.endswith("Ready to run.\n")

    assert await command.main(configure(APPROVERS="")) == 1
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("problem  Nobody may decide: APPROVERS is empty.")
    assert lines[place + 1].startswith("         → In Slack open the person's profile")
    assert lines[-1].endswith("found a problem.")


async def test_names_from_slack_cannot_write_to_the_terminal(
    configure: Any, slack: SlackStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    slack.workspace.channel.name = "x\x1b[2J\nok       everything"
    await command.main(configure())

    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "SLACK_CHANNEL #x [2J ok everything exists" in printed


async def test_no_secret_is_printed(
    configure: Any, polar: PolarStandIn, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await command.main(configure())
    polar.connect(f"{ENDPOINT}?key=hidden")["secret"] = "whsec_hidden"
    await command.main(configure(POLAR_ACCESS_TOKEN="polar_oat_hidden", SLACK_BOT_TOKEN="xoxb-hidden"))
    await command.main(configure(POLAR_WEBHOOK_SECRET="hidden" * 3))

    shown = capsys.readouterr().out + caplog.text
    assert not [secret for secret in (*SECRETS, polar.webhook_secret, "hidden") if secret in shown]


async def test_the_command_takes_its_settings_from_the_environment(
    configure: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure()
    for name in (*environment.SECRETS, *environment.PLAIN):
        value = getattr(settings, name.lower())
        plain = value.get_secret_value() if name in environment.SECRETS and value else value
        monkeypatch.setenv(name, MAYA if name == "APPROVERS" else str(plain or ""))
    monkeypatch.chdir(tmp_path)

    assert await asyncio.to_thread(command.run, []) == 0
    assert capsys.readouterr().out.endswith("Ready to run.\n")


def test_incomplete_settings_are_told_and_nothing_else_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    (tmp_path / ".env").write_text("SLACK_CHANNEL=approvals\n")

    assert command.run([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "problem  SLACK_BOT_TOKEN is missing. Copy the Bot User" in lines[0]
    assert not list(tmp_path.glob("data"))
