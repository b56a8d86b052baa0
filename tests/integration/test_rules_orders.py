"""The rules on orders, keys and disputes, from the event to what Polar was asked and what changed there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.demo.polar import stock
from bot.demo.polar.grants import revoke_grant
from bot.demo.polar.orders import tell_order
from store.models import ProposalState
from tests.fixtures.line import Line, done, line


@pytest.fixture
async def shop_line(tmp_path: Path) -> AsyncIterator[Line]:
    """A line with a fresh stand-in."""
    async with line(tmp_path) as opened:
        yield opened


async def test_a_paid_order_gets_its_invoice(shop_line: Line) -> None:
    order = shop_line.polar.order()
    tell_order(shop_line.shop, "order.paid", order)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("generate-invoice")))
    assert [("orders:generate_invoice", f"/v1/orders/{order['id']}/invoice", None)] == shop_line.sent()
    assert order["is_invoice_generated"]


async def test_the_later_of_two_equal_purchases_is_refunded_and_keeps_its_benefits(shop_line: Line) -> None:
    first = shop_line.polar.order()
    tell_order(shop_line.shop, "order.created", first)
    shop_line.clock.advance(minutes=3)
    second = shop_line.polar.order(tax=551)
    tell_order(shop_line.shop, "order.created", second)
    await shop_line.deliver()

    proposal = await shop_line.only("refund-duplicate-order")
    assert done(await shop_line.approve(proposal))
    ((_, _, body),) = shop_line.sent()
    assert body == {
        "order_id": second["id"],
        "reason": "duplicate",
        "amount": 2_900,
        "revoke_benefits": False,
        "metadata": {"polar_approvals": f"duplicate-order:{second['id']}"},
    }
    assert (first["status"], second["status"]) == ("paid", "refunded")
    assert proposal.risk == "R3"


@pytest.mark.parametrize(
    ("minutes", "more"),
    [(30, {}), (3, {"billing_reason": "subscription_cycle"}), (3, {"status": "refunded"})],
)
async def test_what_only_looks_like_a_duplicate_is_left_alone(
    shop_line: Line, minutes: int, more: dict[str, Any]
) -> None:
    shop_line.polar.order()
    shop_line.clock.advance(minutes=minutes)
    tell_order(shop_line.shop, "order.created", shop_line.polar.order(**more))
    await shop_line.deliver()

    assert await shop_line.rules() == []


async def test_a_refund_that_the_bank_sent_back_is_made_again_once(shop_line: Line) -> None:
    order = shop_line.polar.order()
    refund = _refund(shop_line, order, "failed")
    for _ in range(2):  # Polar tells every word of the bank
        shop_line.tell("refund.updated", "refunds", refund)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("retry-failed-refund")))
    ((operation, _, body),) = shop_line.sent()
    assert (operation, body["amount"], body["reason"]) == ("refunds:create", 1_000, "customer_request")
    assert body["metadata"] == {"polar_approvals": f"retry:{refund['id']}"}
    assert order["refunded_amount"] == 1_000


async def test_a_refund_already_made_again_is_not_asked_about(shop_line: Line) -> None:
    order = shop_line.polar.order()
    refund = _refund(shop_line, order, "failed")
    shop_line.clock.advance(minutes=1)
    _refund(shop_line, order, "pending")
    shop_line.tell("refund.updated", "refunds", refund)
    await shop_line.deliver()

    assert await shop_line.rules() == []


def _refund(on: Line, order: dict[str, Any], status: str) -> dict[str, Any]:
    return on.shop.add(
        "refunds", metadata={}, status=status, reason="customer_request", amount=1_000, tax_amount=0,
        currency="usd", organization_id=on.shop.organization_id, order_id=order["id"], subscription_id=None,
        customer_id=order["customer_id"], revoke_benefits=False, dispute=None,
    )  # fmt: skip


async def test_the_keys_of_a_refunded_order_are_disabled_together(shop_line: Line) -> None:
    order = shop_line.polar.order()
    keys = [stock.add_grant(shop_line.shop, order, shop_line.polar.benefit)[1] for _ in range(2)]
    shop_line.shop.change(order, status="refunded", refunded_amount=2_900)
    tell_order(shop_line.shop, "order.refunded", order)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("disable-keys-of-refunded-order")))
    assert {each["id"] for each in keys} == {path.rpartition("/")[2] for _, path, _ in shop_line.sent()}
    assert [each["status"] for each in keys] == ["disabled", "disabled"]


async def test_more_keys_than_one_card_takes_are_left_out_and_said(shop_line: Line) -> None:
    order = shop_line.polar.order()
    for _ in range(60):
        stock.add_grant(shop_line.shop, order, shop_line.polar.benefit)
    shop_line.shop.change(order, status="refunded", refunded_amount=2_900)
    tell_order(shop_line.shop, "order.refunded", order)
    await shop_line.deliver()

    proposal = await shop_line.only("disable-keys-of-refunded-order")
    assert len(proposal.calls) == 50
    assert ("Left out", "10 more. A card makes 50 calls at most") in proposal.facts
    assert "50 license keys" in proposal.title


async def test_a_revoked_key_is_granted_again_while_it_is_paid_for(shop_line: Line) -> None:
    order = shop_line.polar.order()
    grant, key = stock.add_grant(shop_line.shop, order, shop_line.polar.benefit)
    revoke_grant(shop_line.shop, grant)
    await shop_line.deliver()

    proposal = await shop_line.only("restore-license-key")
    assert proposal.always_asks
    assert done(await shop_line.approve(proposal))
    assert [
        ("license_keys:update", f"/v1/license-keys/{key['id']}", {"status": "granted"})
    ] == shop_line.sent()
    assert (key["status"], grant["is_granted"]) == ("granted", True)


async def test_a_key_whose_benefit_left_the_product_stays_revoked(shop_line: Line) -> None:
    grant, _ = stock.add_grant(shop_line.shop, shop_line.polar.order(), shop_line.polar.benefit)
    shop_line.shop.change(shop_line.polar.product, benefit_ids=[])
    revoke_grant(shop_line.shop, grant)
    await shop_line.deliver()

    assert await shop_line.rules() == []


async def test_the_keys_of_a_customers_lapsed_subscriptions_make_one_card_after_a_week(
    shop_line: Line,
) -> None:
    keys = []
    for _ in range(2):
        subscription = stock.add_subscription(
            shop_line.shop, shop_line.polar.customer, shop_line.polar.monthly
        )
        keys.append(stock.add_grant(shop_line.shop, subscription, shop_line.polar.benefit)[1])
        ended = shop_line.shop.now()
        shop_line.shop.change(
            subscription, status="canceled", ended_at=ended, ends_at=ended, canceled_at=ended
        )
        shop_line.tell("subscription.revoked", "subscriptions", subscription)
    await shop_line.deliver()

    assert "disable-keys-of-lapsed-subscription" not in await shop_line.rules()
    await shop_line.later(days=7, minutes=1)

    assert done(await shop_line.approve(await shop_line.only("disable-keys-of-lapsed-subscription")))
    assert [each["status"] for each in keys] == ["disabled", "disabled"]


async def test_only_the_subscription_that_ended_last_speaks_for_the_keys(shop_line: Line) -> None:
    on = shop_line
    first = stock.add_subscription(on.shop, on.polar.customer, on.polar.monthly)
    last = stock.add_subscription(on.shop, on.polar.customer, on.polar.monthly)
    _, key = stock.add_grant(on.shop, first, on.polar.benefit)
    _, off = stock.add_grant(on.shop, last, on.polar.benefit)
    off["status"] = "disabled"  # by a person: it keeps its grant
    stock.add_subscription(on.shop, on.polar.customer, on.polar.monthly, status="incomplete_expired")
    for each in (first, last):
        on.clock.advance(days=3)
        now = on.shop.now()
        on.shop.change(each, status="canceled", ended_at=now, ends_at=now, canceled_at=now)
        on.tell("subscription.revoked", "subscriptions", each)
        await on.deliver()

    await on.later(days=5)
    assert "disable-keys-of-lapsed-subscription" not in await on.rules()
    await on.later(days=3)

    assert done(await on.approve(await on.only("disable-keys-of-lapsed-subscription")))
    assert [path for _, path, _ in on.sent()] == [f"/v1/license-keys/{key['id']}"]


async def test_keys_are_kept_when_the_customer_came_back_within_the_week(shop_line: Line) -> None:
    subscription = stock.add_subscription(shop_line.shop, shop_line.polar.customer, shop_line.polar.monthly)
    stock.add_grant(shop_line.shop, subscription, shop_line.polar.benefit)
    ended = shop_line.shop.now()
    shop_line.shop.change(subscription, status="canceled", ended_at=ended, ends_at=ended, canceled_at=ended)
    shop_line.tell("subscription.revoked", "subscriptions", subscription)
    await shop_line.deliver()
    stock.add_subscription(shop_line.shop, shop_line.polar.customer, shop_line.polar.monthly)
    await shop_line.later(days=8)

    assert "disable-keys-of-lapsed-subscription" not in await shop_line.rules()


def _dispute(on: Line, order: dict[str, Any], status: str) -> dict[str, Any]:
    return on.shop.add(
        "disputes", status=status, resolved=False, closed=False, amount=2_900, tax_amount=551, currency="usd",
        reason="fraudulent", evidence_due_by=on.shop.now(days=12), past_due=False, order_id=order["id"],
        payment_id=None, customer=on.polar.customer, case_id=None, customer_id=order["customer_id"],
    )  # fmt: skip


async def test_a_dispute_is_found_once_and_conceding_it_names_the_deadline(shop_line: Line) -> None:
    dispute = _dispute(shop_line, shop_line.polar.order(), "needs_response")
    await shop_line.poll()
    await shop_line.poll()

    proposal = await shop_line.only("concede-dispute")
    assert (
        await shop_line.event(f"poll:dispute:{dispute['id']}:needs_response")
    ).type == "dispute.needs_response"
    assert proposal.title.endswith("rather than answer by 3 Dec 2026?")
    assert (proposal.risk, proposal.always_asks) == ("R4", "money_disputed")
    assert ("Due by", "3 Dec 2026") in proposal.facts
    assert done(await shop_line.approve(proposal))
    assert [("disputes:accept", f"/v1/disputes/{dispute['id']}/accept", None)] == shop_line.sent()
    assert dispute["status"] == "lost"


async def test_a_dispute_answered_meanwhile_is_not_conceded(shop_line: Line) -> None:
    dispute = _dispute(shop_line, shop_line.polar.order(), "needs_response")
    await shop_line.poll()
    dispute["status"] = "under_review"

    assert (await shop_line.approve(await shop_line.only("concede-dispute"))).state == ProposalState.WITHDRAWN
    assert shop_line.sent() == []


async def test_an_early_warning_offers_the_refund_that_may_spare_the_dispute(shop_line: Line) -> None:
    order = shop_line.polar.order()
    dispute = _dispute(shop_line, order, "early_warning")
    await shop_line.poll()

    assert done(await shop_line.approve(await shop_line.only("refund-before-dispute")))
    ((operation, _, body),) = shop_line.sent()
    assert (operation, body["reason"], body["amount"]) == ("refunds:create", "fraudulent", 2_900)
    assert body["metadata"] == {"polar_approvals": f"early-warning:{dispute['id']}"}
    assert order["status"] == "refunded"


async def test_webhooks_another_endpoint_never_took_are_sent_again_together(shop_line: Line) -> None:
    endpoint = shop_line.shop.add(
        "webhooks/endpoints", url="https://crm.example/hooks?key=secret", name=None, format="raw", secret="s",
        organization_id=shop_line.shop.organization_id, events=["order.paid"], enabled=True,
        uses_standard_webhook_signature=True,
    )  # fmt: skip
    for _ in range(2):
        tell_order(shop_line.shop, "order.paid", shop_line.polar.order())
    for event in shop_line.polar.standin.send_pending("two sales"):
        await event.tried.wait()
    await shop_line.poll()
    assert await shop_line.rules() == []  # Polar still tries by itself
    shop_line.clock.advance(hours=2)
    await shop_line.poll()

    proposal = await shop_line.only("redeliver-failed-webhooks")
    assert proposal.title == "Send 2 webhooks to crm.example again?"
    assert done(await shop_line.approve(proposal))
    failed = [each for each in shop_line.polar.standin.webhooks.events.values() if each.endpoint is endpoint]
    assert {f"/v1/webhooks/events/{each.id}/redeliver" for each in failed} == {
        path for _, path, _ in shop_line.sent()
    }
    shop_line.clock.advance(hours=2)
    await shop_line.poll()
    assert await shop_line.rules() == ["redeliver-failed-webhooks"]
