"""Rules for prose that a program can hold: how docstrings begin, and that what code names exists."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.named_files import missing_files, missing_names

ROOT = Path(__file__).parents[2]
FOLDERS = ("bot", "polar", "store")
MODULES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if "versions" not in path.parts  # a migration stays as it was written
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
# A docstring begins with a verb or a noun phrase.
_QUESTION = re.compile(r"\s*(?:What|Whether|Where|Who|Whose|Why|How|Which)\b")
_DOCUMENT = re.compile(r"[\w./-]+\.md\b")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """The docstrings of a module with their lines, those of constants too."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            value = getattr(statement, "value", None)
            if isinstance(statement, ast.Expr) and isinstance(getattr(value, "value", None), str):
                yield statement.lineno, value.value


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Every comment and string of a module with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


def notes(source: str) -> Iterator[tuple[int, str]]:
    """Every docstring and comment of a module with its line."""
    yield from docstrings(source)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def asks(text: str) -> bool:
    return _QUESTION.match(text) is not None


def missing(text: str, module: Path) -> list[str]:
    """The documents that a text names and that are not in the repository."""
    return [
        name
        for name in _DOCUMENT.findall(text)
        if not any((base / name).exists() for base in (ROOT, module.parent, ROOT / "bot/rules"))
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_begin_with_a_verb_or_a_noun_phrase(module: Path):
    found = [(line, text[:60]) for line, text in docstrings(module.read_text("utf-8")) if asks(text)]

    assert found == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_named_in_code_are_in_the_repository(module: Path):
    found = [
        (line, names) for line, text in prose(module.read_text("utf-8")) if (names := missing(text, module))
    ]

    assert found == []


@pytest.mark.parametrize("module", [*MODULES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_in_docstrings_and_comments_are_in_the_repository(module: Path):
    """A file of Polar's own is named with its repository: polarsource/polar:server/polar/app.py."""
    told = list(notes(module.read_text("utf-8")))

    assert [(line, names) for line, text in told if (names := missing_files(text, module.parent))] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_names_in_docstrings_and_comments_are_in_the_repository(module: Path):
    told = list(notes(module.read_text("utf-8")))

    assert [(line, names) for line, text in told if (names := missing_names(text))] == []


def test_a_file_or_a_name_that_does_not_exist_is_found():
    files = "See bot/nowhere.py, nowhere.py and store/no.toml, but bot/app.py, and polarsource/polar:server/no.py."
    names = "See bot.nowhere.x, bot.config.policy.Nowhere and store.no, but bot.config.policy.Policy and polar.errors."

    assert missing_files(files, ROOT / "bot") == ["bot/nowhere.py", "nowhere.py", "store/no.toml"]
    assert missing_names(names) == ["bot.nowhere.x", "bot.config.policy.Nowhere", "store.no"]
    assert [*notes("# one\nX = 'no'\n'two'\n")] == [(3, "two"), (1, "# one")]


def test_the_rules_catch_what_they_are_for():
    source = '"""Whether it holds."""\nX = 1\n"""What it is."""\n\ndef f():\n    """Where it is (nowhere.md 3.1)."""\n'

    assert [line for line, text in docstrings(source) if asks(text)] == [1, 3, 6]
    assert [names for _, text in prose(source) if (names := missing(text, ROOT / "bot/x.py"))] == [
        ["nowhere.md"]
    ]
