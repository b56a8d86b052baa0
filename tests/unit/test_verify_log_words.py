"""The sentences of `verify-log`, one for every code of a problem."""

from typing import Any

import pytest

from bot.cli.verify_log import sentence
from store.audit_log.verify import Problem, ProblemCode

_P = ProblemCode
_KEPT, _TOLD = ("graduated", 2, True), ("asking", 1, False)
_GRADUATED = "the kind of case 0123456789ab is graduated in generation 2 by manual override"
_ROW = {"row": 5, "proposal": "p1"}
_SAID: list[tuple[ProblemCode, dict[str, Any], str]] = [
    (
        _P.ALTERED,
        {"row": 5, "kind": "decision", "subject": "p1"},
        "row 5 (decision p1) was altered, or the row before it was",
    ),
    (
        _P.ALTERED,
        {"row": 5, "kind": "pause", "subject": None},
        "row 5 (pause) was altered, or the row before it was",
    ),
    (_P.BEFORE_FIRST, {"row": 0}, "row 0 does not belong to the log: its numbers begin at 1"),
    (_P.MISSING, {"first": 3, "last": 3}, "row 3 is missing"),
    (_P.MISSING, {"first": 3, "last": 4}, "rows 3 to 4 are missing"),
    (_P.MOVED, {"row": 1, "place": 2}, "row 1 stands in the place of row 2: the order was changed"),
    (_P.CUT_OFF, {"row": 3, "written": 7}, "the log ends at row 3, but row 7 was written"),
    (_P.NEWEST_REPLACED, {}, "the newest row was replaced"),
    (
        _P.UNREADABLE,
        {"row": 5, "subject": "p1"},
        "row 5: what is kept of p1 was altered and cannot be read",
    ),
    (
        _P.PERSONAL,
        {"row": 5, "kind": "proposed", "subject": "p1"},
        "row 5 (proposed p1): its personal part was altered",
    ),
    (
        _P.ERASED,
        {"row": 5, "kind": "proposed", "subject": "p1"},
        "row 5 (proposed p1): its personal part is gone, and the log has no erasure of it",
    ),
    (
        _P.UNLOGGED_DECISION,
        {"proposal": "p1", "actor": "U0EVE"},
        "a decision of U0EVE on p1 is in no row of the log",
    ),
    (
        _P.UNLOGGED_OUTCOME,
        {"proposal": "p1", "outcome": "undone"},
        "the outcome “undone” of p1 is in no row of the log",
    ),
    (_P.CALLS, _ROW, "row 5: the planned calls of p1 are not those of this row"),
    (_P.EVENT_GONE, {"row": 5, "event": "{w}"}, "row 5: webhook {w} is gone"),
    (_P.EVENT, _ROW | {"event": "w"}, "row 5: webhook w was altered after p1 was proposed"),
    (_P.REQUEST, _ROW, "row 5: a call of p1 is not what was sent"),
    (_P.DECISION, _ROW | {"actor": "U0EVE"}, "row 5: the decision of U0EVE on p1 was altered or removed"),
    (_P.OUTCOME, _ROW | {"outcome": "undone"}, "row 5: the outcome “undone” of p1 was altered or removed"),
    (_P.GATE, _ROW, "row 5: what the policy said of p1 was altered or removed"),
    (_P.MODE, _ROW | {"kept": "asked", "logged": "auto"}, "row 5: p1 is asked, but the policy said auto"),
    (
        _P.STATE,
        {"proposal": "p1", "kept": "declined", "logged": "pending"},
        "p1 is declined, but the log says pending",
    ),
    (
        _P.CASE_KIND,
        {"hash": "0123456789abcdef", "kept": _KEPT, "logged": _TOLD},
        f"{_GRADUATED}, but the log says asking in generation 1",
    ),
    (_P.PAUSE, {"kept": True}, "it is paused, but the log says otherwise"),
    (_P.PAUSE, {"kept": False}, "it is not paused, but the log says otherwise"),
]


@pytest.mark.parametrize(("code", "args", "words"), _SAID)
def test_a_problem_of_the_log_is_said(code: ProblemCode, args: dict[str, Any], words: str) -> None:
    assert sentence(Problem(code, args)) == words


def test_no_problem_is_without_a_sentence() -> None:
    assert {code for code, _, _ in _SAID} == set(ProblemCode)
