"""Which proposals take two different people."""

from dataclasses import replace

import pytest

from bot.config.policy import Policy
from bot.permissions import requirements
from bot.proposals import reads
from bot.proposals.build import money_of
from bot.proposals.reads import Amounts
from bot.ui.bundling import needs_a_look
from polar.catalog import AMOUNT_IS_READ, Call, Operation, Risk, moves_money, operations
from store.models import PlannedCall
from tests.fixtures.card_states import asked


@pytest.mark.parametrize(
    ("amount", "currency", "two"),
    [
        (9_999, "eur", False),
        (10_000, "EUR", True),
        (1, "usd", True),  # it has no line: nobody has said how much of it is little
        (1, None, True),
        (None, "usd", False),  # no money
        (None, None, False),
    ],
)
def test_money_in_a_currency_that_is_not_named_takes_two(
    amount: int | None, currency: str | None, two: bool
) -> None:
    policy = Policy.model_validate({"two_people": {"amount": {"eur": 10_000}}})
    assert policy.takes_two(Risk.R2, amount, currency) is two


def test_where_no_amount_is_named_no_money_takes_two() -> None:
    assert not Policy().takes_two(Risk.R4, 10_000_000, "usd")
    assert Policy.model_validate({"two_people": {"risk": ["R4"]}}).takes_two(Risk.R4, None, None)


ID = "11111111-2222-4333-8444-555555555555"
OVER = Policy.model_validate({"two_people": {"amount": {"usd": 50_000}}})
REFUND = PlannedCall("refunds:create", body={"order_id": ID, "reason": "other", "amount": 500_000})
CHARGE, CONCEDE = (PlannedCall(name, {"id": ID}) for name in ("orders:finalize", "disputes:accept"))


def discount(**body: object) -> PlannedCall:
    return PlannedCall("discounts:create", body={"name": "x", "type": "fixed", "duration": "once", **body})


def people(*calls: PlannedCall, data: dict[str, object], amounts: Amounts | None = None) -> int:
    """How many people a proposal about an event with this `data` takes; `amounts` were read of Polar."""
    made = [Call.of(call) for call in calls]
    amount, currency = money_of(made, data, amounts)
    risk = max(operations()[call.operation].describe(call).risk for call in made)
    return requirements(OVER, asked(calls=calls, risk=risk, amount=amount, currency=currency)).people


USD: dict[str, object] = {"currency": "usd", "total_amount": 900}


@pytest.mark.parametrize(
    ("calls", "data", "amounts", "expected"),
    [
        ([REFUND], USD, None, 2),
        ([replace(REFUND, body={**(REFUND.body or {}), "amount": 400})], USD, None, 1),
        ([REFUND], {"id": ID}, None, 2),  # a currency that nobody knows
        ([replace(REFUND, body={**(REFUND.body or {}), "amount": 400})], {"id": ID}, None, 2),
        ([replace(REFUND, body={**(REFUND.body or {}), "amount": 400})], {"id": ID}, {0: (480, "usd")}, 1),
        # What the customer gets is with tax.
        ([replace(REFUND, body={**(REFUND.body or {}), "amount": 49_000})], USD, {0: (51_000, "usd")}, 2),
        ([CHARGE], USD, None, 2),
        ([CHARGE], USD, {0: (400, "usd")}, 1),
        ([CHARGE], USD, {0: (400, "eur")}, 2),  # it has no line of its own
        ([CONCEDE], USD, None, 2),
        ([CONCEDE], USD, {0: (60_000, "usd")}, 2),
        ([discount(amounts={"usd": 500_000})], USD, None, 2),
        ([discount(amounts={"usd": 200})], USD, None, 1),
        ([discount(amounts={"usd": 200, "eur": 200})], USD, None, 2),
        ([discount(amounts={"usd": 200.5})], USD, None, 2),
        ([discount(amount=200, currency="usd")], {"id": ID}, None, 1),
        ([discount(type="percentage", basis_points=2_000)], USD, None, 2),
        ([PlannedCall("subscriptions:update", {"id": ID}, {}, {"product_id": ID})], USD, None, 2),
        ([PlannedCall("events:ingest", body={"events": [{"name": "x"}]})], USD, None, 2),
        ([discount(amount=200, currency="usd"), CHARGE], USD, None, 2),  # one of two is not known
        ([discount(amount=200, currency="usd"), CHARGE], USD, {1: (300, "usd")}, 1),
        ([discount(amount=200, currency="eur"), discount(amount=200, currency="usd")], USD, None, 2),
        ([PlannedCall("orders:generate_invoice", {"id": ID})], USD, None, 1),  # it moves none
        ([PlannedCall("orders:generate_invoice", {"id": ID})], {"id": ID}, None, 1),
        ([PlannedCall("orders:from_a_newer_version", {"id": ID})], USD, None, 2),
    ],
)
def test_money_that_is_not_known_takes_two_where_an_amount_is_named(
    calls: list[PlannedCall], data: dict[str, object], amounts: Amounts | None, expected: int
) -> None:
    known = all(call.operation in operations() for call in calls)
    if known:
        assert people(*calls, data=data, amounts=amounts) == expected
    else:
        strange = asked(calls=tuple(calls), risk="R2", amount=None, currency=None)
        assert requirements(OVER, strange).people == expected


MONEY = [
    one for one in operations().values() if one.is_write and one.refused is None and one.row.effect.money
]


@pytest.mark.parametrize("operation", MONEY, ids=lambda one: one.id)
def test_every_call_that_moves_money_takes_two_until_it_is_known_how_much(operation: Operation) -> None:
    call = Call(operation.id, {one.name: ID for one in operation.parameters if one.where == "path"}, {}, {})
    assert moves_money(call)
    assert OVER.takes_two(Risk.R2, None, None, [call])
    assert OVER.takes_two(Risk.R2, 100, None, [call])
    assert OVER.takes_two(Risk.R2, 100, "usd", [call]) is (operation.id not in AMOUNT_IS_READ)
    assert not Policy().takes_two(Risk.R2, None, None, [call])


def test_for_each_call_whose_amount_only_a_read_tells_there_is_that_read() -> None:
    assert AMOUNT_IS_READ == reads._TOLD.keys()


def test_before_it_is_decided_what_takes_two_has_a_card_of_its_own() -> None:
    waits = asked(calls=(discount(amounts={"usd": 200, "eur": 1}),), risk="R2", amount=900, currency="usd")
    assert needs_a_look(waits, OVER, waits.created_at)
    assert not needs_a_look(waits, Policy(), waits.created_at)
