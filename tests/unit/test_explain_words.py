"""The sentences of `explain --check`."""

from string import Formatter

import pytest

from bot.cli.explain_words import _SENTENCES, sentence
from bot.explain.verify import Fact, Finding

_ARGS = {
    name: name
    for name in ("row", "kind", "head", "hash", "mode", "type", "cases", "rejections", "generation", "score")
} | {
    name: name for name in ("verdict", "actor", "missing", "number", "operation", "count", "state", "agreed")
} | {"other": ["title", "risk"], "target": 90.0, "probability": 0.25}  # fmt: skip


@pytest.mark.parametrize("fact", Fact)
def test_every_fact_is_said_with_its_arguments(fact: Fact) -> None:
    named = {name for _, name, _, _ in Formatter().parse(_SENTENCES[fact]) if name and name != "others"}
    said = sentence(Finding(None, fact, {name: _ARGS[name] for name in named}))
    assert said
    assert "{" not in said


@pytest.mark.parametrize(
    ("fact", "args", "words"),
    [
        (Fact.ASKED, {"other": ["title", "risk"]}, "what is asked is what the log says: not title, risk"),
        (Fact.ASKED, {"other": []}, "what is asked is what the log says"),
        (
            Fact.ROW_OPEN,
            {"row": 7, "kind": "decision", "hash": "a1b2"},
            (
                "row 7 of the log (decision) cannot be checked here: compare its hash with a daily digest or "
                "run `verify-log --head` a1b2"
            ),
        ),
        (
            Fact.SPOT_CHECKS,
            {"agreed": 12, "probability": 0.25},
            "12 agreed spot checks make 0.25 the chance of another",
        ),
        (
            Fact.SCORE,
            {"cases": 42, "rejections": 1, "generation": 2, "score": 91.5},
            "42 cases, 1 rejections, generation 2 give the score 91.5",
        ),
    ],
)
def test_the_arguments_stand_in_their_places(fact: Fact, args: dict[str, object], words: str) -> None:
    assert sentence(Finding(True, fact, args)) == words
