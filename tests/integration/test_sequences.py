"""Polar's sequences of events, A to V: however they arrive, the end is the same.

Each is told by the stand-in's shop, then delivered in order, reversed, and every event twice under two ids.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.demo.polar import stock
from bot.demo.polar.grants import revoke_grant, revoke_seat, tell_grant, tell_state
from bot.demo.polar.orders import tell_order
from bot.demo.polar.sales import _checkout_fields
from bot.demo.polar.shop import Row, Told
from store.events.events import count_events
from tests.fixtures.line import Line, line

Play = Callable[[Line], None]


# --- what happens again and again


def tell_subscription(on: Line, row: Row, *verbs: str) -> None:
    for verb in verbs:
        on.tell(f"subscription.{verb}", "subscriptions", row)
    tell_state(on.shop, row["customer_id"])


def subscribe(on: Line, **more: Any) -> Row:
    """A running subscription with its key, known from before."""
    row = stock.add_subscription(on.shop, on.polar.customer, on.polar.monthly, **more)
    tell_subscription(on, row, "created", "active", "updated")
    give(on, row)
    return row


def give(on: Line, source: Row) -> Row:
    grant, _ = stock.add_grant(on.shop, source, on.polar.benefit)
    tell_grant(on.shop, "benefit_grant.created", grant)
    return grant


def take_all(on: Line, source: Row) -> None:
    for grant in list(on.shop.rows("benefit-grants", customer_id=on.polar.customer["id"])):
        if source["id"] in (grant["subscription_id"], grant["order_id"]):
            revoke_grant(on.shop, grant)


def order_of(on: Line, subscription: Row, reason: str, **more: Any) -> Row:
    more = {"billing_reason": reason, "subscription_id": subscription["id"], **more}
    return stock.add_order(on.shop, on.polar.customer, on.polar.monthly, **more)


def renew(on: Line, subscription: Row, reason: str = "subscription_cycle") -> Row:
    """An order that waits for its payment, then is paid."""
    order = order_of(on, subscription, reason, status="pending", paid=False)
    tell_order(on.shop, "order.created", order)
    pay(on, order)
    return order


def pay(on: Line, order: Row) -> None:
    on.shop.change(order, status="paid", paid=True)
    for verb in ("updated", "paid"):
        tell_order(on.shop, f"order.{verb}", order)
    on.shop.change(order, platform_fee_amount=120)
    tell_order(on.shop, "order.updated", order)


def refund(on: Line, order: Row, status: str, **more: Any) -> Row:
    fields: Row = {
        "metadata": {}, "status": status, "reason": "customer_request", "amount": order["net_amount"],
        "tax_amount": 0, "currency": "usd", "organization_id": on.shop.organization_id, "order_id": order["id"],
        "subscription_id": order["subscription_id"], "customer_id": order["customer_id"],
        "revoke_benefits": False, "dispute": None,
    }  # fmt: skip
    row = on.shop.add("refunds", **{**fields, **more})
    on.tell("refund.created", "refunds", row)
    return row


def give_back(on: Line, order: Row) -> None:
    on.shop.change(order, status="refunded", refunded_amount=order["net_amount"])
    for verb in ("updated", "refunded"):
        tell_order(on.shop, f"order.{verb}", order)


def dispute(on: Line, order: Row, status: str) -> Row:
    return on.shop.add(
        "disputes", status=status, resolved=True, closed=True, amount=order["net_amount"], tax_amount=0,
        currency="usd", reason="fraudulent", evidence_due_by=None, past_due=False, order_id=order["id"],
        payment_id=None, customer=on.polar.customer, case_id=None, customer_id=order["customer_id"],
    )  # fmt: skip


def schedule_end(on: Line, row: Row) -> None:
    end = {"canceled_at": on.shop.now(), "ends_at": row["current_period_end"]}
    on.shop.change(row, cancel_at_period_end=True, customer_cancellation_reason="too_expensive", **end)
    tell_subscription(on, row, "updated", "canceled")


def end(on: Line, row: Row) -> None:
    now = on.shop.now()
    on.shop.change(row, status="canceled", ended_at=now, ends_at=now, canceled_at=now)
    tell_subscription(on, row, "updated", "canceled", "revoked")
    take_all(on, row)


def past_due(on: Line, row: Row) -> Row:
    order = order_of(on, row, "subscription_cycle", status="pending", paid=False)
    tell_order(on.shop, "order.created", order)
    on.shop.change(row, status="past_due", past_due_at=on.shop.now())
    tell_subscription(on, row, "updated", "past_due")
    take_all(on, row)
    return order


# --- the sequences


def a_purchase(on: Line) -> None:
    body = {"customer_email": on.polar.customer["email"]}
    checkout = on.shop.add("checkouts", **_checkout_fields(on.shop, body, on.polar.product, None, None))
    for verb, status in (("created", "open"), ("updated", "open"), ("updated", "confirmed")):
        on.shop.change(checkout, status=status)
        on.tell(f"checkout.{verb}", "checkouts", checkout)
    on.shop.change(checkout, status="succeeded", customer_id=on.polar.customer["id"])
    on.tell("customer.created", "customers", on.polar.customer)
    order = on.polar.order(checkout_id=checkout["id"])
    tell_order(on.shop, "order.created", order)
    on.tell("checkout.updated", "checkouts", checkout)
    pay(on, order)
    give(on, order)


def b_first_payment(on: Line) -> None:
    row = subscribe(on)
    order = order_of(on, row, "subscription_create")
    tell_order(on.shop, "order.created", order)
    pay(on, order)


def c_trial(on: Line) -> None:
    row = subscribe(on, status="trialing", trial_end=on.shop.now(days=7))
    order = order_of(on, row, "subscription_create", net_amount=0, total_amount=0, subtotal_amount=0)
    tell_order(on.shop, "order.created", order)
    pay(on, order)


def d_trial_to_paid(on: Line) -> None:
    row = subscribe(on, status="trialing", trial_end=on.shop.now())
    on.shop.change(row, status="active")
    e_cycle(on, row)


def e_renewal(on: Line) -> None:
    e_cycle(on, subscribe(on))


def e_cycle(on: Line, row: Row) -> None:
    on.shop.change(row, current_period_end=on.shop.now(days=60))
    tell_subscription(on, row, "cycled", "updated")
    renew(on, row)
    grant = next(on.shop.rows("benefit-grants", customer_id=row["customer_id"]))
    tell_grant(on.shop, "benefit_grant.cycled", grant)


def e2_meter_period(on: Line) -> None:
    renew(on, subscribe(on), "subscription_meter_cycle")


def f_refund(on: Line) -> None:
    order = on.polar.order()
    give(on, order)
    refund(on, order, "succeeded")
    give_back(on, order)


def g_delayed_refund(on: Line) -> None:
    order = on.polar.order()
    grant = give(on, order)
    row = refund(on, order, "pending", revoke_benefits=True)
    revoke_grant(on.shop, grant)
    on.shop.change(row, status="succeeded")
    on.tell("refund.updated", "refunds", row)
    give_back(on, order)


def h_refund_reverted(on: Line) -> None:
    order = on.polar.order()
    row = refund(on, order, "succeeded")
    give_back(on, order)
    on.shop.change(row, status="failed")
    on.tell("refund.updated", "refunds", row)
    on.tell("refund.updated", "refunds", row)
    on.shop.change(order, status="paid", refunded_amount=0)
    tell_order(on.shop, "order.updated", order)


def i_cancel(on: Line) -> None:
    schedule_end(on, subscribe(on))


def j_canceled_takes_effect(on: Line) -> None:
    row = subscribe(on)
    schedule_end(on, row)
    end(on, row)


def k_immediate(on: Line) -> None:
    row = subscribe(on)
    order = order_of(on, row, "subscription_cycle", status="pending", paid=False)
    tell_order(on.shop, "order.created", order)
    end(on, row)
    on.shop.change(order, status="void")
    tell_order(on.shop, "order.updated", order)


def l_uncancel(on: Line) -> None:
    row = subscribe(on)
    schedule_end(on, row)
    cleared = dict.fromkeys(("canceled_at", "ends_at", "customer_cancellation_reason"))
    on.shop.change(row, cancel_at_period_end=False, **cleared)
    tell_subscription(on, row, "updated", "uncanceled")


def m_failed_renewal(on: Line) -> None:
    past_due(on, subscribe(on))


def n_recovery(on: Line) -> None:
    row = subscribe(on)
    order = past_due(on, row)
    pay(on, order)
    on.shop.change(row, status="active", past_due_at=None)
    tell_subscription(on, row, "updated", "active")
    again(on, row)


def again(on: Line, row: Row) -> None:
    """The grants are there once more, under their old ids."""
    for grant in list(on.shop.rows("benefit-grants", subscription_id=row["id"])):
        on.shop.change(grant, is_granted=True, is_revoked=False, granted_at=on.shop.now())
        on.shop.tables["license-keys"][grant["properties"]["license_key_id"]]["status"] = "granted"
        tell_grant(on.shop, "benefit_grant.created", grant)


def o_dunning_exhausted(on: Line) -> None:
    row = subscribe(on)
    past_due(on, row)
    end(on, row)


def p_pause(on: Line) -> Row:
    row = subscribe(on)
    on.shop.change(row, pause_at_period_end=True)
    tell_subscription(on, row, "updated")
    on.shop.change(row, status="paused", pause_at_period_end=False, paused_at=on.shop.now())
    tell_subscription(on, row, "updated", "paused")
    take_all(on, row)
    return row


def q_resume(on: Line) -> None:
    row = p_pause(on)
    on.shop.change(row, status="active", paused_at=None)
    tell_subscription(on, row, "updated", "resumed")
    renew(on, row)
    again(on, row)


def r_seat_revoked(on: Line) -> None:
    row = stock.add_subscription(on.shop, on.polar.customer, on.polar.monthly, seats=2)
    tell_subscription(on, row, "created", "active", "updated")
    member = on.shop.add(
        "members", customer_id=on.polar.customer["id"], email="ada@example.com", name="Ada", external_id=None,
        role="member",
    )  # fmt: skip
    on.tell("member.created", "members", member)
    seat = on.shop.add(
        "customer-seats", subscription_id=row["id"], order_id=None, status="pending", member_id=member["id"],
        customer_id=on.polar.customer["id"], email=member["email"], customer_email=member["email"],
        invitation_token_expires_at=on.shop.now(hours=24), claimed_at=None, revoked_at=None, seat_metadata={},
    )  # fmt: skip
    on.tell("customer_seat.assigned", "customer-seats", seat)
    on.shop.change(seat, status="claimed", claimed_at=on.shop.now())
    on.tell("customer_seat.claimed", "customer-seats", seat)
    grant, _ = stock.add_grant(on.shop, row, on.polar.benefit, member=member)
    tell_grant(on.shop, "benefit_grant.created", grant)
    revoke_seat(on.shop, seat)


def s_product_change(on: Line) -> None:
    row = subscribe(on)
    benefit = stock.add_license_benefit(on.shop, "Bigger key", "BIG")
    bigger = stock.add_product(on.shop, "Bigger", 1_900, every="month", benefits=(benefit,))
    on.shop.change(row, product_id=bigger["id"], amount=1_900)
    tell_subscription(on, row, "updated")
    order = order_of(on, row, "subscription_update")
    tell_order(on.shop, "order.created", order)
    pay(on, order)
    take_all(on, row)
    grant, _ = stock.add_grant(on.shop, row, benefit)
    tell_grant(on.shop, "benefit_grant.created", grant)


def t_customer_deleted(on: Line) -> None:
    row = subscribe(on)
    end(on, row)
    on.shop.change(on.polar.customer, deleted_at=on.shop.now())
    for member in list(on.shop.rows("members", customer_id=on.polar.customer["id"])):
        on.tell("member.deleted", "members", member)
    on.tell("customer.deleted", "customers", on.polar.customer)
    tell_state(on.shop, on.polar.customer["id"])


def u_chargeback_prevented(on: Line) -> None:
    row = subscribe(on)
    order = order_of(on, row, "subscription_create")
    dispute(on, order, "prevented")
    refund(on, order, "succeeded", reason="dispute_prevention", revoke_benefits=True)
    give_back(on, order)
    end(on, row)


def u2_dispute_lost(on: Line) -> None:
    row = subscribe(on)
    dispute(on, order_of(on, row, "subscription_create"), "lost")
    end(on, row)


def v_refunded_by_polar(on: Line) -> None:
    order = on.polar.order()
    grant = give(on, order)
    refund(on, order, "succeeded", reason="satisfaction_guarantee", revoke_benefits=True)
    give_back(on, order)
    revoke_grant(on.shop, grant)


SEQUENCES: tuple[tuple[Play, set[str]], ...] = (
    (a_purchase, {"generate-invoice"}),
    (b_first_payment, {"generate-invoice"}),
    (c_trial, set()),
    (d_trial_to_paid, {"generate-invoice"}),
    (e_renewal, {"generate-invoice"}),
    (e2_meter_period, {"generate-invoice"}),
    (f_refund, {"disable-keys-of-refunded-order"}),
    (g_delayed_refund, set()),
    (h_refund_reverted, {"retry-failed-refund"}),
    (i_cancel, {"save-offer-discount"}),
    (j_canceled_takes_effect, {"win-back-offer"}),
    (k_immediate, {"win-back-offer"}),
    (l_uncancel, set()),
    (m_failed_renewal, {"card-update-link"}),
    (n_recovery, {"generate-invoice"}),
    (o_dunning_exhausted, {"win-back-offer"}),
    (p_pause, set()),
    (q_resume, {"generate-invoice"}),
    (r_seat_revoked, {"restore-seat"}),
    (s_product_change, {"generate-invoice"}),
    (t_customer_deleted, set()),
    (u_chargeback_prevented, set()),
    (u2_dispute_lost, set()),
    (v_refunded_by_polar, set()),
)


def in_order(told: Sequence[Told]) -> list[Told]:
    return list(told)


def reversed_(told: Sequence[Told]) -> list[Told]:
    return list(reversed(told))


def doubled(told: Sequence[Told]) -> list[Told]:
    return [each for one in told for each in (one, one)]


def interleaved(told: Sequence[Told]) -> list[Told]:
    """Every other event late, as when the first attempts of some fail."""
    return [*told[::2], *told[1::2]]


async def play(folder: Path, sequence: Play, arrive: Callable[[Sequence[Told]], list[Told]]) -> Any:
    async with line(folder, arrive.__name__) as on:
        sequence(on)
        await on.deliver(arrive(on.seen()))
        await on.later(days=2)
        counts = await on.store.do(count_events)
        assert counts.keys() == {"done"}, counts  # no rule failed, and nothing waits
        return await on.outcome()


@pytest.mark.parametrize(("sequence", "rules"), SEQUENCES, ids=[each.__name__ for each, _ in SEQUENCES])
async def test_a_sequence_ends_the_same_however_it_arrives(
    tmp_path: Path, sequence: Play, rules: set[str]
) -> None:
    states, spoken = await play(tmp_path, sequence, in_order)

    assert {rule for rule, _ in spoken} == rules
    assert len(spoken) == len(rules)  # one card for each rule
    for arrive in (reversed_, doubled, interleaved):
        again = await play(tmp_path, sequence, arrive)
        assert again == (states, spoken), arrive.__name__


# --- each event right after its step, while Polar is still in the middle of the sequence


def with_key_of_an_order(sequence: Play) -> Play:
    def play_both(on: Line) -> None:
        give(on, on.polar.order())
        sequence(on)

    play_both.__name__ = f"{sequence.__name__}_with_key_of_an_order"
    return play_both


def u3_dispute_of_an_order_lost(on: Line) -> None:
    order = on.polar.order()
    grant = give(on, order)
    dispute(on, order, "lost")
    revoke_grant(on.shop, grant)


async def as_it_happens(on: Line, sequence: Play) -> None:
    """The sequence in a thread of its own that waits, at every event, until we have dealt with it."""
    loop, tell = asyncio.get_running_loop(), on.shop.tell

    def tell_and_wait(type_: str, data: Row) -> None:
        tell(type_, data)
        asyncio.run_coroutine_threadsafe(on.deliver(), loop).result(timeout=10)

    on.shop.tell = tell_and_wait  # type: ignore[method-assign]  # only this shop, only in this test
    await asyncio.to_thread(sequence, on)


AS_IT_HAPPENS: tuple[tuple[Play, set[str]], ...] = (
    (f_refund, {"disable-keys-of-refunded-order"}),
    (g_delayed_refund, set()),
    (with_key_of_an_order(m_failed_renewal), {"card-update-link"}),
    (with_key_of_an_order(p_pause), set()),
    (u2_dispute_lost, set()),
    (u3_dispute_of_an_order_lost, set()),
)


@pytest.mark.parametrize(
    ("sequence", "rules"), AS_IT_HAPPENS, ids=[each.__name__ for each, _ in AS_IT_HAPPENS]
)
async def test_no_wrong_card_when_each_event_comes_right_after_its_step(
    tmp_path: Path, sequence: Play, rules: set[str]
) -> None:
    async with line(tmp_path) as on:
        await as_it_happens(on, sequence)
        await on.later(days=2)

        assert set(await on.rules()) == rules
        assert (await on.store.do(count_events)).keys() == {"done"}
