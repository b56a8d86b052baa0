"""The catalog says what Polar's OpenAPI document says, and a newer document is noticed."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from polar.catalog import Operation, event_fields, event_types, operations, to_json
from tests.fixtures import catalog_generator as generate

TESTS = Path(__file__).parent.parent
DOCUMENT = TESTS.parents[1] / "shared" / "polar" / "openapi-2026-10.json"
WEBHOOKS = json.loads((TESTS / "payloads" / "webhook-schemas.json").read_text("utf-8"))
# SHA-256 of what the 2026-10 document says; holds where the document itself is not at hand.
DOCUMENT_DIGEST = "fbf4c98e42f240fdafbfd69c4a646e8064f75fe56c6d2e49d1c97255bb5d332c"


def digest(rows: list[Any]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def row(identity: str, method: str, path: str, required: list[str], callers: list[str]) -> list[Any]:
    return [identity, method, path, sorted(required), sorted(callers)]


def rows_of_document(document: dict[str, Any]) -> list[Any]:
    """Written without the generator, so that one checks the other."""
    rows = []
    for path, item in document["paths"].items():
        for method, raw in item.items():
            required = [one["name"] for one in raw.get("parameters", []) if one["required"]]
            rows.append(row(raw["operationId"], method.upper(), path, required, callers_in(raw)))
    return sorted(rows)


def callers_in(raw: dict[str, Any]) -> list[str]:
    if "x-polar-allowed-subjects" in raw:
        return [subject.lower() for subject in raw["x-polar-allowed-subjects"]]
    ways = [name for way in raw.get("security", [{"none": []}]) for name in way]
    words = {
        "customer_session": "customer",
        "member_session": "member",
        "oidc": "openid",
        "none": "anonymous",
    }
    return [words[way] for way in ways]


def rows_of_catalog() -> list[Any]:
    return sorted(
        row(one["id"], one["method"], one["path"], one["required"], one["callers"]) for one in to_json()
    )


# -- the contract ----------------------------------------------------------------------------------------


def test_all_operations_equal_the_document_on_id_method_path_required_and_callers():
    rows = rows_of_catalog()
    assert len(rows) == 186
    assert digest(rows) == DOCUMENT_DIGEST
    if DOCUMENT.exists():
        assert rows == rows_of_document(json.loads(DOCUMENT.read_text("utf-8")))


def test_who_may_call_is_counted_as_polar_counts_it():
    def kind(one: Operation) -> str:
        order = ("organization", "user", "customer", "member", "anonymous", "openid")
        return next(caller for caller in order if caller in one.callers)

    counts = Counter(kind(one) for one in operations().values())
    assert counts == {
        "organization": 125,
        "customer": 36,
        "anonymous": 13,
        "user": 7,
        "member": 4,
        "openid": 1,
    }
    with_token = [one for one in operations().values() if "organization" in one.callers]
    assert Counter(one.is_write for one in with_token) == {False: 63, True: 62}


def test_the_webhook_types_are_those_of_the_contract_and_the_newer_one():
    assert len(event_types()) == 42
    assert event_types() - WEBHOOKS["webhooks"].keys() == {"subscription.migrated"}


def test_catalog_and_document_have_not_drifted_apart(capsys):
    webhooks = {kind: webhook(schema) for kind, schema in WEBHOOKS["webhooks"].items()}
    assert generate.event_fields({**WEBHOOKS, "webhooks": webhooks}) == generate.present("event_fields.json")
    if DOCUMENT.exists():
        assert generate.main([str(DOCUMENT), "--check"]) == 0
        assert capsys.readouterr().out == "no change\n"


def webhook(schema: dict[str, Any]) -> dict[str, Any]:
    return {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


def small_document() -> dict[str, Any]:
    """A document of two operations, in the form of Polar's."""
    identity = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid4"}}
    plan = {"properties": {"name": {"type": "string"}}, "type": "object", "required": ["name"]}
    payload = {"properties": {"type": {"type": "string"}, "data": {"$ref": f"{generate.REF}Plan"}}}
    events = {
        kind: webhook({"$ref": f"{generate.REF}Payload"}) for kind in ("plan.created", "subscription.updated")
    }
    body = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"{generate.REF}Plan"}}},
    }
    return {
        "paths": {
            "/v1/plans/{id}": {
                "get": {"operationId": "plans:get", "summary": "Get Plan", "parameters": [identity]},
                "patch": {
                    "operationId": "plans:update",
                    "summary": "Update Plan",
                    "parameters": [identity],
                    "requestBody": body,
                },
            }
        },
        "webhooks": events,
        "components": {"schemas": {"Plan": plan, "Payload": payload}},
    }


def test_a_newer_document_is_reported_line_by_line_and_fails_the_check(tmp_path, capsys):
    document, path = small_document(), tmp_path / "openapi.json"
    path.write_text(json.dumps(document))
    assert generate.main([str(path)], tmp_path) == 0
    assert "operations: plans:get is new" in capsys.readouterr().out
    assert generate.main([str(path), "--check"], tmp_path) == 0

    operations_there = document["paths"]["/v1/plans/{id}"]
    del operations_there["get"]
    operations_there["patch"]["parameters"] = []
    document["components"]["schemas"]["Plan"]["properties"]["seats"] = {"type": "integer"}
    path.write_text(json.dumps(document))
    capsys.readouterr()
    before = (tmp_path / "catalog.json").read_text()
    assert generate.main([str(path), "--check"], tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "catalog.json: operations: plans:get is gone",
        "catalog.json: operations: plans:update changed in parameters",
        "catalog.json: schemas: Plan changed in properties",
        "event_fields.json: shared: Plan changed in seats",
        "4 changes",
    ]
    assert (tmp_path / "catalog.json").read_text() == before


# -- event fields ----------------------------------------------------------------------------------------


def test_a_misspelt_field_is_found():
    tree = event_fields("order.refunded")
    assert tree is not None
    assert tree.at("data", "customer", "emial") is None
    assert tree.at("data", "customer", "email") is not None
    assert tree.at("data", "email", "x") is None


def test_free_form_objects_take_any_name_and_lists_show_their_entries():
    tree = event_fields("order.paid")
    assert tree is not None
    assert tree.at("data", "metadata", "anything", "at", "all") is not None
    items = tree.at("data", "items")
    assert items is not None
    assert "label" in items.fields
    assert tree.at("data", "nothing") is None


def test_a_field_of_any_kind_of_benefit_grant_is_known():
    tree = event_fields("benefit_grant.revoked")
    assert tree is not None
    for name in ("license_key_id", "guild_id", "repository_name"):
        assert tree.at("data", "properties", name) is not None
    assert tree.at("data", "previous_properties", "display_key") is not None


def test_a_migrated_subscription_is_an_updated_one_with_its_provider():
    migrated, updated = event_fields("subscription.migrated"), event_fields("subscription.updated")
    assert migrated is not None
    assert updated is not None
    assert migrated.fields.keys() - updated.fields.keys() == {"provider", "provider_subscription_id"}
    assert event_fields("subscription.dreamt") is None


def test_every_recorded_delivery_has_the_fields_that_are_not_optional():
    for line in (TESTS / "payloads" / "deliveries.jsonl").read_text("utf-8").splitlines():
        delivery = json.loads(line)
        tree = event_fields(delivery["type"])
        assert tree is not None
        data = tree.at("data")
        assert data is not None
        assert {"id", "created_at"} <= data.fields.keys() & json.loads(delivery["body"])["data"].keys()
