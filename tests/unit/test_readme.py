"""The documents are true: their tables name what there is, examples load, pictures and links exist."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.__main__ import COMMANDS as ON_THE_MACHINE
from bot.config.settings import PLAIN, SECRETS
from bot.graduation.score import STANDARDS, clean_needed
from bot.listeners.commands import COMMANDS as IN_SLACK
from bot.listeners.threads import WORDS, read
from bot.rules import load_rules
from bot.rules.rule import ALWAYS_ASK_EVENTS
from polar.catalog import Risk
from tests.fixtures.named_files import missing_files

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "bot/listeners/README.md").read_text(encoding="utf-8")
COMMAND_LINE = (ROOT / "bot/cli/README.md").read_text(encoding="utf-8")
GRADUATION = (ROOT / "bot/graduation/README.md").read_text(encoding="utf-8")
RULES = (ROOT / "bot/rules/README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in ("", ".github", "bot", "polar", "store", "tests")
    for path in (ROOT / folder).glob("*.md" if not folder else "**/*.md")
)
MOST_WORDS = 1_200
BOT = "UBOT"


def table(after: str, page: str) -> list[list[str]]:
    """The cells of the first table after these words, without its head."""
    rows = re.search(r"(?:^\|.*\n)+", page.split(after)[1], re.MULTILINE)
    assert rows is not None, after
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows[0].splitlines()[2:]]
    return [[cell.strip() for cell in row] for row in cells]


def code(cells: list[str]) -> list[str]:
    return [said for cell in cells for said in re.findall(r"`([^`]+)`", cell)]


def test_every_command_is_told_and_none_that_is_not_there():
    told = {said.split()[0] for row in table("On the machine, ", COMMAND_LINE) for said in code(row[:1])}

    assert told == ON_THE_MACHINE.keys()


def test_every_word_after_polar_is_told():
    told = {said.split()[0] for row in table("In Slack, after `/polar`", GUIDE) for said in code(row[:1])}

    assert told == IN_SLACK.keys()


def test_every_word_in_a_thread_is_told_and_understood():
    rows = table("one of\nthese:", GUIDE)
    told = [said for row in rows for said in code(row[:1])]
    times = next(row for row in rows if "snooze" in row[0])

    assert {said.split()[0] for said in told} == WORDS.keys()
    understood = [said.replace("@somebody", "<@U1>") for said in [*told, "assign me"]]
    understood += [f"snooze {said}" for said in code(times[1:])]
    assert all(read(f"<@{BOT}> {said}", BOT).word for said in understood)
    assert "`approve? no, wait` approves nothing" in GUIDE
    assert read(f"<@{BOT}> approve? no, wait", BOT).word == ""


def test_every_setting_is_told_here_and_in_the_example():
    told = {said for row in table("path of a file that holds it.", PAGE) for said in code(row[:1])}
    example = set(re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))

    assert told == {*SECRETS, *PLAIN}
    assert example == told


@pytest.mark.parametrize("risk", STANDARDS, ids=str)
def test_the_table_of_classes_has_the_real_figures(risk: Risk):
    [row] = [
        row
        for row in table("days, and no rejection in the last ten cases (`score.py`).", GRADUATION)
        if row[0] == risk
    ]
    standard = STANDARDS[risk]

    assert row[2] == f"{standard.target:g}"
    assert row[3] == " / ".join(str(clean_needed(0, 0, generation, standard.limit)) for generation in (0, 1))
    assert row[4] == f"{standard.spot_check_floor:.0%}".replace("%", " %")


def test_what_always_asks_is_named():
    assert all(f"`{name}`" in RULES for name in ALWAYS_ASK_EVENTS)


def test_the_example_of_the_readme_loads(tmp_path: Path):
    [example] = EXAMPLES
    path = tmp_path / "rules.toml"
    path.write_text(example, encoding="utf-8")

    load_rules(path)


def contract(name: str) -> Mapping[str, Any]:
    held = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    [found] = [one for one in held if one["name"].startswith(name)]
    return found


def test_the_layers_of_bot_are_told_from_the_top_as_they_are_held():
    rows = table("## The layers of bot", (ROOT / "bot/README.md").read_text("utf-8"))
    told = [" | ".join(name.rstrip("/") for name in code(row[:1])) for row in rows]

    assert told == contract("Layers of bot")["layers"]


def test_every_module_but_four_may_not_speak_bolt():
    bolt = contract("Only listeners, slack, web and app speak Bolt")
    layers = {name for layer in contract("Layers of bot")["layers"] for name in layer.split(" | ")}

    assert bolt["forbidden_modules"] == ["slack_bolt"]
    assert {*bolt["source_modules"], "bot.listeners", "bot.slack", "bot.web", "bot.app"} == {
        *(f"bot.{name}" for name in layers), "polar", "store",
    }  # fmt: skip


def test_the_readme_is_short():
    assert len(PAGE.split()) <= MOST_WORDS


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_a_document_shows_or_links_to_exist(document: Path):
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r'src="([^"]+)"', text) + re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text)

    assert all((ROOT / document.parent / name).exists() for name in named), named


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_that_a_document_names_exist(document: Path):
    assert missing_files((ROOT / document).read_text(encoding="utf-8"), (ROOT / document).parent) == []


def test_a_file_that_does_not_exist_is_found():
    text = (
        "`make test T=tests/unit/test_score.py::test_a`, `bot/nowhere/`, (store/engine/no), `.ci/no`, `no.py`"
    )
    there = "https://no.test/store/no, `ui/states.py`, `store/engine/leases`, `bot/ui/`, `score.py`, versions/000N_NAME.py"

    assert missing_files(text, ROOT) == [
        *("tests/unit/test_score.py", "bot/nowhere/", "store/engine/no", ".ci/no", "no.py")
    ]
    assert missing_files(there, ROOT / "bot") == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_headings_that_a_document_links_to_exist(document: Path):
    text = (ROOT / document).read_text(encoding="utf-8")

    for name, heading in re.findall(r"\]\(([^)#:]*)#([\w-]+)\)", text):
        target = (ROOT / document.parent / name) if name else ROOT / document
        assert heading in _anchors(target.read_text(encoding="utf-8")), (name, heading)


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
