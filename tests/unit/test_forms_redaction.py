"""What is shown of values that open something by themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.forms.fields import all_leaves, form_of, ways
from bot.forms.names import proposable
from polar.redaction import HIDDEN, HOST_ONLY, ending, host, redacted

SECRET = "T0SECRET"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T0SECRET", "hooks.slack.com"),
        ("https://T0SECRET:T0SECRET@example.com:8443/T0SECRET?T0SECRET#T0SECRET", "example.com"),
        ("https:hooks.slack.com/services/T0SECRET", HIDDEN),
        ("https://hooks.slack.com\\services\\T0SECRET", HIDDEN),
        ("https://[T0SECRET", HIDDEN),
        ("T0SECRET", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_of_a_url_only_the_host_is_shown(url: str, shown: str) -> None:
    assert host(url) == shown


@given(st.text(max_size=80))
def test_no_text_breaks_the_host(text: str) -> None:
    host(text)
    assert host(f"https://example.com/{text}") in ("example.com", HIDDEN)


def test_of_a_secret_its_end_is_shown_unless_it_is_too_short_for_that() -> None:
    assert ending("TEST-0123456789") == "…6789"
    assert ending("6789") == ending(12345678901234) == "…"


def test_secrets_are_found_however_deep_and_everything_else_stays() -> None:
    body = {
        "key": "TEST-0123456789", "label": "Mac", "none": None, "count": 3,
        "properties": [{"guild_token": f"{SECRET}-01234567"}],
        "metadata": {"url": "https://example.com/shown"},
    }  # fmt: skip
    assert redacted(body, "body") == {
        **body, "key": "…6789", "properties": [{"guild_token": "…4567"}],
    }  # fmt: skip
    assert redacted({"url": f"https://example.com/{SECRET}"}, "body") == {"url": "example.com"}
    assert redacted(None, "body") is None
    assert redacted({"key": None}, "body") == {"key": None}


def test_only_webhook_endpoints_have_a_url_that_is_a_credential() -> None:
    found = set()
    for one in proposable():
        for way in range(max(1, len(ways(one)))):
            more = frozenset(form_of(one, {"body": str(way)}).more)
            leaves = all_leaves(form_of(one, {"body": str(way)}, more))
            found |= {one.id for leaf in leaves if leaf.path in HOST_ONLY}
    assert found == {"webhooks:create_webhook_endpoint", "webhooks:update_webhook_endpoint"}
