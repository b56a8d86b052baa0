"""Writes on subscriptions: one variant a call, its rules and its echo."""

from collections.abc import Callable

from bot.demo.polar.call import Call, check_body, problem
from bot.demo.polar.errors import Answer, invalid, not_simulated, rule, unacceptable
from bot.demo.polar.grants import revoke_grants, revoke_seat, taken, tell_state
from bot.demo.polar.shop import Row, Shop, wire

_REASON = ("customer_cancellation_reason", "customer_cancellation_comment")
_ALREADY = "This subscription is already canceled or will be at the end of the period."


def update(call: Call) -> Answer:
    """subscriptions:update. An empty body changes nothing and still tells subscription.updated."""
    shop, body = call.shop, call.body
    variant = next((each for each in _VARIANTS if each in body), "")
    change, companions = _VARIANTS.get(variant, (lambda *_: (), ()))
    where, message = ("body", "SubscriptionUpdateBase"), "Extra inputs are not permitted"
    extra = [name for name in body if name not in (variant, *companions)]
    if extra:
        raise invalid(*(problem("extra_forbidden", (*where, name), message, body[name]) for name in extra))
    check_body(body)
    subscription = shop.get("subscriptions", call.id)
    for event_type in ("subscription.updated", *(change(shop, subscription, body) or ())):
        shop.tell(event_type, wire(shop, "subscriptions", subscription))
    tell_state(shop, subscription["customer_id"])
    if subscription["ended_at"]:
        _end_access(shop, subscription)
    return Answer(200, wire(shop, "subscriptions", subscription))


def revoke(call: Call) -> Answer:
    """subscriptions:revoke: ends now, benefits and seats with it; no refund, no way back."""
    return update(Call(call.shop, call.operation, call.path, call.query, {"revoke": True}))


def _cancel(shop: Shop, subscription: Row, body: Row) -> tuple[str, ...]:
    if not body["cancel_at_period_end"]:
        return _uncancel(shop, subscription)
    if subscription["ended_at"] or subscription["cancel_at_period_end"]:
        raise rule(403, "AlreadyCanceledSubscription", _ALREADY)
    reasons = {name: body.get(name) for name in _REASON}
    end = subscription["current_period_end"]
    shop.change(subscription, cancel_at_period_end=True, canceled_at=shop.now(), ends_at=end, **reasons)
    shop.note(f"subscription of {_whose(shop, subscription)}: ends on {end[:10]}")
    return ("subscription.canceled",)


def _uncancel(shop: Shop, subscription: Row) -> tuple[str, ...]:
    if subscription["ended_at"]:
        raise rule(410, "ResourceUnavailable", "This subscription has ended.")
    if not subscription["cancel_at_period_end"]:
        raise rule(400, "BadRequest", "Bad request")
    cleared = dict.fromkeys((*_REASON, "canceled_at", "ends_at"))
    shop.change(subscription, cancel_at_period_end=False, **cleared)
    shop.note(f"subscription of {_whose(shop, subscription)}: goes on")
    return ("subscription.uncanceled",)


def _revoke(shop: Shop, subscription: Row, body: Row) -> tuple[str, ...]:
    if subscription["ended_at"]:
        raise rule(403, "AlreadyCanceledSubscription", _ALREADY)
    now = shop.now()
    reasons = {name: body[name] for name in _REASON if name in body}
    times = {"canceled_at": now, "ends_at": now, "ended_at": now}
    shop.change(subscription, status="canceled", cancel_at_period_end=False, **times, **reasons)
    shop.note(f"subscription of {_whose(shop, subscription)}: active → canceled")
    return ("subscription.canceled", "subscription.revoked")


def _pause(shop: Shop, subscription: Row, body: Row) -> None:
    scheduled = subscription["pause_at_period_end"]
    if not body["pause_at_period_end"]:
        if not scheduled:
            raise rule(409, "NoScheduledPause", "This subscription has no scheduled pause.")
        shop.change(subscription, pause_at_period_end=False, resumes_at=None)
        return
    if subscription["status"] != "active" or subscription["ends_at"] or scheduled:
        raise rule(409, "CannotPauseSubscription", "This subscription cannot be paused.")
    shop.change(subscription, pause_at_period_end=True, resumes_at=body.get("resumes_at"))
    shop.note(f"subscription of {_whose(shop, subscription)}: pauses at the end of the period")


def _resume(_: Shop, subscription: Row, __: Row) -> None:
    if subscription["status"] != "paused":
        raise rule(409, "NotPausedSubscription", "This subscription is not paused.")
    raise not_simulated("the charge of a resumed subscription")


def _metadata(shop: Shop, subscription: Row, body: Row) -> None:
    shop.change(subscription, metadata=body["metadata"])


def _discount(shop: Shop, subscription: Row, body: Row) -> None:
    discount_id = body["discount_id"]
    if discount_id is not None and discount_id not in {each["id"] for each in shop.rows("discounts")}:
        message = "Discount does not exist, is not applicable to this product or is not available."
        raise unacceptable("discount_id", message, discount_id)
    shop.change(subscription, discount_id=discount_id)


def _seats(shop: Shop, subscription: Row, body: Row) -> None:
    if subscription["seats"] is None:
        raise rule(400, "NotASeatBasedSubscription", "This subscription has no seats.")
    held = len(taken(shop.rows("customer-seats", subscription_id=subscription["id"])))
    if body["seats"] < held:
        raise rule(400, "SeatsAlreadyAssigned", f"{held} seats are assigned: revoke seats first.")
    before = subscription["seats"]
    if shop.change(subscription, seats=body["seats"]):
        shop.note(f"subscription of {_whose(shop, subscription)}: {before} → {body['seats']} seats")


def _pending(shop: Shop, subscription: Row, body: Row) -> None:
    if body["pending_update"] is not None:
        raise unacceptable("pending_update", "Input should be None", body["pending_update"])
    shop.change(subscription, pending_update=None)


def _unsimulated(_: Shop, __: Row, body: Row) -> None:
    raise not_simulated(f"a change of a subscription's {next(iter(body))}")


def _whose(shop: Shop, subscription: Row) -> str:
    customer = shop.peek("customers", subscription["customer_id"])
    return str(customer["email"]) if customer else "a deleted customer"


def _end_access(shop: Shop, subscription: Row) -> None:
    """Revoke every seat and every grant, as follows the end."""
    for seat in list(shop.rows("customer-seats", subscription_id=subscription["id"])):
        revoke_seat(shop, seat)
    revoke_grants(shop, subscription_id=subscription["id"])


_Change = Callable[[Shop, Row, Row], tuple[str, ...] | None]
_PRORATION = ("proration_behavior",)
_VARIANTS: dict[str, tuple[_Change, tuple[str, ...]]] = {
    "cancel_at_period_end": (_cancel, _REASON),
    "revoke": (_revoke, _REASON),
    "pause_at_period_end": (_pause, ("resumes_at",)),
    "resume": (_resume, ()),
    "metadata": (_metadata, ()),
    "discount_id": (_discount, ()),
    "seats": (_seats, _PRORATION),
    "pending_update": (_pending, ()),
    "product_id": (_unsimulated, _PRORATION),
    "trial_end": (_unsimulated, ()),
    "units": (_unsimulated, _PRORATION),
    "current_billing_period_end": (_unsimulated, ()),
}
"""By the field that makes the variant: the change, which gives further events, and the fields beside it."""
