"""What an answer of Polar says went wrong, whatever its body is."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polar.errors import NoAnswer, Refused, error_in

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ANSWERS = Path(__file__).parent.parent / "payloads/responses.jsonl"
RECORDED = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
REASONS = "'duplicate', 'fraudulent', 'customer_request', 'service_disruption', 'satisfaction_guarantee'"
EXTRA, MISSING = "Extra inputs are not permitted", "Field required"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("refund-too-high", "amount: Refund amount exceeds refundable amount"),
        ("refund-again", "Order is already fully refunded: a7244a29-1bf6-4177-b69f-635275cbb584"),
        ("refund-badreason", f"reason: Input should be {REASONS} or 'other'"),
        (
            "sub-patch-mixed",
            f"revoke: {EXTRA}; cancel_at_period_end: {EXTRA}; seats: {MISSING}; units: {MISSING}; and 4 more",
        ),
        ("wh-endpoint-create", "url: URL scheme should be 'https'"),
        ("discount-delete-again", "Polar does not have this object in this organization. Nothing was done."),
        ("sub-patch-uncancel-again", "Polar refused this (status 400) without saying why. Nothing was done."),
    ],
)
def test_refusal_in_plain_words(name, plain):
    one = next(one for one in RECORDED if one["name"] == name)

    refused = error_in(one["status"], one["headers"], json.dumps(one["body"]).encode(), NOW)

    assert refused.plain == plain


def test_refusal_keeps_polars_own_name_and_words():
    body = b'{"error":"RefundedAlready","detail":"Order is already fully refunded"}'

    refused = error_in(403, {}, body, NOW)

    assert (refused.kind, refused.detail) == ("RefundedAlready", "Order is already fully refunded")
    assert str(refused) == "403 RefundedAlready: Order is already fully refunded"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"detail":null}',
        b'{"error":5,"detail":{}}',
        b'{"detail":[1,{"loc":5,"msg":null},{}]}',
        b"\xff",
        b"[" * 100_000,
        json.dumps(
            {"detail": [{"loc": ["body", "x" * 999], "msg": "y" * 9999, "input": "secret"}] * 9}
        ).encode(),
        json.dumps({"error": "E" * 999, "detail": "line\nbreak\u202e \x07" * 999}).encode(),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 418, 422])
def test_odd_refusals_have_short_printable_words(status, body):
    refused = error_in(status, {}, body, NOW)

    assert isinstance(refused, Refused)
    assert 0 < len(refused.plain) <= 300
    assert (refused.plain + refused.kind + refused.detail).isprintable()
    assert "secret" not in refused.plain


@pytest.mark.parametrize("status", [408, 425, 499, 500, 504])
@pytest.mark.parametrize("body", [b"", b'{"error": "ResourceNotFound", "detail": "x"}'])
def test_who_gave_up_waiting_does_not_know_what_was_done(status, body):
    assert isinstance(error_in(status, {}, body, NOW), NoAnswer)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 418, 422])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"no"'])
def test_refusal_of_a_write_that_is_not_polars_is_no_answer(status, body):
    assert isinstance(error_in(status, {}, body, NOW, is_write=True), NoAnswer)
    assert isinstance(error_in(status, {}, body, NOW), Refused)


@pytest.mark.parametrize("body", [b'{"detail": "Not Found"}', b'{"error": "NotPermitted"}'])
def test_refusal_of_a_write_by_polar_is_a_refusal(body):
    assert isinstance(error_in(404, {}, body, NOW, is_write=True), Refused)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("60", 60),
        ("0", 0),
        ("", 60),
        ("soon", 60),
        ("-5", 60),
        ("9" * 500, 900),
        ("Sun, 01 Nov 2026 00:00:30 GMT", 30),
        ("Sun, 01 Nov 2020 00:00:30 GMT", 0),
        ("Sun, 01 Nov 2026 00:00:30", 30),
    ],
)
def test_retry_after_is_read_in_every_form(header, seconds):
    assert error_in(429, {"retry-after": header}, b"", NOW).retry_after == seconds


@pytest.mark.parametrize("location", ["", "http://[", "x" * 999, "//\u202e\n"])
def test_odd_redirect_is_still_a_short_sentence(location):
    redirected = error_in(302, {"location": location}, b"", NOW)

    assert "302" in redirected.plain
    assert len(redirected.plain) <= 300
    assert redirected.plain.isprintable()


def test_redirect_says_where_to_without_user_or_query():
    location = "https://user:secret@other.test/v1/x?token=secret"

    redirected = error_in(307, {"location": location}, b"", NOW)

    assert redirected.location == "https://other.test/v1/x"
    assert "secret" not in redirected.plain
