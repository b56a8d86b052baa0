"""What each risk class asks, and the words for what is still lacking."""

from dataclasses import replace

import pytest

from bot.graduation.eligibility import STANDARDS, Standing, missing
from bot.graduation.score import smallest
from bot.ui.graduation_words import lack_words
from polar.catalog import Risk
from store.models.graduation import CaseCounts

R2 = STANDARDS[Risk.R2]
READY = Standing(CaseCounts(85, 0), customers=10, days=7, approvals_since_rejection=85)


def words(standing, standard):
    return [lack_words(one) for one in missing(standing, standard)]


def test_the_classes_of_the_method():
    assert {risk: (one.target, one.spot_check_floor, one.opt_in) for risk, one in STANDARDS.items()} == {
        Risk.R1: (90, 0.10, False),
        Risk.R2: (95, 0.10, False),
        Risk.R3: (98, 0.25, True),
    }


def test_nothing_lacks_where_everything_is_met():
    assert words(READY, R2) == []
    assert words(replace(READY, counts=CaseCounts(40, 0)), STANDARDS[Risk.R1]) == []
    assert words(replace(READY, counts=CaseCounts(222, 0), opted_in=True), STANDARDS[Risk.R3]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"counts": CaseCounts(84, 0)}, "score 94.9 of 95: 1 more approvals"),
        ({"counts": CaseCounts(85, 0, 1)}, "score 94.2 of 95: 15 more approvals"),
        ({"customers": 9}, "9 of 10 customers"),
        ({"days": 6.99}, "6 of 7 days"),
        (
            {"counts": CaseCounts(300, 1), "approvals_since_rejection": 6},
            "a rejection in the last 10 cases: 4 more approvals",
        ),
        ({"always": "under dispute"}, "always asks: under dispute"),
    ],
)
def test_each_requirement_alone_holds_it_back_and_is_named(change, said):
    assert words(replace(READY, **change), R2) == [said]


def test_everything_lacking_is_named_at_once():
    nothing = Standing(CaseCounts(0, 0), customers=0, days=0, approvals_since_rejection=0)
    assert words(nothing, STANDARDS[Risk.R3]) == [
        "score 0.0 of 98: 222 more approvals",
        "0 of 10 customers",
        "0 of 7 days",
        "not opted in: cases of this risk class run on their own only for operations named in `opt_in`",
    ]


def test_always_human_outweighs_any_history():
    best = Standing(CaseCounts(1_000_000, 0), 10_000, 1_000, 1_000_000, always="irreversible", opted_in=True)
    assert all(words(best, standard) for standard in (*STANDARDS.values(), None))
    assert words(replace(best, always=None), STANDARDS.get(Risk.R4)) == [
        "always asks: no history lets cases of this risk class run on their own"
    ]


def test_a_raised_bar_asks_for_more_and_a_hundred_for_ever():
    assert words(READY, R2.with_target(98)) == ["score 95.0 of 98: 137 more approvals"]
    assert smallest(0, 0, R2.with_target(98).limit) == 222
    assert words(READY, R2.with_target(100)) == ["score 100 is asked, which no number of cases reaches"]
