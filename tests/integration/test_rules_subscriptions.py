"""The rules on subscriptions, seats, checkouts, products and customers, from the event to what changed at Polar."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.demo.polar import stock
from bot.demo.polar.grants import revoke_seat, tell_state
from bot.demo.polar.standin import Fault
from store.models import CallState, ProposalState
from store.models.reasons import Reason, ReasonCode
from tests.fixtures.line import MAYA, Line, done, everything_stored, line


@pytest.fixture
async def shop_line(tmp_path: Path) -> AsyncIterator[Line]:
    """A line with a fresh stand-in."""
    async with line(tmp_path) as opened:
        yield opened


def subscribe(on: Line, **more: Any) -> dict[str, Any]:
    return stock.add_subscription(on.shop, on.polar.customer, on.polar.monthly, **more)


def cancel(on: Line, subscription: dict[str, Any], reason: str | None) -> None:
    on.shop.change(
        subscription, cancel_at_period_end=True, canceled_at=on.shop.now(), customer_cancellation_reason=reason,
        ends_at=subscription["current_period_end"],
    )  # fmt: skip
    on.tell("subscription.updated", "subscriptions", subscription)
    on.tell("subscription.canceled", "subscriptions", subscription)


def end(on: Line, subscription: dict[str, Any]) -> None:
    now = on.shop.now()
    on.shop.change(subscription, status="canceled", ended_at=now, ends_at=now, canceled_at=now)
    for type_ in ("subscription.updated", "subscription.canceled", "subscription.revoked"):
        on.tell(type_, "subscriptions", subscription)


async def test_too_expensive_gets_a_discount_in_two_calls_the_second_knows_the_first(shop_line: Line) -> None:
    subscription = subscribe(shop_line)
    cancel(shop_line, subscription, "too_expensive")
    await shop_line.deliver()

    planned = await shop_line.only("save-offer-discount")
    assert planned.calls[1].body == {"discount_id": {"$late": "${answers[0].id}"}}
    proposal = await shop_line.approve(planned)
    assert done(proposal)
    discount = next(each for each in shop_line.shop.rows("discounts") if each["name"] == "Save offer")
    (_, _, made), (operation, path, body) = shop_line.sent()
    assert (made["basis_points"], made["duration"], made["products"]) == (
        2000,
        "once",
        [subscription["product_id"]],
    )
    assert (operation, path) == ("subscriptions:update", f"/v1/subscriptions/{subscription['id']}")
    assert body == {"discount_id": discount["id"]} == proposal.calls[1].body
    assert subscription["discount_id"] == discount["id"]


async def test_a_chain_whose_first_call_is_refused_goes_no_further(shop_line: Line) -> None:
    subscription = subscribe(shop_line)
    cancel(shop_line, subscription, "too_expensive")
    await shop_line.deliver()
    proposal = await shop_line.only("save-offer-discount")
    shop_line.polar.standin.scopes = frozenset({"subscriptions:read", "subscriptions:write"})

    failed = await shop_line.approve(proposal)

    assert failed.state == ProposalState.FAILED
    assert [each.state for each in failed.calls] == [CallState.REFUSED, CallState.PLANNED]
    assert subscription["discount_id"] is None


async def test_a_chain_cut_off_in_the_middle_goes_on_where_it_was(shop_line: Line) -> None:
    subscription = subscribe(shop_line)
    cancel(shop_line, subscription, "too_expensive")
    await shop_line.deliver()
    shop_line.polar.standin.fail_next(Fault.RATE_LIMITED, only="subscriptions:update", seconds=0)

    halfway = await shop_line.approve(await shop_line.only("save-offer-discount"))
    assert halfway.state == ProposalState.APPROVED
    assert [each.state for each in halfway.calls] == [CallState.DONE, CallState.PLANNED]
    shop_line.clock.advance(minutes=10)

    assert done(await shop_line.carry_out(halfway))
    assert ["discounts:create", "subscriptions:update", "subscriptions:update"] == [
        operation for operation, _, _ in shop_line.sent()
    ]
    assert subscription["discount_id"] is not None


@pytest.mark.parametrize("reason", ["unused", "missing_features"])
async def test_who_does_not_use_it_is_offered_a_pause_without_touching_the_cancellation(
    shop_line: Line, reason: str
) -> None:
    subscription = subscribe(shop_line)
    cancel(shop_line, subscription, reason)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("save-offer-pause")))
    assert [("customer-sessions:create", {"customer_id": subscription["customer_id"]})] == [
        (operation, body) for operation, _, body in shop_line.sent()
    ]
    assert subscription["cancel_at_period_end"]
    ((user, text),) = shop_line.ephemerals.told
    assert (user, "https://demo.invalid/portal?customer_session_token=" in text) == (MAYA, True)


@pytest.mark.parametrize("reason", ["low_quality", "switched_service", "other", None])
async def test_other_reasons_ask_nothing(shop_line: Line, reason: str | None) -> None:
    cancel(shop_line, subscribe(shop_line), reason)
    await shop_line.deliver()

    assert await shop_line.rules() == []


async def test_a_card_update_link_is_shown_to_whoever_tapped_and_kept_nowhere(
    shop_line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    subscription = subscribe(shop_line, status="past_due")
    shop_line.shop.change(subscription, past_due_at=shop_line.shop.now())
    for type_ in ("subscription.updated", "subscription.past_due"):
        shop_line.tell(type_, "subscriptions", subscription)
    await shop_line.deliver()

    proposal = await shop_line.only("card-update-link")
    assert proposal.always_asks == "hands_out_link"
    assert done(await shop_line.approve(proposal))
    ((user, text),) = shop_line.ephemerals.told
    token = text.partition("customer_session_token=")[2].split()[0]
    assert (user, token.startswith("polar_cst_")) == (MAYA, True)
    assert token not in await everything_stored(shop_line.store)
    assert token not in caplog.text


async def test_a_link_that_could_not_be_shown_is_said_to_be_lost(shop_line: Line) -> None:
    subscription = subscribe(shop_line, status="past_due", past_due_at=shop_line.shop.now())
    shop_line.tell("subscription.past_due", "subscriptions", subscription)
    await shop_line.deliver()
    shop_line.ephemerals.down = True

    proposal = await shop_line.approve(await shop_line.only("card-update-link"))

    assert proposal.state == ProposalState.SUCCEEDED
    assert proposal.status_reason == Reason(ReasonCode.LINK_NOT_SHOWN)


async def test_who_has_gone_can_be_won_back_with_a_discounted_checkout(shop_line: Line) -> None:
    subscription = subscribe(shop_line)
    end(shop_line, subscription)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("win-back-offer")))
    (_, _, discount), (operation, _, checkout) = shop_line.sent()
    made = next(each for each in shop_line.shop.rows("discounts") if each["name"] == "Win-back offer")
    assert (discount["max_redemptions"], operation) == (1, "checkouts:create")
    assert checkout == {
        "products": [subscription["product_id"]],
        "customer_id": subscription["customer_id"],
        "discount_id": made["id"],
        "metadata": {"polar_approvals": f"win-back:{subscription['id']}"},
    }
    assert "https://demo.invalid/checkout/" in shop_line.ephemerals.told[0][1]


async def test_who_has_another_subscription_is_not_won_back(shop_line: Line) -> None:
    subscribe(shop_line)
    end(shop_line, subscribe(shop_line))
    await shop_line.deliver()

    assert "win-back-offer" not in await shop_line.rules()


# --- seats


def give_seat(on: Line, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    subscription = subscribe(on, seats=2)
    member = on.shop.add(
        "members", customer_id=on.polar.customer["id"], email="ada@example.com", name="Ada", external_id=None,
        role="member",
    )  # fmt: skip
    fields = {
        "subscription_id": subscription["id"], "order_id": None, "status": "pending", "member_id": member["id"],
        "customer_id": on.polar.customer["id"], "email": "ada@example.com", "customer_email": "ada@example.com",
        "invitation_token_expires_at": on.shop.now(hours=24), "claimed_at": None, "revoked_at": None,
        "seat_metadata": {},
    }  # fmt: skip
    seat = on.shop.add("customer-seats", **{**fields, **more})
    on.tell("customer_seat.assigned", "customer-seats", seat)
    return subscription, seat


async def test_an_open_invitation_is_sent_again_after_half_a_day(shop_line: Line) -> None:
    _, seat = give_seat(shop_line)
    await shop_line.deliver()
    await shop_line.later(hours=11)
    assert await shop_line.rules() == []
    await shop_line.later(hours=2)

    assert done(await shop_line.approve(await shop_line.only("resend-seat-invitation")))
    assert [("customer-seats:resend_invitation", f"/v1/customer-seats/{seat['id']}/resend")] == [
        (operation, path) for operation, path, _ in shop_line.sent()
    ]


async def test_an_expired_invitation_is_renewed_by_taking_the_seat_back_first(shop_line: Line) -> None:
    subscription, seat = give_seat(shop_line)
    before = seat["invitation_token_expires_at"]
    await shop_line.deliver()
    await shop_line.later(hours=26)

    assert await shop_line.rules() == ["renew-seat-invitation"]
    proposal = await shop_line.only("renew-seat-invitation")
    assert done(await shop_line.approve(proposal))
    (revoked, _, _), (assigned, _, body) = shop_line.sent()
    assert (revoked, assigned) == ("customer-seats:revoke_seat", "customer-seats:assign_seat")
    assert body == {
        "subscription_id": subscription["id"],
        "order_id": None,
        "email": "ada@example.com",
        "metadata": {"polar_approvals": proposal.id},
    }
    assert (seat["status"], seat["invitation_token_expires_at"] > before) == ("pending", True)
    await shop_line.deliver(shop_line.echoes())  # our own revocation is no reason to give the seat back
    assert await shop_line.rules() == ["renew-seat-invitation"]


async def test_an_accepted_invitation_needs_nothing(shop_line: Line) -> None:
    _, seat = give_seat(shop_line)
    await shop_line.deliver()
    shop_line.shop.change(seat, status="claimed", claimed_at=shop_line.shop.now())
    await shop_line.later(hours=26)

    assert await shop_line.rules() == []


async def test_a_revoked_seat_goes_back_to_whom_only_our_memory_knows(shop_line: Line) -> None:
    subscription, seat = give_seat(shop_line)
    shop_line.shop.change(seat, status="claimed", claimed_at=shop_line.shop.now())
    shop_line.tell("customer_seat.claimed", "customer-seats", seat)
    member_id = seat["member_id"]
    revoke_seat(shop_line.shop, seat)
    await shop_line.deliver()

    assert seat["member_id"] is None
    proposal = await shop_line.only("restore-seat")
    assert (proposal.title, bool(proposal.always_asks)) == ("Give ada@example.com their seat back?", True)
    assert done(await shop_line.approve(proposal))
    assert shop_line.sent()[0][2] == {
        "subscription_id": subscription["id"],
        "order_id": None,
        "member_id": member_id,
        "email": None,
        "immediate_claim": True,
        "metadata": {"polar_approvals": proposal.id},
    }
    assert (seat["status"], seat["member_id"]) == ("claimed", member_id)


async def test_seats_that_went_with_their_subscription_are_not_restored(shop_line: Line) -> None:
    subscription, seat = give_seat(shop_line)
    end(shop_line, subscription)
    revoke_seat(shop_line.shop, seat)
    await shop_line.deliver()

    assert "restore-seat" not in await shop_line.rules()


# --- checkouts, products, customers


def expire(on: Line, **more: Any) -> dict[str, Any]:
    from bot.demo.polar.sales import _checkout_fields

    body = {"customer_email": "kofi@example.com", **more}
    checkout = on.shop.add("checkouts", **_checkout_fields(on.shop, body, on.polar.product, None, None))
    on.shop.change(checkout, status="expired")
    on.tell("checkout.expired", "checkouts", checkout)
    return checkout


async def test_an_expired_checkout_can_be_finished_with_a_new_link(shop_line: Line) -> None:
    checkout = expire(shop_line)
    expire(shop_line)  # the same person's second tab
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("recover-checkout")))
    ((operation, _, body),) = shop_line.sent()
    assert (operation, body["products"], body["customer_email"]) == (
        "checkouts:create",
        [shop_line.polar.product["id"]],
        "kofi@example.com",
    )
    assert body["metadata"] == {
        "polar_approvals": f"recovered-from:{checkout['id']}",
        "recovered_from": checkout["id"],
    }
    assert (body["currency"], body["discount_id"]) == ("usd", None)
    assert "https://demo.invalid/checkout/" in shop_line.ephemerals.told[0][1]
    expire(shop_line, metadata=body["metadata"])  # and this one is not chased again
    await shop_line.deliver()
    assert await shop_line.rules() == ["recover-checkout"]


async def test_who_has_bought_after_all_is_left_alone(shop_line: Line) -> None:
    expire(shop_line, customer_email="jane@example.com")
    shop_line.polar.order()
    await shop_line.deliver()

    assert await shop_line.rules() == []


async def test_a_new_product_gets_a_checkout_link(shop_line: Line) -> None:
    product = stock.add_product(shop_line.shop, "Studio", 14_900)
    shop_line.tell("product.created", "products", product)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("checkout-link-for-new-product")))
    (link,) = shop_line.shop.rows("checkout-links")
    assert (link["product_ids"], link["label"]) == ([product["id"]], "Studio")
    assert link["url"] in shop_line.ephemerals.told[0][1]


async def test_an_archived_product_leaves_the_links_that_sell_others(shop_line: Line) -> None:
    other = shop_line.polar.monthly
    for products in ([shop_line.polar.product["id"], other["id"]], [shop_line.polar.product["id"]]):
        body = {"payment_processor": "stripe", "products": products}
        await shop_line.polar.call("POST", "/v1/checkout-links/", body)
    shop_line.shop.change(shop_line.polar.product, is_archived=True)
    for _ in range(2):
        shop_line.tell("product.updated", "products", shop_line.polar.product)
    await shop_line.deliver()

    assert done(await shop_line.approve(await shop_line.only("drop-archived-product-from-links")))
    operation, _, body = shop_line.sent()[-1]
    assert (operation, body) == ("checkout-links:update", {"products": [other["id"]]})
    assert [[other["id"]], [shop_line.polar.product["id"]]] == [
        link["product_ids"] for link in shop_line.shop.rows("checkout-links")
    ]


async def test_the_newer_of_two_subscriptions_of_one_product_ends_with_its_period(shop_line: Line) -> None:
    older = subscribe(shop_line)
    tell_state(shop_line.shop, older["customer_id"])
    newer = subscribe(shop_line)
    for _ in range(3):
        tell_state(shop_line.shop, older["customer_id"])
    await shop_line.deliver()

    proposal = await shop_line.only("cancel-second-subscription")
    assert proposal.always_asks
    assert done(await shop_line.approve(proposal))
    assert (older["cancel_at_period_end"], newer["cancel_at_period_end"]) == (False, True)
    assert shop_line.sent()[0][2] == {"cancel_at_period_end": True, "customer_cancellation_reason": "other"}


async def test_keys_from_elsewhere_are_asked_about_when_the_last_subscription_is_gone(
    shop_line: Line,
) -> None:
    subscription = subscribe(shop_line)
    grant, key = stock.add_grant(shop_line.shop, shop_line.polar.order(), shop_line.polar.benefit)
    tell_state(shop_line.shop, subscription["customer_id"])
    end(shop_line, subscription)
    for _ in range(2):
        tell_state(shop_line.shop, subscription["customer_id"])
    await shop_line.deliver()
    assert "disable-other-keys-after-last-subscription" not in await shop_line.rules()
    await shop_line.later(hours=2)

    proposal = await shop_line.only("disable-other-keys-after-last-subscription")
    assert proposal.always_asks
    assert done(await shop_line.approve(proposal))
    assert (key["status"], grant["is_granted"]) == ("disabled", True)


@pytest.mark.parametrize("status", ["past_due", "paused"])
async def test_keys_from_elsewhere_are_kept_while_a_subscription_may_come_back(
    shop_line: Line, status: str
) -> None:
    subscription = subscribe(shop_line)
    stock.add_grant(shop_line.shop, shop_line.polar.order(), shop_line.polar.benefit)
    tell_state(shop_line.shop, subscription["customer_id"])
    shop_line.shop.change(subscription, status=status)
    tell_state(shop_line.shop, subscription["customer_id"])
    await shop_line.deliver()
    await shop_line.later(hours=2)

    assert "disable-other-keys-after-last-subscription" not in await shop_line.rules()


async def test_a_seat_is_not_given_back_to_a_member_who_is_gone(shop_line: Line) -> None:
    _, seat = give_seat(shop_line)
    member_id = seat["member_id"]
    revoke_seat(shop_line.shop, seat)
    shop_line.shop.remove("members", member_id)
    await shop_line.deliver()

    assert "restore-seat" not in await shop_line.rules()
