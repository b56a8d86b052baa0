"""What is looked up because no webhook tells of it: once, by one, without gaps."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.demo.polar import stock
from bot.demo.polar.orders import tell_order
from bot.pipeline import poll
from store.events.events import claim_poll, count_events, keep_polled_until, poll_again, polled_until
from tests.fixtures.line import Line, line
from tests.fixtures.polar import Receiver

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.fixture
async def shop_line(tmp_path: Path, database_url: str) -> AsyncIterator[Line]:
    """A line with a fresh stand-in."""
    async with line(tmp_path, url=database_url) as opened:
        yield opened


async def test_a_look_is_due_for_one_of_several_and_again_when_its_time_has_come(shop_line: Line) -> None:
    async def claim(minutes: float) -> bool:
        now = NOW + timedelta(minutes=minutes)
        times = {"now": now, "until": now + timedelta(minutes=5), "first": now + timedelta(minutes=1)}
        return await shop_line.store.do(claim_poll, "x", **times)

    assert [await claim(at) for at in (0, 0.5, 1, 1, 5.9, 6, 6)] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]
    await shop_line.store.do(poll_again, "x", NOW + timedelta(minutes=7))
    assert [await claim(at) for at in (6.9, 7)] == [False, True]


async def test_how_far_a_look_came_is_kept(shop_line: Line) -> None:
    assert await shop_line.store.do(polled_until, "x") is None
    for hours in (0, 1):
        await shop_line.store.do(keep_polled_until, "x", NOW + timedelta(hours=hours))
    assert await shop_line.store.do(polled_until, "x") == NOW + timedelta(hours=1)


async def test_what_cannot_be_read_now_is_read_at_the_next_turn(shop_line: Line) -> None:
    shop_line.shop.add(
        "disputes", status="needs_response", resolved=False, closed=False, amount=100, tax_amount=0, currency="usd",
        reason=None, evidence_due_by=None, past_due=False, order_id=shop_line.polar.order()["id"], payment_id=None,
        customer=shop_line.polar.customer, case_id=None,
    )  # fmt: skip
    shop_line.polar.standin.scopes = frozenset({"webhooks:read"})
    await shop_line.poll()
    assert await shop_line.store.do(count_events) == {}
    shop_line.polar.standin.scopes = None
    await shop_line.poll()

    assert await shop_line.rules() == ["concede-dispute"]


async def test_hours_follow_one_another_and_our_own_endpoint_is_left_out(shop_line: Line) -> None:
    async with Receiver(refuse=99).listening() as ours:
        shop_line.polar.standin.connect(ours.url)
        _other_endpoint(shop_line)
        await shop_line.poll()  # from here on nothing is missed
        for _ in range(3):
            await _sales(shop_line)
            shop_line.clock.advance(minutes=50)
        for _ in range(12):
            await shop_line.poll()

    found = [each for each in await shop_line.proposals() if each.rule == "redeliver-failed-webhooks"]
    assert sum(len(each.calls) for each in found) == 3
    assert {dict(each.facts)["Endpoint"] for each in found} == {"crm.example"}


async def test_of_many_webhooks_each_card_sends_as_many_again_as_it_may(shop_line: Line) -> None:
    async with Receiver(refuse=999).listening() as ours:
        shop_line.polar.standin.connect(ours.url)
        _other_endpoint(shop_line)
        await shop_line.poll()  # from here on nothing is missed
        await _sales(shop_line, 60)
        shop_line.clock.advance(hours=3)
        for _ in range(4):
            await shop_line.poll()

    found = [each for each in await shop_line.proposals() if each.rule == "redeliver-failed-webhooks"]
    assert sorted(len(each.calls) for each in found) == [10, 50]
    assert len({call.path["id"] for each in found for call in each.calls}) == 60


async def test_what_polar_delivered_in_the_end_is_no_failure(shop_line: Line) -> None:
    _other_endpoint(shop_line)
    await _sales(shop_line)
    for row in shop_line.shop.tables["webhooks/deliveries"].values():
        row["webhook_event"]["succeeded"] = True  # a later attempt went through
    shop_line.clock.advance(hours=3)
    await shop_line.poll()

    assert await shop_line.rules() == []


async def _sales(on: Line, count: int = 1) -> None:
    """Sell, and wait until Polar has told of it."""
    for _ in range(count):
        tell_order(on.shop, "order.paid", on.polar.order())
    for event in on.polar.standin.send_pending("a sale"):
        await event.tried.wait()


def _other_endpoint(on: Line) -> None:
    on.shop.add(
        "webhooks/endpoints", url="https://crm.example/hooks", name=None, format="raw", secret="s",
        organization_id=on.shop.organization_id, events=["order.paid"], enabled=True,
        uses_standard_webhook_signature=True,
    )  # fmt: skip


async def test_without_a_rule_nothing_is_looked_up(shop_line: Line) -> None:
    parts = shop_line.services
    quiet = type(parts.rules)(tuple(rule for rule in parts.rules.rules if "dispute" not in rule.name))
    names = {source.name for source in poll.SOURCES if any(quiet.for_event(type_) for type_ in source.types)}

    assert names == {"deliveries"}


# --- of the rules at work


async def test_a_rule_that_cannot_read_does_not_hold_up_what_others_said(shop_line: Line) -> None:
    grant, _ = stock.add_grant(shop_line.shop, shop_line.polar.order(), shop_line.polar.benefit)
    subscription = stock.add_subscription(shop_line.shop, shop_line.polar.customer, shop_line.polar.monthly)
    ended = shop_line.shop.now()
    shop_line.shop.change(subscription, status="canceled", ended_at=ended, ends_at=ended, canceled_at=ended)
    shop_line.tell("subscription.revoked", "subscriptions", subscription)
    shop_line.clock.advance(days=8)  # so late that the rule which waits a week asks at once
    grant["subscription_id"], grant["order_id"] = subscription["id"], None
    shop_line.polar.standin.scopes = frozenset(
        {"benefits:read", "license_keys:read", "subscriptions:read"}
    )  # and no other

    await shop_line.deliver()

    assert await shop_line.rules() == ["disable-keys-of-lapsed-subscription"]
    assert await shop_line.store.do(count_events) == {"new": 1}  # the win-back is asked again later


async def test_the_echo_of_our_own_write_stays_one_when_its_predecessor_comes_late(shop_line: Line) -> None:
    subscription = stock.add_subscription(
        shop_line.shop, shop_line.polar.customer, shop_line.polar.monthly, seats=2
    )
    seat = shop_line.shop.add(
        "customer-seats", subscription_id=subscription["id"], order_id=None, status="pending",
        member_id=next(shop_line.shop.rows("members", customer_id=shop_line.polar.customer["id"]))["id"],
        customer_id=shop_line.polar.customer["id"], email="jane@example.com", customer_email="jane@example.com",
        invitation_token_expires_at=shop_line.shop.now(hours=24), claimed_at=None, revoked_at=None,
        seat_metadata={},
    )  # fmt: skip
    shop_line.tell("customer_seat.assigned", "customer-seats", seat)
    shop_line.clock.advance(seconds=1)
    shop_line.tell("customer_seat.assigned", "customer-seats", seat)
    first, second = shop_line.seen()
    await shop_line.deliver([first])
    await shop_line.later(hours=26)
    await shop_line.approve(await shop_line.only("renew-seat-invitation"))
    revoked = [each for each in shop_line.echoes() if each.type == "customer_seat.revoked"]
    await shop_line.deliver(revoked)
    shop_line.clock.advance(hours=1)

    await shop_line.deliver([second])  # asks the revocation again: it has another predecessor

    assert await shop_line.rules() == ["renew-seat-invitation"]
