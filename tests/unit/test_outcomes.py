"""Each of the 125 recorded answers is drawn as what it means; a read decides what was already so."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bot.proposals.call_results import Drawn, concluded, drawn, look
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
DRAWN: dict[str, Drawn] = {
    "lk-patch-bad": Drawn.REFUSED,
    "customer-dup-email": Drawn.ALREADY_DONE,  # nothing but this address was asked for
    "discount-dup-code": Drawn.REFUSED,  # the code belongs to another discount
    "discount-delete-again": Drawn.ALREADY_DONE,
    "cl-delete-again": Drawn.ALREADY_DONE,
    "customer-delete-again": Drawn.ALREADY_DONE,
    "customer-patch-deleted": Drawn.REFUSED,
    "sub-paid-create-fails": Drawn.REFUSED,
    "sub-patch-cancel-again": Drawn.ALREADY_DONE,
    "sub-patch-uncancel-again": Drawn.ALREADY_DONE,
    "sub-revoke-again": Drawn.ALREADY_DONE,
    "sub-patch-revoked": Drawn.ALREADY_DONE,
    "sub-patch-mixed": Drawn.REFUSED,
    "sub-discount": Drawn.REFUSED,
    "409-resume-active": Drawn.ALREADY_DONE,
    "409-pause-canceled": Drawn.REFUSED,  # it ends, which is no pause
    "401-none": Drawn.CONFIGURATION,
    "401-bad-token": Drawn.CONFIGURATION,
    "403-scope": Drawn.CONFIGURATION,
    "403-scope-lk": Drawn.CONFIGURATION,
    "405": Drawn.CONFIGURATION,
    "307-no-slash": Drawn.CONFIGURATION,
    "version-2025-01": Drawn.CONFIGURATION,
    "version-garbage": Drawn.CONFIGURATION,
    "404-GET /v1/nope": Drawn.CONFIGURATION,
    f"404-GET /v1/orders/{NIL}": Drawn.REFUSED,
    f"404-PATCH /v1/license-keys/{NIL}": Drawn.REFUSED,
    f"404-PATCH /v1/customers/{NIL}": Drawn.REFUSED,
    f"404-DELETE /v1/subscriptions/{NIL}": Drawn.REFUSED,  # no deletion: it was never ours to end
    f"404-DELETE /v1/checkout-links/{NIL}": Drawn.ALREADY_DONE,
    f"404-DELETE /v1/customer-seats/{NIL}": Drawn.REFUSED,
    "422-bad-uuid": Drawn.REFUSED,
    **dict.fromkeys(
        (f"wh-endpoint-create https://{host}" for host in ("127.0.0.1:18999/h", "localhost/h", "10.0.0.1/h")),
        Drawn.REFUSED,
    ),
    "wh-endpoint-create http://127.0.0.1:18999/h": Drawn.REFUSED,
    "wh-endpoint-create http://example.com/h": Drawn.REFUSED,
    "seat-assign-full": Drawn.REFUSED,
    "seat-assign-nonseat": Drawn.REFUSED,
    "refund-unknown-order": Drawn.REFUSED,
    "refund-too-high": Drawn.REFUSED,
    "refund-zero": Drawn.REFUSED,
    "refund-badreason": Drawn.REFUSED,
    "refund-again": Drawn.REFUSED,  # refunded in full, but by others and in parts
    "pag-0": Drawn.REFUSED,
    "429": Drawn.NOT_SENT,
    "cust-email-dup": Drawn.REFUSED,
    "cust-patch-extid-change": Drawn.REFUSED,
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
    found = None if error is None or look(call, error) is None else stood(one["name"])

    assert concluded(call, error, found) is DRAWN.get(key(one), Drawn.DONE)


def test_the_table_has_nothing_that_was_not_recorded_and_every_done_is_a_success():
    assert DRAWN.keys() <= {key(one) for one in RECORDED}
    assert all(one["status"] < 300 for one in RECORDED if key(one) not in DRAWN)
    assert Counter(DRAWN.get(key(one), Drawn.DONE) for one in RECORDED) == {
        Drawn.DONE: 77,
        Drawn.REFUSED: 28,
        Drawn.ALREADY_DONE: 10,
        Drawn.CONFIGURATION: 9,
        Drawn.NOT_SENT: 1,
    }


@pytest.mark.parametrize("one", [one for one in RECORDED if one["status"] >= 300], ids=key)
def test_without_a_read_no_refusal_is_taken_for_done(one):
    assert concluded(called(one), answered(one)) not in (Drawn.DONE, Drawn.ALREADY_DONE)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotSent("down"), Drawn.NOT_SENT),
        (RateBudgetExhausted(1), Drawn.NOT_SENT),
        (NoAnswer(), Drawn.UNKNOWN),
        (error_in(500, {}, b"", NOW), Drawn.UNKNOWN),
        (error_in(502, {}, b"<html>", NOW), Drawn.UNKNOWN),
        (error_in(100, {}, b"", NOW), Drawn.UNKNOWN),
        (InvalidCall(["`path.id` is missing"]), Drawn.REFUSED),
        (Refused("no"), Drawn.REFUSED),
        (PolarError("of a kind not known here"), Drawn.UNKNOWN),
        (None, Drawn.DONE),
    ],
)
def test_what_was_not_recorded_is_drawn_too(error, expected):
    assert drawn(error) is expected


def test_only_a_refusal_is_looked_up():
    cancel = Call("subscriptions:update", {"id": NIL}, {}, {"cancel_at_period_end": True})

    assert look(cancel, NoAnswer()) is None
    assert look(cancel, NotSent()) is None
    assert look(cancel, InvalidCall(["x"])) is None
    assert look(cancel, Refused(kind="AlreadyCanceledSubscription")) == Call("subscriptions:get", {"id": NIL})


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
        (REFUND | {"metadata": OURS}, [refund()], Drawn.ALREADY_DONE),
        (REFUND | {"metadata": OURS}, [refund(), refund(status="failed")], Drawn.ALREADY_DONE),
        (REFUND, [refund(metadata={})], Drawn.REFUSED),  # no marker: it may be anybody's
        (REFUND | {"metadata": OURS}, [refund(metadata={"by": "hand"})], Drawn.REFUSED),
        (REFUND | {"metadata": OURS}, [refund(), refund(metadata={})], Drawn.REFUSED),  # ours was a part
        (REFUND | {"metadata": OURS}, [refund(amount=500)], Drawn.REFUSED),
        (REFUND | {"metadata": OURS}, [refund(status="failed")], Drawn.REFUSED),
        (REFUND | {"metadata": OURS}, [], Drawn.REFUSED),
    ],
)
def test_refund_counts_only_as_a_whole_and_only_with_our_own_mark(sent, found, expected):
    call, error = Call("refunds:create", {}, {}, sent), Refused(kind="RefundedAlready", status=403)

    assert look(call, error) == Call("refunds:list", {}, {"order_id": NIL})
    assert concluded(call, error, {"items": found}) is expected


@pytest.mark.parametrize(
    ("kind", "sent", "found", "expected"),
    [
        ("AlreadyCanceledSubscription", {"cancel_at_period_end": True}, CANCELED, Drawn.ALREADY_DONE),
        ("AlreadyCanceledSubscription", {"cancel_at_period_end": True}, ACTIVE, Drawn.REFUSED),
        (
            "AlreadyCanceledSubscription",
            {"revoke": True},
            ACTIVE | {"cancel_at_period_end": True},
            Drawn.REFUSED,
        ),
        ("AlreadyCanceledSubscription", {"product_id": NIL}, CANCELED, Drawn.REFUSED),
        ("BadRequest", {"cancel_at_period_end": False}, ACTIVE, Drawn.ALREADY_DONE),
        ("BadRequest", {"cancel_at_period_end": False}, ACTIVE | {"status": "past_due"}, Drawn.REFUSED),
        ("CannotPauseSubscription", {"pause_at_period_end": True}, ACTIVE, Drawn.REFUSED),
        (
            "CannotPauseSubscription",
            {"pause_at_period_end": True},
            ACTIVE | {"pause_at_period_end": True},
            Drawn.ALREADY_DONE,
        ),
        ("NoScheduledPause", {"pause_at_period_end": False}, ACTIVE, Drawn.ALREADY_DONE),
        ("NotPausedSubscription", {"resume": True}, CANCELED, Drawn.REFUSED),
        ("PaymentFailed", {"resume": True}, ACTIVE, Drawn.REFUSED),
        ("SeatsAlreadyAssigned", {"seats": 1}, ACTIVE | {"seats": 1}, Drawn.REFUSED),
    ],
)
def test_subscription_counts_when_it_stands_as_asked(kind, sent, found, expected):
    call = Call("subscriptions:update", {"id": NIL}, {}, sent)

    assert concluded(call, Refused(kind=kind), found) is expected


@pytest.mark.parametrize(
    ("sent", "seat", "expected"),
    [
        ({"email": "Ann@example.com"}, {"email": "ann@example.com", "status": "pending"}, Drawn.ALREADY_DONE),
        (
            {"email": "ann@example.com"},
            {"member": {"email": "ann@example.com"}, "status": "claimed"},
            Drawn.ALREADY_DONE,
        ),
        ({"member_id": NIL}, {"member_id": NIL, "status": "claimed"}, Drawn.ALREADY_DONE),
        ({"email": "ann@example.com"}, {"email": "ann@example.com", "status": "revoked"}, Drawn.REFUSED),
        ({"email": "ann@example.com"}, {"email": "bob@example.com", "status": "claimed"}, Drawn.REFUSED),
        ({"external_member_id": "7"}, {"email": None, "member_id": None, "status": "claimed"}, Drawn.REFUSED),
    ],
)
def test_seat_counts_when_its_holder_is_listed(sent, seat, expected):
    call = Call("customer-seats:assign_seat", {}, {}, {"subscription_id": NIL, **sent})
    error = Refused(kind="SeatAlreadyAssigned", status=400)

    assert look(call, error) == Call("customer-seats:list_seats", {}, {"subscription_id": NIL})
    assert concluded(call, error, {"seats": [seat]}) is expected


def test_discount_with_our_code_counts_only_with_our_mark():
    terms = {"name": "Ten", "code": "TEN", "type": "percentage"}
    taken = Refused(kind="PolarRequestValidationError", status=422)

    def of(**more: Any) -> Drawn:
        return concluded(
            Call("discounts:create", {}, {}, terms | more), taken, {"items": [terms | {"metadata": OURS}]}
        )

    assert of(metadata=OURS) is Drawn.ALREADY_DONE
    assert of() is Drawn.REFUSED
    assert of(metadata={"by": "hand"}) is Drawn.REFUSED


@pytest.mark.parametrize(
    ("status", "expected"), [("lost", Drawn.ALREADY_DONE), ("under_review", Drawn.REFUSED)]
)
def test_dispute_counts_as_accepted_only_when_it_is_lost(status, expected):
    call = Call("disputes:accept", {"id": NIL})

    assert concluded(call, Refused(kind="DisputeNotOpenError", status=409), {"status": status}) is expected


@pytest.mark.parametrize("found", [None, [], "text", {}, {"items": None}, {"items": [None]}, {"seats": 5}, 7])
@pytest.mark.parametrize("one", [one for one in RECORDED if one["status"] >= 300], ids=key)
def test_odd_answer_to_the_read_proves_nothing(one, found):
    assert concluded(called(one), answered(one), found) not in (Drawn.DONE, Drawn.ALREADY_DONE)


def test_file_that_the_list_no_longer_shows_is_gone():
    assert concluded(Call("files:delete", {"id": NIL}), GONE, {"items": []}) is Drawn.ALREADY_DONE
    assert concluded(Call("files:delete", {"id": NIL}), GONE, {"items": [{"id": NIL}]}) is Drawn.REFUSED
