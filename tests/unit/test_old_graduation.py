"""Sentences about trust that earlier versions stored are read as codes, and an unknown one stays a text."""

import json

import pytest

from bot.ui.graduation_words import always_words, cause_words, reason_words
from store.audit_log.log import kinds_of, normalize
from store.audit_log.old_trust import ALWAYS, old_cause, old_gate, old_reason
from store.models.reasons import ChangeCode, PolicyCode

P, C = PolicyCode, ChangeCode
REASONS = {
    "this kind asks": P.KIND_ASKS,
    "its kind runs on its own": P.RUNS,
    "drawn for an audit": P.SPOT_CHECK,
    "always asks: irreversible": P.ALWAYS_ASKS,
    "always asks: somebody is handed a link": P.ALWAYS_ASKS,
    "this kind is paused: turned off by Maya": P.KIND_PAUSED,
    "everything is paused: by U0MAYA": P.ALL_PAUSED,
    "nobody has decided anything for too long": P.NOBODY_DECIDES,
    "its score is below the bar now": P.BELOW_THRESHOLD,
    "far more cases than usual: 12 in 6 hours": P.UNUSUAL_VOLUME,
    "new: the first case of this kind for this customer this week": P.FIRST_OF_WEEK,
    "nobody knows its customer, so no cap of theirs can hold": P.UNKNOWN_CUSTOMER,
    "the money it moves is not known": P.UNKNOWN_AMOUNT,
    "over this kind's cap of today, 50 cases": P.OVER_CAP,
    "over the cap of one case, $20.00": P.TEXT,
    "new: refunds:create.amount is 4,500, outside what was approved so far (100 to 299)": P.TEXT,
}
CAUSES = {
    "not seen for half a year": C.IDLE,
    "turned on (p234567abcdef)": C.OFFER_ACCEPTED,
    "turned on by Maya": C.TURNED_ON,
    "turned on again by decree, below its bar, by Maya": C.TURNED_ON,
    "turned off by Maya": C.TURNED_OFF,
    "an audited case was declined (p1)": C.SPOT_CHECK_DECLINED,
    "an audited case was changed (p1)": C.SPOT_CHECK_EDITED,
    "a case that ran on its own (p1) was undone": C.UNDONE,
    "an audited case (p1) is under dispute": C.DISPUTED,
    "a case that ran on its own (p1) went wrong": C.FAILED,
    "two of its family lost their trust within seven days, last: an audited case (p1) was reversed": C.FAMILY,
    "over a cap twice within a day, last: over the cap of today, 5 cases": C.OVER_CAP_TWICE,
    "far more cases than usual: 12 in 6 hours": C.UNUSUAL_VOLUME,
    "because": C.TEXT,
}
# What is said in other words now.
PLAIN = (
    ("audited case was declined", "spot check was declined"),
    ("audited case was changed", "spot check was edited"),
    ("an audited case (", "a spot check ("),
    ("an audited case", "a spot check"),
    ("an spot", "a spot"),
    ("drawn for an audit", "drawn for a spot check"),
    ("by decree, below its bar", "by manual override, below its threshold"),
    ("below the bar now", "below the threshold now"),
    ("paused: by ", "paused by "),
    (
        "nobody knows its customer, so no cap of theirs can hold",
        "its customer is not known, so the cap of one customer cannot be checked",
    ),
    ("not seen for half a year", "no case for half a year"),
    ("lost their trust", "were demoted"),
)


def _now(words: str) -> str:
    for old, new in PLAIN:
        words = words.replace(old, new)
    return words


@pytest.mark.parametrize(("words", "code"), REASONS.items())
def test_a_reason_of_the_policy_is_read_and_says_the_same(words: str, code: PolicyCode) -> None:
    found = old_reason(words)
    assert found.code is code
    assert reason_words(found) == _now(words)
    json.dumps(found.to_json())


@pytest.mark.parametrize(("words", "code"), CAUSES.items())
def test_a_cause_is_read_and_says_the_same(words: str, code: ChangeCode) -> None:
    found = old_cause(words)
    assert found.code is code
    assert cause_words(found) == _now(words)
    json.dumps(found.to_json())


@pytest.mark.parametrize("words", [one for one in ALWAYS if one != "proposed by hand"])
def test_why_something_always_asks_says_the_same(words: str) -> None:
    said = always_words(ALWAYS[words])
    assert said == f"always asks: {words}".replace("trust itself", "automatic runs themselves").replace(
        "no bar", "no threshold"
    )


def test_a_gate_takes_the_names_of_today_once() -> None:
    old = {
        "verdict": "audit", "why": "drawn for an audit", "would_run": True, "would_why": "", "pi": 0.5, "state": "graduated",
        "decree": False, "epoch": 1, "n": 52, "k": 0, "score": 92.1, "target": 90, "audits": [5, 5], "paused": None,
        "spent": {"customer": [0, 0], "shape": [2, 0]}, "caps": {"case": 0, "shape": [50, 0]}, "dead_man": 3600, "at": "x",
    }  # fmt: skip
    new = old_gate(old)
    assert new == {
        "verdict": "spot_check", "reason": {"code": "spot_check", "args": {}}, "would_run": True, "would_reason": None,
        "spot_check_probability": 0.5, "state": "graduated", "manual_override": False, "generation": 1, "cases": 52,
        "rejections": 0, "score": 92.1, "target": 90, "spot_checks": [5, 5], "paused_by": None,
        "spent": {"customer": [0, 0], "case_kind": [2, 0]}, "caps": {"case": 0, "case_kind": [50, 0]},
        "max_idle": 3600, "at": "x",
    }  # fmt: skip
    assert old_gate(new) == new


def test_rows_of_the_log_are_read_in_the_names_of_today() -> None:
    old = {
        "from": "graduated", "to": "asking", "actor": "U1", "cause": "an audited case was declined (p1)", "epoch": 1,
        "decree": False, "new_epoch": True, "words": "An invoice", "epoch_at": "2026-11-21T12:00:00+00:00",
    }  # fmt: skip
    new = normalize("shape", old)
    assert new == {
        "from": "graduated", "to": "asking", "actor": "U1", "cause_code": "spot_check_declined",
        "cause_args": {"proposal": "p1"}, "generation": 1, "manual_override": False, "new_generation": True,
        "label": "An invoice", "generation_at": "2026-11-21T12:00:00+00:00",
    }  # fmt: skip
    assert normalize("case_kind", new) == new
    assert list(kinds_of("case_kind")) == ["case_kind", "shape"]
    policy = normalize("policy", {"shape": "h", "mode": "audit", "gate": {"verdict": "ask", "why": "x"}})
    assert (policy["case_kind"], policy["mode"]) == ("h", "spot_check")
    assert policy["gate"]["reason"] == {"code": "text", "args": {"text": "x"}}
    assert normalize("proposed", {"always_asks": "a person edited it"})["always_asks"] == "edited"
