"""Each rule of what a decided case says for or against its kind."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.graduation.label import label_of
from store.models import Decision, Mode, OutcomeKind, ProposalState, Verdict
from store.models.graduation import CaseHistory, Outcome
from store.models.reasons import UNSEEN, LabelReason

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
WINDOW = timedelta(days=7)
S = ProposalState


def said(verdict: Verdict = Verdict.APPROVE, **more: Any) -> Decision:
    return Decision("p1", "U1", verdict, "button", AT, **{"shown_at": AT - timedelta(minutes=1), **more})


def case(**more: Any) -> CaseHistory:
    usual: dict[str, Any] = {
        "proposal_id": "p1",
        "case_kind": "s1",
        "state": S.SUCCEEDED,
        "mode": Mode.ASKED,
        "decisions": [said()],
        "edited_by": [],
        "outcomes": [],
        "first_of_tap": True,
        "unusual": False,
        "first_shown_at": AT - timedelta(minutes=1),
    }
    return CaseHistory(**(usual | more))


def came(kind: OutcomeKind, **after: float) -> list[Outcome]:
    return [Outcome("p1", kind, "evt", AT + timedelta(**after))]


def test_a_yes_counts_for_its_kind_once_the_window_has_passed() -> None:
    found = label_of(case(), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.is_counted, found.reason, found.matures_at) == (
        False,
        True,
        LabelReason.APPROVED,
        AT + WINDOW,
    )


def test_a_no_counts_at_once_however_fast_or_many_it_was() -> None:
    no = [said(Verdict.DECLINE, shown_at=AT, interaction_id="t")]
    found = label_of(case(state=S.DECLINED, decisions=no, first_of_tap=False, unusual=True), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.is_counted, found.reason, found.matures_at) == (
        True,
        True,
        LabelReason.DECLINED,
        AT,
    )


@pytest.mark.parametrize("kind", [OutcomeKind.UNDONE, OutcomeKind.REVERSED, OutcomeKind.DISPUTED])
def test_what_was_undone_reversed_or_disputed_within_the_window_is_bad_from_then_on(
    kind: OutcomeKind,
) -> None:
    found = label_of(case(outcomes=came(kind, days=6)), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.is_counted, found.matures_at) == (True, True, AT + timedelta(days=6))


def test_what_comes_after_the_window_is_no_longer_its_fault() -> None:
    found = label_of(case(outcomes=came(OutcomeKind.DISPUTED, days=8)), WINDOW)
    assert found is not None
    assert not found.is_rejection


def test_what_had_to_be_changed_before_a_yes_is_bad() -> None:
    found = label_of(case(edited_by=["U1"]), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.reason) == (True, LabelReason.EDITED)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"decisions": [said(shown_at=AT - timedelta(seconds=1.9))]}, LabelReason.TOO_FAST),
        (
            {"decisions": [said(shown_at=None)], "first_shown_at": AT - timedelta(seconds=1)},
            LabelReason.TOO_FAST,
        ),
        (
            {"decisions": [said(clicked_at=AT - timedelta(minutes=1) + timedelta(seconds=1))]},
            LabelReason.TOO_FAST,
        ),
        ({"hasty": True}, LabelReason.TOO_FAST),
        ({"restated": True}, LabelReason.RESTATED),
        ({"first_of_tap": False}, LabelReason.BULK),
        ({"unusual": True}, LabelReason.UNUSUAL),
        ({"state": S.FAILED}, LabelReason.NOT_DONE),
        ({"state": S.UNKNOWN}, LabelReason.NOT_DONE),
    ],
)
def test_a_yes_that_nobody_may_have_thought_about_is_kept_and_not_counted(
    more: dict[str, Any], why: LabelReason
) -> None:
    found = label_of(case(**more), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.is_counted, found.reason) == (False, False, why)


def test_a_yes_of_two_seconds_counts() -> None:
    found = label_of(case(decisions=[said(shown_at=AT - timedelta(seconds=2))]), WINDOW)
    assert found is not None
    assert found.is_counted


@pytest.mark.parametrize("state", [S.PENDING, S.EXPIRED, S.WITHDRAWN])
def test_what_expired_or_was_withdrawn_says_nothing(state: ProposalState) -> None:
    assert label_of(case(state=state), WINDOW) is None
    assert label_of(case(state=state, decisions=[]), WINDOW) is None


def test_a_yes_taken_back_in_time_is_bad() -> None:
    found = label_of(case(state=S.WITHDRAWN, outcomes=came(OutcomeKind.UNDONE, seconds=5)), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.reason) == (True, LabelReason.UNDONE)


def test_a_spot_check_is_marked_as_one() -> None:
    found = label_of(case(mode=Mode.SPOT_CHECK), WINDOW)
    assert found is not None
    assert found.is_spot_check


def test_what_ran_on_its_own_says_nothing_unless_it_went_wrong() -> None:
    alone = case(mode=Mode.AUTO, decisions=[])
    assert label_of(alone, WINDOW) is None
    found = label_of(replace(alone, outcomes=came(OutcomeKind.FAILED, seconds=1)), WINDOW)
    assert found is not None
    assert (found.is_rejection, found.is_spot_check) == (True, False)


def test_nothing_is_learnt_from_a_yes_that_nobody_may_have_looked_at() -> None:
    unseen = {LabelReason.TOO_FAST, LabelReason.BULK, LabelReason.RESTATED}
    assert set(UNSEEN) == {*unseen, LabelReason.LAPSED}  # nor from a spot check that nobody has decided
