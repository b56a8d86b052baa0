"""What each risk class asks, and the words for what is still lacking."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.graduation.score import STANDARDS, missing, smallest
from bot.ui.graduation_words import lack_words
from polar.catalog import Risk
from store.graduation.reducer import first_seen
from store.models.graduation import NewCaseKind

R2 = STANDARDS[Risk.R2]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NEW = first_seen(NewCaseKind("h", "f", {}, "a kind", "R2"), NOW)
READY = replace(NEW, cases=85, customers=10, first_at=NOW - timedelta(days=7), approvals_since_rejection=85)


def words(kind, standard, always=None, opted=False):
    return [lack_words(one) for one in missing(kind, standard, NOW, always=always, opted=opted)]


def test_the_classes_of_the_method():
    assert {risk: (one.target, one.spot_check_floor, one.opt_in) for risk, one in STANDARDS.items()} == {
        Risk.R1: (90, 0.10, False),
        Risk.R2: (95, 0.10, False),
        Risk.R3: (98, 0.25, True),
    }


def test_nothing_lacks_where_everything_is_met():
    assert words(READY, R2) == []
    assert words(replace(READY, cases=40), STANDARDS[Risk.R1]) == []
    assert words(replace(READY, cases=222), STANDARDS[Risk.R3], opted=True) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cases": 84}, "score 94.9 of 95: 1 more approvals"),
        ({"generation": 1}, "score 94.2 of 95: 15 more approvals"),
        ({"customers": 9}, "9 of 10 customers"),
        ({"first_at": NOW - timedelta(days=6.99)}, "6 of 7 days"),
        (
            {"cases": 300, "rejections": 1, "approvals_since_rejection": 6},
            "a rejection in the last 10 cases: 4 more approvals",
        ),
    ],
)
def test_each_requirement_alone_holds_it_back_and_is_named(change, said):
    assert words(replace(READY, **change), R2) == [said]


def test_a_reason_to_ask_always_is_the_only_one_named():
    assert words(READY, R2, always="under dispute") == ["always asks: under dispute"]


def test_everything_lacking_is_named_at_once():
    assert words(NEW, STANDARDS[Risk.R3]) == [
        "score 0.0 of 98: 222 more approvals",
        "0 of 10 customers",
        "0 of 7 days",
        "not opted in: cases of this risk class run on their own only for operations named in `opt_in`",
    ]


def test_always_human_outweighs_any_history():
    long_ago, many = NOW - timedelta(days=1_000), 1_000_000
    best = replace(READY, cases=many, customers=10_000, first_at=long_ago, approvals_since_rejection=many)
    for standard in (*STANDARDS.values(), None):
        assert words(best, standard, always="irreversible", opted=True)
    assert words(best, STANDARDS.get(Risk.R4), opted=True) == [
        "always asks: no history lets cases of this risk class run on their own"
    ]


def test_a_raised_bar_asks_for_more_and_a_hundred_for_ever():
    assert words(READY, R2.with_target(98)) == ["score 95.0 of 98: 137 more approvals"]
    assert smallest(0, 0, R2.with_target(98).limit) == 222
    assert words(READY, R2.with_target(100)) == ["score 100 is asked, which no number of cases reaches"]
