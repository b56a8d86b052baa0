"""The README is true: its tables name what there is, its examples load, its pictures exist."""

import re
import tomllib
from pathlib import Path

import pytest

from bot.__main__ import COMMANDS as ON_THE_MACHINE
from bot.config.policy import TABLES
from bot.config.settings import PLAIN, SECRETS
from bot.graduation.eligibility import STANDARDS
from bot.graduation.score import clean_needed
from bot.listeners.commands import COMMANDS as IN_SLACK
from bot.listeners.threads import WORDS, read
from bot.rules import load_rules
from bot.rules.always_ask import ALWAYS_ASK_EVENTS
from polar.catalog import Risk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
BOT = "UBOT"


def table(after: str) -> list[list[str]]:
    """The cells of the first table after these words, without its head."""
    rows = re.search(r"(?:^\|.*\n)+", PAGE.split(after)[1], re.MULTILINE)
    assert rows is not None, after
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows[0].splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in cells]


def code(cells: list[str]) -> list[str]:
    return [said for cell in cells for said in re.findall(r"`([^`]+)`", cell)]


def test_every_command_is_told_and_none_that_is_not_there():
    told = {said.split()[0] for row in table("On the machine, ") for said in code(row[:1])}

    assert told == ON_THE_MACHINE.keys()


def test_every_word_after_polar_is_told():
    told = {said.split()[0] for row in table("In Slack, after `/polar`") for said in code(row[:1])}

    assert told == IN_SLACK.keys()


def test_every_word_in_a_thread_is_told_and_understood():
    rows = table("and one of these:")
    told = [said for row in rows for said in code(row[:1])]
    times = next(row for row in rows if "snooze" in row[0])

    assert {said.split()[0] for said in told} == WORDS.keys()
    understood = [said.replace("@somebody", "<@U1>") for said in [*told, "assign me"]]
    understood += [f"snooze {said}" for said in code(times[1:])]
    assert all(read(f"<@{BOT}> {said}", BOT).word for said in understood)
    assert "`approve? no, wait` approves nothing" in PAGE
    assert read(f"<@{BOT}> approve? no, wait", BOT).word == ""


def test_every_setting_is_told_here_and_in_the_example():
    told = {said for row in table("path of a file that holds it.") for said in code(row[:1])}
    example = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))

    assert told == {*SECRETS, *PLAIN}
    assert example == told


@pytest.mark.parametrize("risk", STANDARDS, ids=str)
def test_the_table_of_classes_has_the_real_figures(risk: Risk):
    [row] = [row for row in table("`always asks: irreversible`.") if row[0] == risk]
    standard = STANDARDS[risk]

    assert row[2] == f"{standard.target:g}"
    assert row[3] == " / ".join(str(clean_needed(0, 0, generation, standard.limit)) for generation in (0, 1))
    assert row[4] == f"{standard.spot_check_floor:.0%}".replace("%", " %")


def test_what_always_asks_is_named():
    assert all(f"`{name}`" in PAGE for name in ALWAYS_ASK_EVENTS)


def test_examples_load_one_by_one_and_in_one_file(tmp_path: Path):
    for number, text in enumerate([*EXAMPLES, "\n".join(EXAMPLES)]):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, encoding="utf-8")
        load_rules(path)

    assert len(EXAMPLES) == 2
    shown = tomllib.loads(EXAMPLES[1])
    assert shown.keys() == TABLES


def test_the_policy_of_the_example_is_what_its_comments_say(tmp_path: Path):
    path = tmp_path / "policy.toml"
    path.write_text(EXAMPLES[1], encoding="utf-8")
    policy = load_rules(path).policy

    assert policy.takes_two(Risk.R1, 50_000, "usd")
    assert not policy.takes_two(Risk.R1, 49_999, "usd")
    assert policy.caps.day_amount == {"usd": 10_000}
    assert policy.caps.action_amount["eur"] == 2_000


def test_files_that_it_shows_or_links_to_exist():
    named = re.findall(r'src="([^"]+)"', PAGE) + re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", PAGE)

    assert named
    assert all((ROOT / name).exists() for name in named)
