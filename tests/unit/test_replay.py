"""The replay: it sees no decision before it is made, and counts what would have run and what came of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.policy import Policy
from bot.graduation.backtest import replay, report
from bot.graduation.case_kind import RECENT, approved_values, case_kind_of, values_of
from bot.graduation.gate import drawn
from bot.graduation.replay import Replayed, ReplayedKind
from bot.graduation.score import events, points
from polar.events import Event
from store.models import (
    CaseKindState,
    Decision,
    Mode,
    NewProposal,
    OutcomeKind,
    PlannedCall,
    ProposalState,
    Verdict,
)
from store.models.graduation import Change, History, NewCaseKind, Outcome, Past, PastCase
from store.models.reasons import AlwaysAsk, CaseResult, ChangeCause, ChangeCode, PolicyCode, PolicyReason

START = datetime(2026, 5, 1, 9, tzinfo=UTC)
SECRET = b"\x17" * 32
EVENT = Event(
    type="order.paid",
    timestamp=START,
    raw={"type": "order.paid", "data": {"id": "o", "billing_reason": "purchase", "product_id": "pro"}},
)
SOON = timedelta(minutes=5)


def case_kind(operation: str = "orders:generate_invoice", version: str = "v1") -> NewCaseKind:
    proposal = proposed(0, START, 0, 900, operation)
    return case_kind_of(
        replace(proposal, rule_version=version), EVENT, Past(orders=2), environment="production"
    )


def proposed(number: int, at: datetime, customer: int, amount: int, operation: str) -> NewProposal:
    body = {"amount": amount, "reason": "other"} if operation == "refunds:create" else None
    return NewProposal(
        id=f"p{number}",
        fact_key="",
        event_id="evt",
        rule="a-rule",
        rule_version="v1",
        subject=None,
        title=f"Case {number}",
        reasons=(),
        facts=(),
        risk="R1" if body is None else "R2",
        always_asks=None,
        calls=(PlannedCall(operation, path={} if body else {"id": "o"}, body=body),),
        created_at=at,
        amount=amount,
        currency="usd",
        customer_id=f"c{customer}",
    )


def case(
    number: int,
    at: datetime,
    *,
    customer: int = 0,
    amount: int = 900,
    verdict: Verdict | None = Verdict.APPROVE,
    later: tuple[tuple[timedelta, OutcomeKind], ...] = (),
    operation: str = "orders:generate_invoice",
) -> PastCase:
    asked = replace(proposed(number, at, customer, amount, operation), case_kind=case_kind(operation).hash)
    states = {
        Verdict.APPROVE: ProposalState.SUCCEEDED,
        Verdict.DECLINE: ProposalState.DECLINED,
        None: ProposalState.EXPIRED,
    }
    said = () if verdict is None else (Decision(asked.id, "U1", verdict, "button", at + SOON),)
    came = tuple(Outcome(asked.id, kind, "event", at + SOON + after) for after, kind in later)
    return PastCase(proposal=asked, state=states[verdict], decisions=said, outcomes=came, first_shown_at=at)


def walk(cases: Sequence[PastCase], policy: Policy | None = None, **more: object) -> Replayed:
    known = {one.hash: one for one in (case_kind(), case_kind("refunds:create"))}
    return replay(cases, known, policy or Policy(), secret=SECRET, **more)  # type: ignore[arg-type]


def test_a_case_is_kept_only_as_long_as_something_comes_of_it() -> None:
    replayed = Replayed({case_kind().hash: case_kind()}, Policy(), SECRET)
    kept = []
    for number in range(60):  # two days apart: an approval counts after seven
        replayed.arrive(case(number, START + timedelta(days=2 * number)))
        kept.append(len(replayed._runs))
    replayed.finish()

    assert max(kept) <= Policy().graduation.outcome_window / timedelta(days=2) + 1
    assert replayed._runs == {}


def earned(cases: int = 45, operation: str = "orders:generate_invoice") -> tuple[list[PastCase], datetime]:
    """Enough for a kind of class R1: yes after yes, of twelve customers; and a time when all of it counts."""
    made = [
        case(n, START + timedelta(hours=2 * n), customer=n % 12, operation=operation) for n in range(cases)
    ]
    return made, START + timedelta(hours=2 * cases, days=8)


CASES = st.lists(
    st.tuples(
        st.sampled_from([1, 3, 8, 30, 100]),
        st.integers(0, 5),
        st.sampled_from([300, 900, 1500]),
        st.sampled_from([Verdict.APPROVE] * 6 + [Verdict.DECLINE, None]),
        st.sampled_from(
            [()] * 5
            + [((timedelta(hours=5), OutcomeKind.UNDONE),), ((timedelta(days=3), OutcomeKind.DISPUTED),)]
        ),
    ),
    min_size=2,
    max_size=60,
)


def past(
    steps: Sequence[tuple[int, int, int, Verdict | None, tuple[tuple[timedelta, OutcomeKind], ...]]],
) -> list[PastCase]:
    made, now = earned()
    for number, (hours, customer, amount, verdict, later) in enumerate(steps, len(made)):
        now += timedelta(hours=hours)
        made.append(case(number, now, customer=customer, amount=amount, verdict=verdict, later=later))
    return made


@given(steps=CASES, data=st.data())
def test_what_is_decided_later_never_changes_what_was_judged_before(steps, data) -> None:
    cases = past(steps)
    place = data.draw(st.integers(45, len(cases) - 1))
    changed = list(cases)
    old = cases[place]
    verdict = data.draw(st.sampled_from([Verdict.APPROVE, Verdict.DECLINE, None]))
    new = case(
        place,
        old.proposal.created_at,
        customer=int(old.proposal.customer_id[1:]),
        amount=old.proposal.amount,
        verdict=verdict,
    )
    changed[place] = new
    decided = old.proposal.created_at + SOON

    before, after = walk(cases).runs, walk(changed).runs
    for one, other in zip(before, after, strict=True):
        if one.case.proposal.created_at < decided:
            assert (one.mode, one.reason, one.money) == (other.mode, other.reason, other.money)


@given(steps=CASES)
def test_it_says_the_same_each_time_and_counts_every_case_once(steps) -> None:
    cases = past(steps)
    first, second = walk(cases), walk(cases)
    assert [run.mode for run in first.runs] == [run.mode for run in second.runs]
    total = report(first).total
    assert total.cases == len(cases) == total.ran + total.asked
    assert sum(total.results.values()) == total.ran
    assert total.spot_checks <= total.asked
    assert total.rejected <= total.ran


def test_a_kind_graduates_when_its_threshold_is_met_and_runs_from_then_on() -> None:
    cases, now = earned()
    more = [case(100 + n, now + timedelta(hours=3 * n), customer=1) for n in range(4)]
    found = walk([*cases, *more])
    assert {run.mode for run in found.runs[:45]} == {Mode.ASKED}
    (kind,) = [one for one in found.kinds.values() if one.history]
    assert [(state, cause.code) for _, state, cause in kind.history] == [
        (CaseKindState.GRADUATED, ChangeCode.THRESHOLD_MET)
    ]
    assert Mode.AUTO in {run.mode for run in found.runs[45:]}


def test_a_decline_of_what_would_have_run_is_counted_with_its_money_and_takes_nothing_back() -> None:
    policy = Policy.model_validate({"graduation": {"ask_first_of_week": False, "max_idle": "30d"}})
    cases, now = earned(110, "refunds:create")
    free = [n for n in range(200, 240) if not drawn(SECRET, f"p{n}", 0.5)][:3]
    seen = [n for n in range(240, 280) if drawn(SECRET, f"p{n}", 0.5)][:3]
    tail = [
        case(
            n,
            now + timedelta(hours=9 * place),
            customer=n,
            verdict=Verdict.DECLINE,
            operation="refunds:create",
        )
        for place, n in enumerate([*free, *seen])
    ]
    found = walk([*cases, *tail], policy)
    ran = [run for run in found.runs[110:] if run.mode == Mode.AUTO]
    assert len(ran) == 3
    total = report(found).total
    assert total.results[CaseResult.DECLINED] == len(ran)
    assert total.rejected_money == {"usd": 900 * len(ran)}
    assert total.worst is not None
    assert (total.worst.amount, total.worst.currency, total.worst.result) == (
        900,
        "usd",
        CaseResult.DECLINED,
    )
    # The first that was drawn for a spot check was declined before somebody's eyes.
    checked = next(n for n, run in enumerate(found.runs) if run.mode == Mode.SPOT_CHECK)
    assert {run.mode for run in found.runs[checked + 1 :]} <= {Mode.ASKED}


def test_what_is_undone_takes_the_trust_back_and_a_second_generation_begins() -> None:
    cases, now = earned()
    more = [
        case(
            100 + n,
            now + timedelta(hours=3 * n),
            customer=1,
            later=((timedelta(hours=1), OutcomeKind.UNDONE),),
        )
        for n in range(8)
    ]
    policy = Policy.model_validate({"graduation": {"ask_first_of_week": False}})
    found = walk([*cases, *more], policy)
    (kind,) = [one for one in found.kinds.values() if one.history]
    assert kind.kind.generation == 1
    assert report(found).total.results[CaseResult.TAKEN_BACK] <= 1
    assert [state for _, state, _ in kind.history] == [CaseKindState.GRADUATED, CaseKindState.ASKING]


def test_a_stricter_policy_runs_less_and_a_forbidding_one_nothing() -> None:
    cases, now = earned()
    cases += [case(100 + n, now + timedelta(hours=3 * n), customer=1) for n in range(12)]
    loose = report(walk(cases)).total.ran
    strict = report(walk(cases, Policy.model_validate({"graduation": {"R1": 99}}))).total.ran
    never = report(walk(cases, Policy.model_validate({"graduation": {"never": ["orders:generate_invoice"]}})))
    assert loose > strict == never.total.ran == 0
    assert set(never.reasons) == {(PolicyCode.ALWAYS_ASKS, AlwaysAsk.FORBIDDEN)}


def test_only_what_came_since_is_counted_and_what_came_before_teaches() -> None:
    cases, now = earned()
    cases += [case(100 + n, now + timedelta(hours=3 * n), customer=1) for n in range(6)]
    found = walk(cases)
    assert report(found, now).total.cases == 6
    assert report(found, now).total.ran == report(found).total.ran > 0


def test_on_from_the_start_it_runs_without_having_earned_it() -> None:
    cases = [case(n, START + timedelta(hours=4 * n), customer=1) for n in range(20)]
    assert report(walk(cases)).total.ran == 0
    assert report(walk(cases, on=(case_kind().hash,))).total.ran > 0


def test_a_case_of_no_kind_asks_and_says_why() -> None:
    asked = replace(proposed(1, START, 0, 900, "refunds:create"), case_kind=None, always_asks="irreversible")
    (run,) = walk([PastCase(proposal=asked, state=ProposalState.SUCCEEDED)]).runs
    assert run.mode == Mode.ASKED
    assert run.reason == PolicyReason.of(PolicyCode.ALWAYS_ASKS, because="irreversible")


@given(
    amounts=st.lists(st.sampled_from([1, 2, 3, 500, 900]), min_size=290, max_size=330),
    forgotten=st.sets(st.integers(0, 329)),
)
def test_a_kind_learns_from_its_newest_three_hundred(amounts, forgotten) -> None:
    kind = ReplayedKind.of(case_kind("refunds:create"), Policy().graduation)
    for index, amount in enumerate(amounts):
        kind.learn(index, proposed(index, START, 0, amount, "refunds:create"))
        if index in forgotten and index % 7 == 0:
            kind.forget(index)
        if index % 40 == 0:
            kind.as_kept()
    kept = [amount for index, amount in enumerate(amounts) if index not in forgotten or index % 7]
    expected = approved_values(
        [values_of(proposed(0, START, 0, one, "refunds:create")) for one in kept[-300:]]
    )
    assert kind.as_kept().approved_values == expected
    assert len(expected["numbers"]["refunds:create.amount"][2]) == RECENT


def test_the_score_falls_to_nothing_where_a_generation_ends() -> None:
    at = [START + timedelta(days=n) for n in range(60)]
    change = Change(
        at[50],
        CaseKindState.GRADUATED,
        CaseKindState.ASKING,
        ChangeCause.of(ChangeCode.SPOT_CHECK_DECLINED, proposal="p1"),
        manual_override=False,
        generation=1,
        demoted=True,
    )
    on = Change(
        at[45],
        CaseKindState.ASKING,
        CaseKindState.GRADUATED,
        ChangeCause.of(ChangeCode.OFFER_ACCEPTED, proposal="p2"),
        manual_override=False,
        generation=0,
        demoted=False,
    )
    way = History([(one, 0, False) for one in at[:50]] + [(at[55], 1, False)], {}, [on, change], [at[47]])
    found = points(way)
    assert found[49][1] == pytest.approx(91.8, abs=0.05)
    assert found[50] == (at[50], 0.0)
    assert 0 < found[51][1] < 20
    assert [what for _, what in events(way)] == ["graduated", "spot_check", "demoted"]


@given(count=st.integers(0, 3_000))
def test_a_long_history_is_thinned_out_and_keeps_its_end(count) -> None:
    way = History([(START + timedelta(minutes=n), 0, False) for n in range(count)], {0: (100, 2)}, [], [])
    found = points(way)
    assert len(found) <= 900
    assert not count or found[-1][0] == START + timedelta(minutes=count - 1)
