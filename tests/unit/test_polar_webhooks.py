"""Webhook verification: Polar's own deliveries pass, anything else gets the right refusal."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from polar.webhooks import (
    HEADERS,
    BadBody,
    BadId,
    BadSignature,
    BadTimestamp,
    DuplicateHeader,
    MalformedDelivery,
    MissingHeader,
    Scheme,
    StaleDelivery,
    UntrustedDelivery,
    Verifier,
    WebhookError,
)
from tests.fixtures.signed import sign, verify

RECORDED_SECRET = "whsec_uBwrHrmLZBiKPRaNHYtxuimB49DjyQFIEYQGe4062mZ"
PAYLOADS = Path(__file__).parent.parent / "payloads"
RECORDED = [json.loads(line) for line in (PAYLOADS / "deliveries.jsonl").read_text().splitlines()]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
BODY = (
    b'{"type":"order.paid","timestamp":"2026-11-01T00:00:00.000000Z",'
    b'"data":{"id":"11111111-2222-4333-8444-555555555555"}}'
)
ID = "0d1f2a3b-4c5d-4e6f-8a7b-9c0d1e2f3a4b"
NEW_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OLD_SECRET = "whsec_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg"
OLDEST_SECRET = "polar_whs_0123456789abcdefghijklmnopqrstuv"


def sent_at(headers: dict[str, str]) -> datetime:
    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)


def signed(secret: str = OLD_SECRET, **changes: str) -> dict[str, str]:
    return {**sign(secret, ID, NOW, BODY), **{f"webhook-{name}": value for name, value in changes.items()}}


def test_there_is_a_recorded_delivery_for_28_types():
    assert len({one["type"] for one in RECORDED}) == 28


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: one["type"])
def test_recorded_delivery_is_accepted_at_its_own_time(one):
    delivery = verify(one["headers"], one["body"].encode(), RECORDED_SECRET, sent_at(one["headers"]))

    assert delivery.id == one["headers"]["webhook-id"]
    assert delivery.timestamp == sent_at(one["headers"])
    assert delivery.body == one["body"].encode()
    assert delivery.signature == one["headers"]["webhook-signature"]


@given(st.sampled_from(RECORDED), st.sampled_from(["body", "webhook-id", "webhook-timestamp"]), st.data())
def test_one_changed_byte_is_refused(one, part, data):
    parts = {**one["headers"], "body": one["body"]}
    raw = bytearray(parts[part].encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    body = bytes(raw) if part == "body" else one["body"].encode()
    headers = one["headers"] if part == "body" else {**one["headers"], part: raw.decode("latin-1")}

    with pytest.raises(WebhookError):
        verify(headers, body, RECORDED_SECRET, sent_at(one["headers"]))


@pytest.mark.parametrize(
    ("secret", "signature"),
    [
        (OLD_SECRET, "v1,NYTZtTpsucsPHFCRHJ/UofWLruoymhpSURp0qASh/EM="),
        (OLDEST_SECRET, "v1,tSP40HGg4dtpUKrkm3eHM215jZ9pFEU5WxnlgJahKzo="),
        (NEW_SECRET, "v1,Hved43PTDIqP8hYZU3+G7Au1Q5qTzydKx+2kA7UxirU="),
    ],
)
def test_test_vectors_are_accepted(secret, signature):
    headers = {"webhook-id": ID, "webhook-timestamp": "1793491200", "webhook-signature": signature}

    assert verify(headers, BODY, secret, NOW).id == ID


@pytest.mark.parametrize("secret", [OLD_SECRET, NEW_SECRET, NEW_SECRET.rstrip("=")])
def test_secret_is_tried_both_whole_and_decoded(secret):
    content = f"{ID}.{int(NOW.timestamp())}.".encode() + BODY
    for key in (secret.encode(), base64.b64decode(secret.removeprefix("whsec_") + "==")):
        mac = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert verify(signed(signature=f"v1,{mac}"), BODY, secret, NOW).id == ID


@pytest.mark.parametrize("scheme", Scheme)
def test_what_we_sign_is_accepted(scheme):
    assert verify(sign(NEW_SECRET, ID, NOW, BODY, scheme), BODY, NEW_SECRET, NOW).id == ID


def test_what_we_sign_is_what_the_library_signs():
    expected = Webhook(NEW_SECRET).sign(ID, NOW, BODY.decode())

    assert expected == sign(NEW_SECRET, ID, NOW, BODY, Scheme.BASE64)["webhook-signature"]


@pytest.mark.parametrize("secret", ["correct horse", "!!!", "whsec_", "whsec_~~", "ключ", "whsec_A"])
def test_hand_chosen_secret_counts_whole_and_never_as_an_empty_or_partial_key(secret):
    assert verify(sign(secret, ID, NOW, BODY), BODY, secret, NOW).id == ID
    with pytest.raises(ValueError, match="no key by the scheme base64"):
        sign(secret, ID, NOW, BODY, Scheme.BASE64)
    content = f"{ID}.{int(NOW.timestamp())}.".encode() + BODY
    guess = base64.b64encode(hmac.new(b"", content, hashlib.sha256).digest()).decode()
    with pytest.raises(BadSignature):
        verify(signed(signature=f"v1,{guess}"), BODY, secret, NOW)


def test_empty_secret_is_an_error_at_start():
    with pytest.raises(ValueError, match="empty"):
        Verifier("")


def test_other_secret_is_refused():
    with pytest.raises(BadSignature):
        verify(signed(), BODY, OLDEST_SECRET, NOW)


def test_one_good_signature_among_several_suffices():
    good = signed()["webhook-signature"]
    wrong = f"v1,{base64.b64encode(bytes(32)).decode()}"

    assert verify(signed(signature=f"{wrong} v1a,abc {good} v2,x"), BODY, OLD_SECRET, NOW).id == ID


@pytest.mark.parametrize(
    "shape",
    ["v1a,{}", "v2,{}", "V1,{}", "v1 {}", "v1{}", "{}", "v1,{},", "v1, {}", "v1", ",", "v1,\udcff", "é"],
)
def test_signature_in_another_shape_does_not_count(shape):
    mac = signed()["webhook-signature"].removeprefix("v1,")

    with pytest.raises(BadSignature):
        verify(signed(signature=shape.format(mac)), BODY, OLD_SECRET, NOW)


@pytest.mark.parametrize("off", [timedelta(minutes=-5), timedelta(0), timedelta(minutes=5)])
def test_five_minutes_either_way_are_tolerated(off):
    assert verify(signed(), BODY, OLD_SECRET, NOW + off).timestamp == NOW


@pytest.mark.parametrize("off", [timedelta(minutes=-5, seconds=-1), timedelta(minutes=5, seconds=1)])
def test_beyond_five_minutes_it_is_stale(off):
    with pytest.raises(StaleDelivery, match="clock"):
        verify(signed(), BODY, OLD_SECRET, NOW + off)


@pytest.mark.parametrize("header", HEADERS)
def test_missing_empty_and_repeated_headers_are_named(header):
    pairs = list(signed().items())
    without = [pair for pair in pairs if pair[0] != header]
    again = (header.title(), dict(pairs)[header])

    with pytest.raises(MissingHeader, match=header):
        verify(without, BODY, OLD_SECRET, NOW)
    with pytest.raises(MissingHeader, match=header):
        verify([*without, (header, "")], BODY, OLD_SECRET, NOW)
    with pytest.raises(DuplicateHeader, match=header):
        verify([*pairs, again], BODY, OLD_SECRET, NOW)


def test_header_names_ignore_case():
    assert verify({name.title(): value for name, value in signed().items()}, BODY, OLD_SECRET, NOW).id == ID


@pytest.mark.parametrize(
    "seconds",
    ["x", "-1", "+1793491200", "1793491200.0", "01793491200", "1e9", "9" * 30, "٣", " 1", "0", "nan"],
)
def test_timestamp_in_another_form_is_malformed(seconds):
    with pytest.raises(BadTimestamp):
        verify(signed(timestamp=seconds), BODY, OLD_SECRET, NOW)


@pytest.mark.parametrize("id_", ["a b", "a.1", "é", "x" * 256, "a\n", "<!channel>", " ", "a/b", "\udcff"])
def test_odd_or_long_id_is_malformed(id_):
    with pytest.raises(BadId):
        verify(signed(id=id_), BODY, OLD_SECRET, NOW)


def test_body_that_is_no_text_is_malformed():
    with pytest.raises(BadBody):
        verify(signed(), b"\xff\xfe", OLD_SECRET, NOW)


@given(st.lists(st.tuples(st.sampled_from([*HEADERS, "host"]), st.text()), max_size=5), st.binary())
def test_anything_else_is_malformed_or_untrusted(headers, body):
    with pytest.raises((MalformedDelivery, UntrustedDelivery)):
        verify(headers, body, OLD_SECRET, NOW)


def test_deliveries_signed_with_the_new_and_with_the_old_secret_are_accepted() -> None:
    verifier = Verifier(NEW_SECRET, OLD_SECRET)
    for secret in (NEW_SECRET, OLD_SECRET):
        assert verifier.verify(sign(secret, "evt_1", NOW, b"{}"), b"{}", NOW).id == "evt_1"
    with pytest.raises(BadSignature):
        verifier.verify(sign(RECORDED_SECRET, "evt_1", NOW, b"{}"), b"{}", NOW)
