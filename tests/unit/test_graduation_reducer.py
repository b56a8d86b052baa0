"""How a kind of case gains and loses trust: families, generations, idleness, and what is counted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from store.graduation.reducer import (
    IDLE_AFTER,
    CaseTotals,
    Generation,
    LabelSum,
    TrustChange,
    cause_of_decision,
    cause_of_outcome,
    changed,
    demotions,
    first_seen,
    generation_of,
    is_idle,
)
from store.models import CaseKindState, Mode, OutcomeKind, Verdict
from store.models.graduation import CaseKind, NewCaseKind
from store.models.reasons import ChangeCause, ChangeCode

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CAUSE = ChangeCause.of(ChangeCode.SPOT_CHECK_DECLINED, proposal="p1")
ON = TrustChange(CaseKindState.GRADUATED, ChangeCause(ChangeCode.THRESHOLD_MET))


def kind(name: str, *changes: TrustChange, at: datetime = NOW) -> CaseKind:
    made = first_seen(NewCaseKind(name, "family", {}, name, "R1"), at)
    for change in changes:
        made = changed(made, change, at, begins=at)
    return made


def down(cause: ChangeCause = CAUSE) -> TrustChange:
    return TrustChange(CaseKindState.ASKING, cause, new_generation=True)


def test_one_demotion_is_of_one_kind_and_the_second_within_a_week_takes_the_family() -> None:
    one, other, asking = kind("a", ON), kind("b", ON), kind("c")
    assert demotions(one, [one, other, asking], CAUSE, NOW) == [(one, down())]
    fallen = kind("d", ON, down(), at=NOW - timedelta(days=6))
    family = ChangeCause.of(ChangeCode.FAMILY, last=CAUSE.to_json())
    assert demotions(one, [one, other, asking, fallen], CAUSE, NOW) == [(one, down()), (other, down(family))]


@pytest.mark.parametrize(
    "fallen",
    [
        kind("d", ON, down(), at=NOW - timedelta(days=7)),
        kind("d", ON, down(ChangeCause(ChangeCode.IDLE)), at=NOW - timedelta(days=1)),
    ],
    ids=["a week ago", "idle"],
)
def test_what_is_long_ago_or_was_only_idle_is_no_demotion_of_the_family(fallen: CaseKind) -> None:
    one, other = kind("a", ON), kind("b", ON)
    assert [each.hash for each, _ in demotions(one, [one, other, fallen], CAUSE, NOW)] == ["a"]


def test_a_kind_that_asks_loses_nothing() -> None:
    assert demotions(kind("a"), [kind("a"), kind("b", ON)], CAUSE, NOW) == []


def test_a_pause_keeps_the_manual_override_and_a_demotion_forgets_everything() -> None:
    on = kind("a", replace(ON, manual_override=True))
    paused = changed(on, TrustChange(CaseKindState.PAUSED, CAUSE), NOW, begins=NOW)
    assert (paused.manual_override, paused.generation) == (True, 0)
    counted = replace(paused, cases=40, rejections=1, customers=9, first_at=NOW, approvals_since_rejection=7)
    later = NOW + timedelta(days=1)
    gone = changed(counted, down(), NOW, begins=later)
    assert (gone.state, gone.manual_override) == (CaseKindState.ASKING, False)
    assert (gone.generation, gone.generation_at, gone.changed_at) == (1, later, NOW)
    assert (gone.counts, gone.customers, gone.first_at) == ((0, 0, 1), 0, None)


def test_only_a_kind_that_is_known_for_something_can_be_idle() -> None:
    asking, late = CaseKindState.ASKING, NOW + IDLE_AFTER + timedelta(seconds=1)
    assert not is_idle(asking, 0, NOW, late)
    assert is_idle(asking, 1, NOW, late)
    assert is_idle(CaseKindState.PAUSED, 0, NOW, late)
    assert not is_idle(asking, 1, NOW, NOW + IDLE_AFTER)


def test_what_ended_a_generation_is_of_that_generation() -> None:
    known = [Generation(), Generation(1, NOW)]
    assert generation_of(known, NOW) == 0
    assert generation_of(known, NOW + timedelta(microseconds=1)) == 1


def test_whose_decision_and_what_outcome_cost_trust() -> None:
    def decided(mode: Mode, verdict: Verdict, *, edited: bool = False) -> ChangeCode | None:
        cause = cause_of_decision("p1", mode, verdict, edited=edited)
        return None if cause is None else cause.code

    assert decided(Mode.SPOT_CHECK, Verdict.DECLINE) == ChangeCode.SPOT_CHECK_DECLINED
    assert decided(Mode.SPOT_CHECK, Verdict.APPROVE, edited=True) == ChangeCode.SPOT_CHECK_EDITED
    assert decided(Mode.SPOT_CHECK, Verdict.APPROVE) is None
    assert decided(Mode.ASKED, Verdict.DECLINE) is None
    assert cause_of_outcome("p1", Mode.AUTO, OutcomeKind.FAILED) is not None
    assert cause_of_outcome("p1", Mode.SPOT_CHECK, OutcomeKind.FAILED) is None
    assert cause_of_outcome("p1", Mode.SPOT_CHECK, OutcomeKind.DISPUTED) is not None
    assert cause_of_outcome("p1", Mode.ASKED, OutcomeKind.DISPUTED) is None


def test_an_approval_counts_when_it_is_mature_a_rejection_and_a_spot_check_at_once() -> None:
    fresh = LabelSum(False, True, False, "c1", 1, NOW, NOW)
    made = CaseTotals()
    made.add(fresh)
    assert made.counts(1) == CaseTotals(spot_checks=1, spot_checks_agreed=1).counts(1)
    made.subtract(fresh)
    made.add(replace(fresh, is_mature=True))
    assert (made.cases, made.customers, made.first_at) == (1, {"c1"}, NOW)
    assert (made.spot_checks, made.spot_checks_agreed) == (1, 1)
    at = NOW - timedelta(hours=1)
    made.add(LabelSum(True, True, False, None, 2, at - timedelta(hours=1), at))
    assert (made.cases, made.rejections, made.spot_checks, made.spot_checks_agreed) == (3, 2, 3, 1)
    assert (made.first_at, made.last_rejection_at) == (at - timedelta(hours=1), at)
