"""Each of the 125 recorded answers is drawn as what it means; a read decides what was already so."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bot.proposals.call_results import CallResult, classify, conclude, verifying_read
from polar.catalog import Call, operations
from polar.errors import (
    InvalidCall,
    NoAnswer,
    NotFound,
    NotSent,
    PolarError,
    RateBudgetExhausted,
    Refused,
    error_in,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ANSWERS = Path(__file__).parent.parent / "payloads/responses.jsonl"
RECORDED = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
GONE = NotFound()
NIL = "00000000-0000-4000-8000-000000000000"

# What is not done. Names that were recorded more than once have the address behind them.
DRAWN: dict[str, CallResult] = {
    "lk-patch-bad": CallResult.REFUSED,
    "customer-dup-email": CallResult.ALREADY_DONE,  # nothing but this address was asked for
    "discount-dup-code": CallResult.REFUSED,  # the code belongs to another discount
    "discount-delete-again": CallResult.ALREADY_DONE,
    "cl-delete-again": CallResult.ALREADY_DONE,
    "customer-delete-again": CallResult.ALREADY_DONE,
    "customer-patch-deleted": CallResult.REFUSED,
    "sub-paid-create-fails": CallResult.REFUSED,
    "sub-patch-cancel-again": CallResult.ALREADY_DONE,
    "sub-patch-uncancel-again": CallResult.ALREADY_DONE,
    "sub-revoke-again": CallResult.ALREADY_DONE,
    "sub-patch-revoked": CallResult.ALREADY_DONE,
    "sub-patch-mixed": CallResult.REFUSED,
    "sub-discount": CallResult.REFUSED,
    "409-resume-active": CallResult.ALREADY_DONE,
    "409-pause-canceled": CallResult.REFUSED,  # it ends, which is no pause
    "401-none": CallResult.CONFIGURATION,
    "401-bad-token": CallResult.CONFIGURATION,
    "403-scope": CallResult.CONFIGURATION,
    "403-scope-lk": CallResult.CONFIGURATION,
    "405": CallResult.CONFIGURATION,
    "307-no-slash": CallResult.CONFIGURATION,
    "version-2025-01": CallResult.CONFIGURATION,
    "version-garbage": CallResult.CONFIGURATION,
    "404-GET /v1/nope": CallResult.CONFIGURATION,
    f"404-GET /v1/orders/{NIL}": CallResult.REFUSED,
    f"404-PATCH /v1/license-keys/{NIL}": CallResult.REFUSED,
    f"404-PATCH /v1/customers/{NIL}": CallResult.REFUSED,
    f"404-DELETE /v1/subscriptions/{NIL}": CallResult.REFUSED,  # no deletion: it was never ours to end
    f"404-DELETE /v1/checkout-links/{NIL}": CallResult.ALREADY_DONE,
    f"404-DELETE /v1/customer-seats/{NIL}": CallResult.REFUSED,
    "422-bad-uuid": CallResult.REFUSED,
    **dict.fromkeys(
        (f"wh-endpoint-create https://{host}" for host in ("127.0.0.1:18999/h", "localhost/h", "10.0.0.1/h")),
        CallResult.REFUSED,
    ),
    "wh-endpoint-create http://127.0.0.1:18999/h": CallResult.REFUSED,
    "wh-endpoint-create http://example.com/h": CallResult.REFUSED,
    "seat-assign-full": CallResult.REFUSED,
    "seat-assign-nonseat": CallResult.REFUSED,
    "refund-unknown-order": CallResult.REFUSED,
    "refund-too-high": CallResult.REFUSED,
    "refund-zero": CallResult.REFUSED,
    "refund-badreason": CallResult.REFUSED,
    "refund-again": CallResult.REFUSED,  # refunded in full, but by others and in parts
    "pag-0": CallResult.REFUSED,
    "429": CallResult.NOT_SENT,
    "cust-email-dup": CallResult.REFUSED,
    "cust-patch-extid-change": CallResult.REFUSED,
}
# What the verifying read of a refused call would have shown: the answer to an earlier call, recorded too.
STOOD: dict[str, Any] = {
    "customer-dup-email": ["customer-create"],
    "discount-dup-code": ["discount-create"],
    "sub-patch-cancel-again": "sub-patch-cancel",
    "sub-patch-uncancel-again": "sub-patch-uncancel",
    "sub-revoke-again": "sub-revoke",
    "sub-patch-revoked": "sub-revoke",
    "409-resume-active": "s",
    "409-pause-canceled": "cancel",
    "refund-again": "refund-list",
}


def key(one: dict[str, Any]) -> str:
    url = (one["request"]["body"] or {}).get("url")
    named = one["name"] if not url else f"{one['name']} {url}"
    return f"{named} {one['request']['path']}" if one["name"].startswith("404-") else named


def answered(one: dict[str, Any]) -> PolarError | None:
    if 200 <= one["status"] < 300:
        return None
    body = b"" if one["body"] is None else json.dumps(one["body"]).encode()
    return error_in(one["status"], one["headers"], body, NOW)


def called(one: dict[str, Any]) -> Call:
    """The recorded request as a call of the catalog; of a path that is none, any call."""
    address, request = urlsplit(one["request"]["path"]), one["request"]
    for operation in operations().values():
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path)
        match = re.fullmatch(pattern, address.path)
        if match and operation.method == request["method"]:
            return Call(operation.id, match.groupdict(), dict(parse_qsl(address.query)), request["body"])
    return Call("products:list")


def body_of(name: str) -> Any:
    return next(one["body"] for one in RECORDED if one["name"] == name)


def stood(name: str) -> Any:
    before = STOOD.get(name)
    if before is None:
        return GONE
    return {"items": [body_of(before[0])]} if isinstance(before, list) else body_of(before)


@pytest.mark.parametrize("one", RECORDED, ids=key)
def test_recorded_answer_is_drawn_as_what_it_means(one):
    error, call = answered(one), called(one)
    found = None if error is None or verifying_read(call, error) is None else stood(one["name"])

    assert conclude(call, error, found) is DRAWN.get(key(one), CallResult.DONE)


def test_the_table_has_nothing_that_was_not_recorded_and_every_done_is_a_success():
    assert DRAWN.keys() <= {key(one) for one in RECORDED}
    assert all(one["status"] < 300 for one in RECORDED if key(one) not in DRAWN)
    assert Counter(DRAWN.get(key(one), CallResult.DONE) for one in RECORDED) == {
        CallResult.DONE: 77,
        CallResult.REFUSED: 28,
        CallResult.ALREADY_DONE: 10,
        CallResult.CONFIGURATION: 9,
        CallResult.NOT_SENT: 1,
    }


@pytest.mark.parametrize("one", [one for one in RECORDED if one["status"] >= 300], ids=key)
def test_without_a_read_no_refusal_is_taken_for_done(one):
    assert conclude(called(one), answered(one)) not in (CallResult.DONE, CallResult.ALREADY_DONE)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotSent("down"), CallResult.NOT_SENT),
        (RateBudgetExhausted(1), CallResult.NOT_SENT),
        (NoAnswer(), CallResult.UNKNOWN),
        (error_in(500, {}, b"", NOW), CallResult.UNKNOWN),
        (error_in(502, {}, b"<html>", NOW), CallResult.UNKNOWN),
        (error_in(100, {}, b"", NOW), CallResult.UNKNOWN),
        (InvalidCall(["`path.id` is missing"]), CallResult.REFUSED),
        (Refused("no"), CallResult.REFUSED),
        (PolarError("of a kind not known here"), CallResult.UNKNOWN),
        (None, CallResult.DONE),
    ],
)
def test_what_was_not_recorded_is_drawn_too(error, expected):
    assert classify(error) is expected


def test_only_a_refusal_is_looked_up():
    cancel = Call("subscriptions:update", {"id": NIL}, {}, {"cancel_at_period_end": True})

    assert verifying_read(cancel, NoAnswer()) is None
    assert verifying_read(cancel, NotSent()) is None
    assert verifying_read(cancel, InvalidCall(["x"])) is None
    assert verifying_read(cancel, Refused(kind="AlreadyCanceledSubscription")) == Call(
        "subscriptions:get", {"id": NIL}
    )


# -- what was already so ---------------------------------------------------------------------------------

REFUND = {"order_id": NIL, "reason": "customer_request", "amount": 1_100}
OURS = {"polar_approvals": "p1"}
ACTIVE = {"status": "active", "cancel_at_period_end": False, "pause_at_period_end": False, "paused_at": None}
CANCELED = ACTIVE | {"status": "canceled", "ended_at": "2026-11-21T00:00:00Z"}


def refund(**more: Any) -> dict[str, Any]:
    return {"status": "succeeded", "amount": 1_100, "metadata": OURS} | more


@pytest.mark.parametrize(
    ("sent", "found", "expected"),
    [
        (REFUND | {"metadata": OURS}, [refund()], CallResult.ALREADY_DONE),
        (REFUND | {"metadata": OURS}, [refund(), refund(status="failed")], CallResult.ALREADY_DONE),
        (REFUND, [refund(metadata={})], CallResult.REFUSED),  # no marker: it may be anybody's
        (REFUND | {"metadata": OURS}, [refund(metadata={"by": "hand"})], CallResult.REFUSED),
        (REFUND | {"metadata": OURS}, [refund(), refund(metadata={})], CallResult.REFUSED),  # ours was a part
        (REFUND | {"metadata": OURS}, [refund(amount=500)], CallResult.REFUSED),
        (REFUND | {"metadata": OURS}, [refund(status="failed")], CallResult.REFUSED),
        (REFUND | {"metadata": OURS}, [], CallResult.REFUSED),
    ],
)
def test_refund_counts_only_as_a_whole_and_only_with_our_own_mark(sent, found, expected):
    call, error = Call("refunds:create", {}, {}, sent), Refused(kind="RefundedAlready", status=403)

    assert verifying_read(call, error) == Call("refunds:list", {}, {"order_id": NIL})
    assert conclude(call, error, {"items": found}) is expected


@pytest.mark.parametrize(
    ("kind", "sent", "found", "expected"),
    [
        ("AlreadyCanceledSubscription", {"cancel_at_period_end": True}, CANCELED, CallResult.ALREADY_DONE),
        ("AlreadyCanceledSubscription", {"cancel_at_period_end": True}, ACTIVE, CallResult.REFUSED),
        (
            "AlreadyCanceledSubscription",
            {"revoke": True},
            ACTIVE | {"cancel_at_period_end": True},
            CallResult.REFUSED,
        ),
        ("AlreadyCanceledSubscription", {"product_id": NIL}, CANCELED, CallResult.REFUSED),
        ("BadRequest", {"cancel_at_period_end": False}, ACTIVE, CallResult.ALREADY_DONE),
        ("BadRequest", {"cancel_at_period_end": False}, ACTIVE | {"status": "past_due"}, CallResult.REFUSED),
        ("CannotPauseSubscription", {"pause_at_period_end": True}, ACTIVE, CallResult.REFUSED),
        (
            "CannotPauseSubscription",
            {"pause_at_period_end": True},
            ACTIVE | {"pause_at_period_end": True},
            CallResult.ALREADY_DONE,
        ),
        ("NoScheduledPause", {"pause_at_period_end": False}, ACTIVE, CallResult.ALREADY_DONE),
        ("NotPausedSubscription", {"resume": True}, CANCELED, CallResult.REFUSED),
        ("PaymentFailed", {"resume": True}, ACTIVE, CallResult.REFUSED),
        ("SeatsAlreadyAssigned", {"seats": 1}, ACTIVE | {"seats": 1}, CallResult.REFUSED),
    ],
)
def test_subscription_counts_when_it_stands_as_asked(kind, sent, found, expected):
    call = Call("subscriptions:update", {"id": NIL}, {}, sent)

    assert conclude(call, Refused(kind=kind), found) is expected


@pytest.mark.parametrize(
    ("sent", "seat", "expected"),
    [
        (
            {"email": "Ann@example.com"},
            {"email": "ann@example.com", "status": "pending"},
            CallResult.ALREADY_DONE,
        ),
        (
            {"email": "ann@example.com"},
            {"member": {"email": "ann@example.com"}, "status": "claimed"},
            CallResult.ALREADY_DONE,
        ),
        ({"member_id": NIL}, {"member_id": NIL, "status": "claimed"}, CallResult.ALREADY_DONE),
        ({"email": "ann@example.com"}, {"email": "ann@example.com", "status": "revoked"}, CallResult.REFUSED),
        ({"email": "ann@example.com"}, {"email": "bob@example.com", "status": "claimed"}, CallResult.REFUSED),
        (
            {"external_member_id": "7"},
            {"email": None, "member_id": None, "status": "claimed"},
            CallResult.REFUSED,
        ),
    ],
)
def test_seat_counts_when_its_holder_is_listed(sent, seat, expected):
    call = Call("customer-seats:assign_seat", {}, {}, {"subscription_id": NIL, **sent})
    error = Refused(kind="SeatAlreadyAssigned", status=400)

    assert verifying_read(call, error) == Call("customer-seats:list_seats", {}, {"subscription_id": NIL})
    assert conclude(call, error, {"seats": [seat]}) is expected


def test_discount_with_our_code_counts_only_with_our_mark():
    terms = {"name": "Ten", "code": "TEN", "type": "percentage"}
    taken = Refused(kind="PolarRequestValidationError", status=422)

    def of(**more: Any) -> CallResult:
        return conclude(
            Call("discounts:create", {}, {}, terms | more), taken, {"items": [terms | {"metadata": OURS}]}
        )

    assert of(metadata=OURS) is CallResult.ALREADY_DONE
    assert of() is CallResult.REFUSED
    assert of(metadata={"by": "hand"}) is CallResult.REFUSED


@pytest.mark.parametrize(
    ("status", "expected"), [("lost", CallResult.ALREADY_DONE), ("under_review", CallResult.REFUSED)]
)
def test_dispute_counts_as_accepted_only_when_it_is_lost(status, expected):
    call = Call("disputes:accept", {"id": NIL})

    assert conclude(call, Refused(kind="DisputeNotOpenError", status=409), {"status": status}) is expected


@pytest.mark.parametrize("found", [None, [], "text", {}, {"items": None}, {"items": [None]}, {"seats": 5}, 7])
@pytest.mark.parametrize("one", [one for one in RECORDED if one["status"] >= 300], ids=key)
def test_odd_answer_to_the_read_proves_nothing(one, found):
    assert conclude(called(one), answered(one), found) not in (CallResult.DONE, CallResult.ALREADY_DONE)


def test_file_that_the_list_no_longer_shows_is_gone():
    assert conclude(Call("files:delete", {"id": NIL}), GONE, {"items": []}) is CallResult.ALREADY_DONE
    assert conclude(Call("files:delete", {"id": NIL}), GONE, {"items": [{"id": NIL}]}) is CallResult.REFUSED
