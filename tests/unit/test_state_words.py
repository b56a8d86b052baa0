"""One table of words for the states of proposals; and no words in the store, for it knows no Slack."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bot.ui import states
from store.engine import errors
from store.models import CallState, ProposalState

ROOT = Path(__file__).parents[2]
IN_BOT, IN_STORE = (sorted((ROOT / room).rglob("*.py")) for room in ("bot", "store"))


def _path(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- One wording for each state ---------------------------------------------------------------------------

# Tables keyed by states that may be, for the reason beside each.
TABLES = {
    ("bot/ui/states.py", "STATES"),  # the one table of words
    ("bot/ui/states.py", "_OF_GRADUATION"),  # made from it, for a question about a kind of case
    ("bot/ui/card.py", "_buttons"),  # no words: the buttons of a card
    ("store/models/__init__.py", "TRANSITIONS"),  # no words: the states that may follow
}
TITLES = tuple(words.title for words in (*states.STATES.values(), states.DECIDING) if words.title)


def test_every_state_has_one_wording() -> None:
    assert set(states.STATES) == set(ProposalState)
    assert set(states.CALLS) == set(CallState)
    assert (
        states.counted({ProposalState.UNKNOWN: 2, "pending": 1_000, "failed": 0})
        == "1,000 waiting, 2 no answer"
    )


def _keys(node: ast.AST) -> list[ast.expr]:
    """The keys of a table: a dict, a row of pairs, or a match statement."""
    match node:
        case ast.Dict(keys=keys):
            return [key for key in keys if key is not None]
        case ast.Tuple(elts=rows) | ast.List(elts=rows):
            return [row.elts[0] for row in rows if isinstance(row, ast.Tuple) and row.elts]
        case ast.Match(cases=cases):
            patterns = [one for case in cases for one in ast.walk(case.pattern)]
            return [one.value for one in patterns if isinstance(one, ast.MatchValue)]
    return []


def _tables_of_states(source: str) -> list[str]:
    """The names of the tables with several proposal states as keys, whatever their values are."""
    tree = ast.parse(source)
    aliases = {"ProposalState"}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Name):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            aliases |= {ast.unparse(target)} if node.value.id in aliases else set()
        states_ = {
            key.attr
            for key in _keys(node)
            if isinstance(key, ast.Attribute) and isinstance(key.value, ast.Name) and key.value.id in aliases
        }
        found += [_name(tree, node)] if len(states_) > 1 else []
    return found


def _name(tree: ast.Module, table: ast.AST) -> str:
    """The name of the statement of a module that holds the table."""
    [statement] = [one for one in tree.body if table in ast.walk(one)]
    match statement:
        case ast.Assign(targets=[target]) | ast.AnnAssign(target=target):
            return ast.unparse(target)
    return str(getattr(statement, "name", ""))


@pytest.mark.parametrize("path", [*IN_BOT, *IN_STORE], ids=_path)
def test_there_is_no_other_table_of_states(path: Path) -> None:
    found = {(_path(path), name) for name in _tables_of_states(path.read_text())}

    assert found == {one for one in TABLES if one[0] == _path(path)}


@pytest.mark.parametrize(
    "planted",
    [
        "X = {S.PENDING: 'a', S.FAILED: 'b', S.UNKNOWN: 'c', S.EXPIRED: 'd'}",
        "X = {S.PENDING: ('a', 'b'), S.FAILED: ('c', 'd')}",
        "X = {S.PENDING: Words('a'), S.FAILED: Words('c')}",
        "X: Mapping[S, str] = {ProposalState.PENDING: f'{a}', S.FAILED: a.b}",
        "X = ((S.PENDING, 'a'), (S.FAILED, 'b'))",
        "def X(s):\n    match s:\n        case S.PENDING:\n            return 'a'\n        case S.FAILED | S.UNKNOWN:\n            return 'b'",
    ],
)
def test_another_table_of_states_is_found(planted: str) -> None:
    assert _tables_of_states(f"S = ProposalState\n{planted}") == ["X"]


# The demo reads the cards as its people do.
SPEAKS = [path for path in IN_BOT if "demo" not in path.parts and _path(path) != "bot/ui/states.py"]


@pytest.mark.parametrize("path", SPEAKS, ids=_path)
def test_no_other_module_spells_the_words_of_a_state(path: Path) -> None:
    spelled = [text for text in _texts(path.read_text()) if text.startswith(TITLES)]

    assert [*spelled, *(text for text in _texts(path.read_text()) if text == states.DECIDING.phrase)] == []


# --- The store knows no Slack -----------------------------------------------------------------------------

OF_SLACK = {"rich_text", "rich_text_section", "mrkdwn", "blocks", "section"}
MAY_SPEAK = {
    "store/audit_log/old_sentences.py",  # reads the sentences of earlier versions, and has to spell them
    "store/migrations/versions/0004_plain_names.py",  # a pattern of SQL that ends in "?"
}
# Errors are for the person who starts the program: there is no card to say them on.
ERRORS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, Exception)}


def _texts(source: str) -> Iterator[str]:
    """The texts of a module without its docstrings and the texts of errors; a place in one is "{}"."""
    tree = ast.parse(source)
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        body = getattr(node, "body", None)
        for before, raised in pairwise(body if isinstance(body, list) else ()):
            skipped |= {before} if _is_error(raised) and ast.unparse(before).startswith("msg = ") else set()
        if _is_error(node) or documents or node in skipped:
            skipped |= set(ast.walk(node))
        if node in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            skipped |= set(node.values)
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)


def _is_error(node: ast.AST) -> bool:
    call = node.exc if isinstance(node, ast.Raise) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERRORS


def slack_or_sentence(source: str) -> list[str]:
    """The texts that are Slack's, or that somebody would read as a sentence."""
    return [
        text
        for text in _texts(source)
        if "<@" in text or text in OF_SLACK or (len(text.split()) > 2 and text.rstrip()[-1:] in set(".!?"))
    ]


@pytest.mark.parametrize("path", IN_STORE, ids=_path)
def test_the_store_builds_no_message(path: Path) -> None:
    assert bool(slack_or_sentence(path.read_text())) == (_path(path) in MAY_SPEAK)


@pytest.mark.parametrize(
    "planted",
    [
        "X = 'It was done.'",
        "X = f'{count} were done.'",
        "def f():\n    return {'why': 'Is it done?'}",
        "X = {'blocks': []}",
        "X = {'type': 'section'}",
        "X = f'<@{who}>'",
        "raise ValueError('It was done.')",
        "def f():\n    msg = 'It was done.'\n    raise ValueError(msg)",
    ],
)
def test_a_planted_message_is_found(planted: str) -> None:
    assert len(slack_or_sentence(planted)) == 1


@pytest.mark.parametrize(
    "fine",
    [
        '"""It was done."""',
        "raise StoreFailed(f'{this} was done.')",
        "def f():\n    msg = 'It was done.'\n    raise StoreFailed(msg)",
        "X = 'a b c'",
        "def f():\n    'It was done.'",
    ],
)
def test_a_docstring_and_an_error_are_fine(fine: str) -> None:
    assert slack_or_sentence(fine) == []
