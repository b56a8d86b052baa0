"""Every field of Polar's contract that gives access is hidden wherever its value could be shown.

`field_names.txt` holds the names of all properties and parameters of Polar's OpenAPI document, one a line.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.rules.expression import Scope
from bot.rules.load import compile_rule
from polar.redaction import is_secret, masked, public, redacted, without_secrets
from store.models import PlannedCall
from tests.unit.test_details import found, pages

NAMES = (Path(__file__).parents[1] / "fixtures/field_names.txt").read_text("utf-8").split()
CANARY = "TOP-0123-4567-89ab-SECRET"
# What sounds as if it gave access and does not; a new name of Polar's fails the test until somebody has looked.
HARMLESS = frozenset(
    "allow_discount_codes api_access auth_method authed_user_id author_kind authorization_parameters "
    "client_secret_expires_at code dashboard_access discount_code display_key email_hash http_code "
    "http_code_class invitation_token_expires_at license_key_id limit_activations oauth_accounts "
    "off_session_charges_enabled postal_code preview_access_enabled private reason_code used_codes "
    "last_http_code".split()
)
SOUNDS = re.compile(
    r"secret|token|key|passw|cred(?!it)|code|auth|hash|signature|otp|nonce|private|session|access"
)
SECRET = [name for name in NAMES if is_secret(name)]
OPENS = ("customer_portal_url", "invite_url", "provisioning_uri")  # links that are credentials


def everywhere(value: Any) -> dict[str, Any]:
    """Every secret field with this value, at the top and below."""
    deep: dict[str, Any] = dict.fromkeys(SECRET, value)
    return {
        **deep,
        "properties": {"more": [deep, {"list": [deep]}]},
        "listed": {name: [value] for name in SECRET},
    }


def test_every_name_that_sounds_secret_is_hidden_or_known_to_be_harmless() -> None:
    assert {name for name in NAMES if SOUNDS.search(name)} - set(SECRET) - HARMLESS == set()
    assert HARMLESS <= set(NAMES)


def test_keys_tokens_and_secrets_are_among_them() -> None:
    asked = {
        "key",
        "user_provided_key",
        "license_key",
        "api_key",
        "secret",
        "client_secret",
        "signing_secret",
    }
    asked |= {"token", "access_token", "refresh_token", "guild_token", "customer_session_token", "codes"}

    assert asked <= set(SECRET)
    assert {
        name for name in NAMES if ("secret" in name or "token" in name) and not name.endswith("_at")
    } <= set(SECRET)


@pytest.mark.parametrize("hide", [public, without_secrets, lambda value: redacted(value, "body")])
def test_a_secret_is_hidden_however_deep_it_is(hide: Any) -> None:
    shown = json.dumps(hide(everywhere(CANARY)))

    assert CANARY not in shown
    assert "…" in json.loads(shown)["key"]


@pytest.mark.parametrize("name", OPENS)
@pytest.mark.parametrize("hide", [public, without_secrets])
def test_a_link_that_opens_something_is_its_host(hide: Any, name: str) -> None:
    shown = hide({name: f"https://polar.sh/{CANARY}"})[name]

    assert CANARY not in shown


@pytest.mark.parametrize(
    "value",
    [
        "polar_oat_0123456789",
        "polar_c_0123456789abc",
        "whsec_0123456789",
        "xoxb-1-2-abcdef",
        "Bearer abcdef0123",
    ],
)
def test_a_token_is_hidden_under_any_name(value: str) -> None:
    assert value not in json.dumps(without_secrets({"comment": f"see https://a.example/?t={value}"}))
    assert value not in masked(f"it says {value}.")


def test_what_is_no_secret_stays_as_it_is() -> None:
    body = {
        "display_key": "****-ABCD",
        "code": "SUMMER",
        "expires_at": "2026-12-01",
        "count": 3,
        "none": None,
    }

    assert without_secrets(body) == public(body) == redacted(body, "body") == body


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("${data.key}", "…CRET"),
        ("The key ${data['key']} is new", "The key …CRET is new"),
        ("${data.only}", "{'api_key': '…CRET'}"),
        ("${data.properties.display_key}", "****-CRET"),
        ("${key.display_key} of ${size(data.key)}", "****-CRET of 25"),
        ("${data.note}", "see [secret]"),
        ("${data.total} of ${data.paid} and ${data.none}", "3 of true and "),
    ],
)
def test_the_text_of_a_rule_shows_none(source: str, shown: str) -> None:
    properties = {"user_provided_key": CANARY, "display_key": "****-CRET"}
    data = {
        "key": CANARY,
        "properties": properties,
        "only": {"api_key": CANARY},
        "note": "see polar_oat_0123456789",
        "total": 3,
        "paid": True,
    }
    made = compile_rule({
        "name": "shows", "on": ["order.paid"], "operation": "orders:generate_invoice", "path": {"id": "1"},
        "title": source, "reasons": [source],
    })  # fmt: skip
    draft = made.draft(Scope({"data": {**data, "none": None}, "key": properties}), None)

    assert (draft.title, draft.reasons) == (shown, (shown,))


def test_no_page_of_the_details_shows_one() -> None:
    data = everywhere(CANARY)
    call = PlannedCall("license_keys:activate", {}, dict(data), dict(data))
    dossier = found("x", calls=(call,), reads={"grants": data})
    webhook = json.dumps({"type": "benefit_grant.created", "data": data}).encode()
    revision = {"operation": call.operation, "path": {}, "query": {}, "body": data}
    assert dossier.event is not None
    dossier = replace(
        dossier,
        event=replace(dossier.event, body=webhook),
        latest=data,
        revisions=(replace(dossier.revisions[0], calls=(revision,)),),
    )

    assert CANARY not in json.dumps(pages(dossier))
