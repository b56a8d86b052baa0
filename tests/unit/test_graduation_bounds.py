"""The edges of the policy: score 100, a customer nobody knows, currencies in capitals, and what a card lacks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from bot.config.policy import Policy, Trust
from bot.graduation.gate import Gate, evaluate, never
from bot.graduation.replay import ReplayedKind
from bot.graduation.score import clean_needed, reached
from bot.proposals.build import money_of
from bot.ui.card import score_line
from polar.catalog import Call
from polar.events import Event
from store.models import CaseKindState, Mode, NewProposal, PlannedCall
from store.models.graduation import CaseKind, Evaluation, GateInputs, Label, NewCaseKind, Past
from store.models.reasons import AlwaysAsk, LabelReason, PolicyCode
from tests.fixtures.card_states import asked

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
EVENT = Event(
    type="order.paid",
    timestamp=NOW,
    raw={"type": "order.paid", "data": {"id": "o", "billing_reason": "purchase", "product_id": "pro"}},
)
CASE = NewProposal(
    id="p1",
    fact_key="",
    event_id="evt",
    rule="a-rule",
    rule_version="v1",
    subject=None,
    title="Do it?",
    reasons=(),
    facts=(),
    risk="R1",
    always_asks=None,
    calls=(PlannedCall("orders:generate_invoice", path={"id": "o"}),),
    created_at=NOW,
    amount=900,
    currency="usd",
    customer_id="c1",
)
POLICY = Policy(graduation=Trust(ask_first_of_week=False))


def _kind() -> NewCaseKind:
    found = Gate(POLICY, EVENT, "production").case_kind(CASE, Past(orders=2))
    assert found is not None
    return found


def _case_kind(approved: NewProposal = CASE) -> CaseKind:
    kind = ReplayedKind.of(_kind(), POLICY.graduation)
    for number in range(120):
        kind.learn(number, approved)
    found = replace(
        kind.as_kept(),
        state=CaseKindState.GRADUATED,
        cases=60,
        customers=20,
        approvals_since_rejection=60,
    )
    return replace(found, first_at=NOW - timedelta(days=30))


def _judged(case: NewProposal = CASE, policy: Policy = POLICY, approved: NewProposal = CASE) -> Evaluation:
    hours = {f"{NOW - timedelta(hours=back):%Y-%m-%dT%H}": 9 for back in range(1, 169)}
    given = GateInputs(
        _case_kind(approved), NOW, secret=b"1", human_at=NOW, hours=hours, first_this_week=False
    )
    return evaluate(case, given, policy)


def test_a_score_of_100_asks_and_is_no_error() -> None:
    assert _judged().mode is not Mode.ASKED
    judged = _judged(policy=Policy(graduation=Trust(R1=100, ask_first_of_week=False)))
    assert (judged.mode, judged.gate["reason"]["code"]) == (Mode.ASKED, PolicyCode.BELOW_THRESHOLD)


def test_no_number_of_cases_reaches_a_limit_of_nothing() -> None:
    assert not reached(1_000_000, 0, 0, 0)
    with pytest.raises(ValueError, match="rate of 0"):
        clean_needed(10, 0, 0, 0)


def test_a_case_of_a_customer_nobody_knows_asks_for_its_cap_cannot_hold() -> None:
    judged = _judged(replace(CASE, customer_id=None))
    assert judged.mode is Mode.ASKED
    assert judged.gate["reason"]["code"] == PolicyCode.UNKNOWN_CUSTOMER
    assert not judged.over_cap


def test_a_currency_in_capitals_is_the_same_currency() -> None:
    tables = {"caps": {"action_amount": {"USD": 700}}, "two_people": {"amount": {"Eur": 5}}}
    policy = Policy.model_validate(tables)
    assert policy.caps.action_amount == {"usd": 700}
    assert policy.two_people.amount == {"eur": 5}


def test_a_currency_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="names a currency twice"):
        Policy.model_validate({"caps": {"day_amount": {"usd": 1, "USD": 2}}})


def test_a_card_names_what_is_lacking_beside_the_score() -> None:
    card = asked(risk="R1")
    short = replace(_case_kind(), state=CaseKindState.ASKING, customers=3, first_at=NOW - timedelta(days=2))
    said = score_line(card, short, POLICY.graduation, NOW)
    assert said is not None
    assert said.endswith("90 reached · not yet: 3 of 10 customers; 2 of 7 days")
    met = score_line(card, replace(short, customers=10, first_at=NOW - timedelta(days=7)), Trust(), NOW)
    assert met is not None
    assert met.endswith("90 reached")


def test_in_a_replay_too_ten_after_the_last_no_are_enough_though_none_is_a_week_old() -> None:
    kind = ReplayedKind.of(_kind(), POLICY.graduation)
    _take(kind, 0, LabelReason.DECLINED)
    for minute in range(1, 11):
        _take(kind, minute, LabelReason.APPROVED)
    kept = kind.as_kept()
    assert (kept.cases, kept.rejections, kept.approvals_since_rejection) == (1, 1, 10)
    _take(kind, 4, LabelReason.UNDONE, _label(4, LabelReason.APPROVED))
    assert kind.as_kept().approvals_since_rejection == 6


def _take(kind: ReplayedKind, minute: int, reason: LabelReason, before: Label | None = None) -> None:
    kind.take(minute, _label(minute, reason), before, CASE)


def _label(minute: int, reason: LabelReason) -> Label:
    at, approved = NOW + timedelta(minutes=minute), reason == LabelReason.APPROVED
    return Label(f"p{minute}", "k", not approved, True, reason, False, at, at + approved * timedelta(days=7))


def _discount(amounts: dict[str, int], **more: object) -> NewProposal:
    """A discount as a rule on an order of $9 proposes it."""
    body = {"name": "Sorry", "type": "fixed", "duration": "once", "amounts": amounts, "max_redemptions": 1}
    call = PlannedCall("discounts:create", body=body | more)
    amount, currency = money_of([Call.of(call)], {"total_amount": 900, "currency": "usd"})
    return replace(CASE, calls=(call,), amount=amount, currency=currency)


@pytest.mark.parametrize(
    ("asked", "amount", "reason"),
    [
        (_discount({"usd": 200}), 200, None),
        (_discount({"usd": 99_999_900}), 99_999_900, PolicyCode.OUT_OF_RANGE),
        (_discount({"usd": 100}), 100, PolicyCode.OUT_OF_RANGE),
        (_discount({"eur": 200}), 200, PolicyCode.FIRST_NUMBER),
        (_discount({"usd": 200, "eur": 200}), None, PolicyCode.FIRST_NUMBER),
        (_discount({"usd": 200}, max_redemptions=2), 200, PolicyCode.OUT_OF_RANGE),
        (_discount({"usd": 200}, name="Sorry!"), 200, PolicyCode.NEW_TEXT),
    ],
)
def test_after_many_yeses_to_two_dollars_off_nothing_else_runs(
    asked: NewProposal, amount: int | None, reason: PolicyCode | None
) -> None:
    judged = _judged(asked, approved=_discount({"usd": 200}))
    assert judged.gate["amount"] == amount
    assert (judged.mode is Mode.ASKED) is (reason is not None)
    assert reason is None or judged.gate["reason"]["code"] == reason


def test_the_caps_count_the_money_of_a_call_and_not_that_of_its_event() -> None:
    large = _discount({"usd": 2_100})
    judged = _judged(large, approved=large)
    assert (judged.mode, judged.gate["reason"]["code"]) == (Mode.ASKED, PolicyCode.OVER_CAP)


@pytest.mark.parametrize(
    "body",
    [{"amounts": {"usd": 200, "eur": 200}}, {"type": "percentage", "basis_points": 500}, {"amount": "200"}],
)
def test_a_case_whose_money_is_not_known_always_asks(body: dict[str, object]) -> None:
    case = replace(CASE, calls=(PlannedCall("discounts:create", body={"name": "x", **body}),))
    gate = Gate(POLICY, EVENT, "production")
    assert never(case, EVENT.type) == AlwaysAsk.UNKNOWN_AMOUNT
    assert gate.case_kind(case, Past(orders=2)) is None
    assert gate.evaluate(case, None).mode is Mode.ASKED
    # Also where such a kind was turned on before the money was looked at.
    judged = _judged(case, approved=case)
    assert (judged.mode, judged.gate["reason"]["code"]) == (Mode.ASKED, PolicyCode.UNKNOWN_AMOUNT)
