"""A body becomes a typed event or a plain refusal, and events of one subject can be put in order."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polar import events, grants, models
from polar.events import MOST_ITEMS, RESOURCES, Event, NotAnEvent, Subject, parse, read_type

DELIVERIES = Path(__file__).parent.parent / "payloads" / "deliveries.jsonl"
BODIES = {
    delivery["type"]: delivery["body"].encode()
    for delivery in map(json.loads, DELIVERIES.read_text().splitlines())
}
NOON = "2026-11-21T12:00:00.000001Z"
LATER = "2026-11-21T12:00:00.000002Z"


def event(event_type: str, timestamp: Any = NOON, **data: Any) -> Event:
    return parse(json.dumps({"type": event_type, "timestamp": timestamp, "data": data}).encode())


def refusal(body: bytes) -> str:
    with pytest.raises(NotAnEvent) as raised:
        parse(body)
    return str(raised.value)


@pytest.mark.parametrize("event_type", BODIES)
def test_every_recorded_delivery_is_a_known_event(event_type: str) -> None:
    read = parse(BODIES[event_type])

    assert (read.type, read.problem) == (event_type, None)
    assert isinstance(read.resource, RESOURCES[event_type])
    assert read.subject is not None
    assert read.subject.id == read.resource.id
    assert read.timestamp is not None
    assert read.resource.id in read.related_ids
    assert read.fact_key == f"{event_type}|{read.resource.id}|{read.timestamp.isoformat()}"
    assert read.raw == json.loads(BODIES[event_type])


def test_there_are_41_types_of_the_contract_and_migrated() -> None:
    assert len(RESOURCES) == 42
    assert "subscription.migrated" in RESOURCES


def test_the_data_is_typed() -> None:
    order = parse(BODIES["order.paid"]).resource

    assert isinstance(order, models.Order)
    assert (order.total_amount, order.currency, order.paid) == (2900, "usd", True)
    assert order.created_at == datetime(2026, 11, 21, 3, 18, 14, 744690, UTC)
    assert order.customer is not None
    assert order.customer.email == "bob@example.com"
    with pytest.raises(ValueError, match="frozen"):
        order.status = "void"  # type: ignore[misc]  # what must not work


def test_the_properties_of_a_grant_are_typed_by_its_benefit() -> None:
    grant = parse(BODIES["benefit_grant.revoked"]).resource

    assert isinstance(grant, grants.BenefitGrant)
    assert isinstance(grant.properties, grants.LicenseKeysProperties)
    assert grant.properties.display_key == "****-67B947"


@pytest.mark.parametrize("benefit", [{"type": "teleportation"}, {"type": ["license_keys"]}, None, "x", {}])
def test_a_grant_of_an_odd_benefit_is_no_error(benefit: Any) -> None:
    body = json.loads(BODIES["benefit_grant.created"])
    body["data"]["benefit"] = benefit

    read = parse(json.dumps(body).encode())

    assert read.type == "benefit_grant.created"
    assert read.subject is not None


def test_a_secret_of_a_checkout_does_not_reach_its_model() -> None:
    assert not {"client_secret", "url"} & set(models.Checkout.model_fields)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "The body is not JSON: EOF while parsing a value at line 1 column 0."),
        (b"\xff", "The body is not UTF-8."),
        (b'{"type": "order.paid\xff"}', "The body is not UTF-8."),
        (b'{"type": "order.paid"', "The body is not JSON: EOF while parsing an object at line 1 column 21."),
        (b"[" * 1000 + b"]" * 1000, "The body is nested too deep."),
        (b'{"a":' * 100_000, "The body is nested too deep."),
        (b'{"type": "x", "a": NaN}', "The body is not JSON: expected value at line 1 column 20."),
        (b'{"type": "x", "a": Infinity}', "The body is not JSON: expected value at line 1 column 20."),
        (b'{"type": "x", "a": -Infinity}', "The body is not JSON: invalid number at line 1 column 21."),
        (b'{"type": "x", "a": [{"b": 1e999}]}', "The body holds a number too large to represent."),
        (b'{"type": "x", "a": -1e999}', "The body holds a number too large to represent."),
        (b'["order.paid"]', "The body is JSON, but not an object."),
        (b"null", "The body is JSON, but not an object."),
        (b'"order.paid"', "The body is JSON, but not an object."),
    ],
)
def test_what_is_no_json_object_is_refused_in_a_plain_sentence(body: bytes, expected: str) -> None:
    assert refusal(body) == expected


@pytest.mark.parametrize(
    "event_type", [None, "", 7, True, [], {}, ["order.paid"], "x" * 256, "order\x00paid", "order.paid\n"]
)
def test_a_body_without_a_usable_type_is_refused(event_type: Any) -> None:
    expected = "The body has no `type` that is a printable text of 1 to 255 characters."

    assert refusal(json.dumps({"type": event_type, "data": {}}).encode()) == expected
    assert refusal(b'{"data": {}}') == expected


def test_an_unknown_type_is_kept_with_all_it_carries() -> None:
    read = event("dispute.created", id="d1", amount=5)

    assert read.problem == "This version does not know the type."
    assert read.subject == Subject("dispute", "d1")
    assert read.fact_key == "dispute.created|d1|2026-11-21T12:00:00.000001+00:00"
    assert read.raw["data"] == {"id": "d1", "amount": 5}


def test_data_that_does_not_fit_is_kept_and_the_problem_names_the_field_but_not_its_value() -> None:
    body = json.loads(BODIES["order.paid"])
    body["data"]["total_amount"] = "a secret"

    read = parse(json.dumps(body).encode())

    assert read.problem is not None
    assert read.problem.startswith("The data does not fit this version: data.total_amount: Input should be")
    assert "secret" not in read.problem
    assert read.raw == body


@pytest.mark.parametrize("data", [None, [], "text", 7, {}])
def test_a_known_type_without_proper_data_is_kept(data: Any) -> None:
    read = parse(json.dumps({"type": "order.paid", "timestamp": NOON, "data": data}).encode())

    assert read.problem is not None
    assert (read.subject, read.fact_key, read.related_ids) == (None, None, frozenset())


@pytest.mark.parametrize("created_at", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"])
def test_a_date_outside_the_calendar_is_a_misfit_not_a_crash(created_at: str) -> None:
    read = event("benefit.created", created_at, id="b1", type="custom", created_at=created_at)

    assert (read.problem is None, read.timestamp) == (False, None)


@pytest.mark.parametrize("timestamp", [None, 7, "", "yesterday", [], {}])
def test_an_event_without_a_readable_time_is_known_but_no_fact(timestamp: Any) -> None:
    read = event("benefit.created", timestamp, id="b1", type="custom")

    assert (read.problem is None, read.timestamp, read.fact_key) == (True, None, None)


@pytest.mark.parametrize(
    "written", ["2026-11-21T12:00:00.5Z", "2026-11-21T13:00:00.5+01:00", "2026-11-21T12:00:00.5"]
)
def test_times_are_utc_however_written(written: str) -> None:
    read = event("benefit.created", written, id="b1", type="custom")

    assert read.timestamp == datetime(2026, 11, 21, 12, 0, 0, 500_000, UTC)
    assert read.timestamp.tzinfo is UTC
    assert read.fact_key == "benefit.created|b1|2026-11-21T12:00:00.500000+00:00"


def test_one_change_seen_on_two_endpoints_is_one_fact() -> None:
    body = BODIES["order.paid"]
    later_contract = body[:-1] + b',"api_version":"2026-10"}'

    assert parse(body).fact_key == parse(later_contract).fact_key


def test_two_changes_of_one_object_are_two_facts() -> None:
    assert event("order.updated", NOON, id="o1").fact_key != event("order.updated", LATER, id="o1").fact_key


def test_a_customer_and_its_state_are_two_subjects_with_one_id() -> None:
    assert event("customer.updated", id="c1").subject == Subject("customer", "c1")
    assert event("customer.state_changed", id="c1").subject == Subject("customer_state", "c1")


def test_related_ids_name_the_subject_and_its_neighbours() -> None:
    read = parse(BODIES["benefit_grant.revoked"])

    assert read.related_ids == {
        "eb5a6d5b-8f99-43f4-b5e8-85fe7e83e769",  # the grant
        "93c23e9a-0a24-4530-9b1c-47f91bcbbe7c",  # its subscription
        "4cc79d25-d7f3-4655-a87a-f269281f1d13",  # its customer
        "ext-alice",
        "bcd93ecf-d22d-48b9-8487-cfaf07f1e756",  # its member
        "db517676-caa0-431e-a9a6-6dca80e98ee2",  # its benefit
        "bf4640af-a2d6-447e-9546-b44d55abedcf",  # its license key
    }


def test_related_ids_hold_nothing_that_a_buyer_or_merchant_writes_freely() -> None:
    read = event(
        "order.paid",
        id="o1",
        metadata={"order_id": "forged"},
        custom_field_data={"id": "forged"},
        customer_metadata={"customer_id": "forged"},
        customer={"id": "c1", "metadata": {"id": "forged"}, "organization_id": "org"},
    )

    assert read.related_ids == {"o1", "c1"}


def test_the_state_of_a_customer_is_related_to_what_the_customer_has() -> None:
    grants = [{"id": "g1", "benefit_id": "b1", "properties": {"license_key_id": "k1"}}]
    read = event("customer.state_changed", id="c1", granted_benefits=grants)

    assert read.related_ids == {"c1", "g1", "b1", "k1"}


@pytest.mark.parametrize(
    ("kind", "older", "newer"),
    [
        ("order", {"status": "pending"}, {"status": "paid"}),
        ("order", {"status": "paid", "refunded_amount": 9}, {"status": "paid", "refunded_amount": 0}),
        ("order", {"status": "refunded"}, {"status": "paid"}),  # the bank returned the refund
        ("order", {"status": "void"}, {"status": "paid"}),  # paid after all
        ("subscription", {"status": "active"}, {"status": "past_due"}),
        ("subscription", {"status": "past_due"}, {"status": "active"}),
        ("benefit_grant", {"is_granted": False}, {"is_granted": True}),
        ("product", {"name": "a"}, {"name": "b"}),
    ],
)
def test_of_two_states_the_one_with_the_later_payload_time_wins(
    kind: str, older: dict[str, Any], newer: dict[str, Any]
) -> None:
    first = event(f"{kind}.updated", NOON, id="x", **older)
    second = event(f"{kind}.updated", LATER, id="x", **newer)

    assert max([second, first], key=lambda one: one.order_key) is second


@pytest.mark.parametrize(
    ("terminal_type", "terminal", "late_type", "late"),
    [
        ("checkout.updated", {"status": "succeeded"}, "checkout.updated", {"status": "open"}),
        ("checkout.expired", {"status": "expired"}, "checkout.updated", {"status": "open"}),
        ("customer.deleted", {"deleted_at": NOON}, "customer.updated", {"deleted_at": None}),
        ("customer.state_changed", {"deleted_at": NOON}, "customer.state_changed", {}),
        ("member.deleted", {}, "member.updated", {}),
        ("discount.deleted", {}, "discount.updated", {}),
        ("refund.updated", {"status": "failed"}, "refund.updated", {"status": "succeeded"}),
        ("subscription.revoked", {"ended_at": NOON}, "subscription.updated", {"ended_at": None}),
    ],
)
def test_nothing_reopens_what_has_ended(
    terminal_type: str, terminal: dict[str, Any], late_type: str, late: dict[str, Any]
) -> None:
    ended = event(terminal_type, NOON, id="x", **terminal)
    other = event(late_type, LATER, id="x", **late)

    assert ended.order_key > other.order_key


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("order", ["draft", "pending", "paid", "partially_refunded"]),
        ("refund", ["pending", "succeeded", "failed"]),
        ("checkout", ["open", "confirmed", "succeeded"]),
    ],
)
def test_events_of_one_microsecond_go_by_how_far_the_state_is(kind: str, statuses: list[str]) -> None:
    events = [event(f"{kind}.updated", NOON, id="x", status=status) for status in reversed(statuses)]

    in_order = sorted(events, key=lambda one: one.order_key)

    assert [one.data["status"] for one in in_order] == statuses


def test_an_event_without_a_time_replaces_nothing() -> None:
    assert event("order.updated", None, id="x").order_key < event("order.updated", NOON, id="x").order_key


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from([*RESOURCES, "x.y"]), JSON, JSON)
def test_any_json_under_any_type_is_an_event(event_type: str, timestamp: Any, data: Any) -> None:
    read = parse(json.dumps({"type": event_type, "timestamp": timestamp, "data": data}).encode())

    assert read.type == event_type
    assert isinstance(read.related_ids, frozenset)
    assert read.order_key <= read.order_key


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_refused(body: bytes) -> None:
    try:
        assert parse(body).type
    except NotAnEvent as refused:
        assert str(refused).endswith(".")


@given(st.sampled_from(sorted(BODIES)), st.data())
def test_one_value_gone_wrong_never_loses_the_event(event_type: str, data: st.DataObject) -> None:
    body = json.loads(BODIES[event_type])
    field = data.draw(st.sampled_from(sorted(body["data"])))
    body["data"][field] = data.draw(JSON)

    read = parse(json.dumps(body).encode())

    assert read.raw["data"][field] == body["data"][field]
    assert (read.problem is None) == (read.resource is not None)
    assert isinstance(read.related_ids, frozenset)
    assert read.order_key <= read.order_key


@pytest.mark.parametrize(
    "form",
    [
        "1e308",
        "1e309",
        "17e307",
        "18e307",
        "1E+0309",
        "0.1e310",
        "0.01e310",
        "9" * 308,
        "9" * 309,
        "1" * 309 + ".5",
        "9" * 400 + "e-100",
        "9" * 500 + "e-100",
    ],
)
def test_number_is_refused_when_no_float_holds_it(form: str) -> None:
    body = f'{{"type": "x", "a": {{"b": [{form}]}}}}'.encode()

    if float(form) == float("inf") and not form.isdigit():
        with pytest.raises(NotAnEvent, match="too large"):
            read_type(body)
    else:
        assert read_type(body) == "x"


def test_no_recorded_body_is_walked_through() -> None:
    assert [type_ for type_, body in BODIES.items() if events._may_be_too_large(body)] == []


def test_of_a_list_that_is_too_long_the_beginning_is_kept_and_said():
    def body(count: int) -> bytes:
        data = {"id": "c1", "active_subscriptions": [{"id": n} for n in range(count)], "note": ","}
        return json.dumps({"type": "customer.state_changed", "data": data}).encode()

    whole, cut = parse(body(MOST_ITEMS)), parse(body(10_000))

    assert not whole.is_cut
    assert len(whole.data["active_subscriptions"]) == MOST_ITEMS
    assert cut.is_cut
    assert cut.data["active_subscriptions"] == whole.data["active_subscriptions"]
    assert cut.problem == "data.active_subscriptions has 10,000 items. At most 250 are looked at."
    assert cut.resource is None
