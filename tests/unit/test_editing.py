"""What an edit leaves as it is: our mark, whom it is about, and the way the question was put."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.forms.edit import _asked, _draft, _marked, _title
from bot.forms.fields import Leaf
from bot.forms.prefill import prefill
from bot.listeners.commands import _BECAUSE
from bot.slack.client import SlackUser
from bot.ui.graduation_words import gate_rows
from store.models import ProposalState
from tests.fixtures.card_states import asked

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ORDER = "0b0b6f0e-6f0e-4f0e-8f0e-0b0b6f0e6f0e"
BODY = {
    "order_id": ORDER,
    "amount": 2900,
    "reason": "duplicate",
    "metadata": {"polar_approvals": "duplicate-order:1", "note": "x"},
}


def proposal(title: str = "Refund $29.00 to Sofia?"):
    given = asked(title=title)
    return replace(given, calls=(replace(given.calls[0], body=BODY),))


def draft_of(given):
    filled = prefill(_asked(given), "usd", {})
    assert filled is not None
    return _draft(SlackUser("U1", "T1"), given, filled, "usd", NOW)


def test_an_edit_asks_neither_for_the_order_nor_for_our_mark_and_shows_cents():
    draft = draft_of(proposal())
    asked_for = {item.path for page in draft.page_items()[1] for item in page if isinstance(item, Leaf)}

    assert "body.amount" in asked_for
    assert "body.order_id" not in asked_for
    assert draft.answers["body.order_id"]["selected_option"]["value"] == ORDER
    assert draft.answers["body.amount"]["value"] == "29.00"
    assert draft.answers["body.metadata"]["value"] == "note = x"


def test_the_mark_is_there_again_whatever_the_metadata_became():
    given = proposal()
    call = _asked(given)
    assert _marked(call, given).body == BODY
    without = replace(call, body={name: value for name, value in BODY.items() if name != "metadata"})
    assert _marked(without, given).body["metadata"] == {"polar_approvals": "duplicate-order:1"}


@pytest.mark.parametrize(
    ("title", "path", "answer", "said"),
    [
        ("Refund $29.00 to Sofia?", "body.amount", "12.00", "Refund $12.00 to Sofia (edited)?"),
        ("Refund $29.00 to Sofia (edited)?", "body.amount", "12.00", "Refund $12.00 to Sofia (edited)?"),
        ("Refund $29.00 to Sofia?", "body.comment", "sorry", "Refund $29.00 to Sofia (edited)?"),
        ("Refund all of it to Sofia?", "body.amount", "12.00", ""),  # it could say another amount by now
        ("Refund $29.00 to Mr $29.00?", "body.amount", "12.00", ""),
        ("Refund $29.001 to Sofia?", "body.amount", "12.00", ""),
    ],
)
def test_the_question_keeps_its_words_where_they_stay_true(title, path, answer, said):
    draft = draft_of(proposal(title))
    draft.added |= {"body.comment"}
    draft.answers[path] = {"value": answer}

    assert _title(draft, proposal(title), draft.form(), "usd") == said


def test_why_something_is_paused_reads_right():
    assert [_BECAUSE.sub("", why) for why in ("because month end", ": month end", "becausewise")] == [
        "month end", "month end", "becausewise",
    ]  # fmt: skip


def test_the_gate_speaks_in_words_and_gives_no_spot_check_away_before_the_tap():
    gate = {
        "state": "graduated", "verdict": "spot_check", "reason": {"code": "spot_check", "args": {}}, "spot_check_probability": 0.5, "score": 92.1,
        "target": 90.0, "cases": 52, "rejections": 0, "spot_checks": [5, 5], "amount": 0, "currency": "",
        "spent": {"customer": [0, 0], "case_kind": [2, 0], "day": [3, 0]},
        "caps": {"case": 0, "customer": [3, 0], "case_kind": [50, 0], "day": [200, 0]},
    }  # fmt: skip
    rows = dict(gate_rows(asked(gate=gate)))

    assert rows == {
        "Score": "92.1, the threshold is 90",
        "Said": "52 yes, 0 no",
        "Spot checks": "5 of 5 agreed",
    }
    done = dict(gate_rows(asked(gate=gate, state=ProposalState.SUCCEEDED)))
    used = "0 of 3 for this customer, 2 of 50 of this kind today, 3 of 200 in all today"
    assert done["Caps used"] == used  # before, it tells what was not over a cap
    assert (done["Verdict"], done["Chance of a spot check"]) == ("asked a person, as a spot check", "50%")
