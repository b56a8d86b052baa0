"""Check of Polar's webhook endpoints: is there one for us, and does it send what the rules need."""

import hmac
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bot.checks.findings import Finding, ok, problem, warning
from bot.config.settings import WHERE, Settings
from polar.client import API_VERSION

_ROUTE: Final = "/polar/webhooks"
_WHERE: Final = "in the organization's settings of Polar's dashboard"


def check_endpoints(answer: Any, events: Collection[str], settings: Settings) -> Iterator[Finding]:
    """Findings about Polar's list of webhook endpoints; each holds its `secret` in clear, never shown."""
    if not isinstance(answer, dict) or not isinstance(endpoints := answer.get("items"), list):
        yield problem(f"{settings.polar_base_url} does not answer like Polar.", "Correct POLAR_API_URL.")
        return
    ours = [each for each in endpoints if urlsplit(each["url"]).path.rstrip("/").endswith(_ROUTE)]
    if not ours:
        yield problem(
            f"Polar has no webhook endpoint whose URL ends with {_ROUTE}.",
            f"Add one {_WHERE}: URL https://YOUR-HOST{_ROUTE}, format Raw, "
            f"events {', '.join(sorted(events))}.",
        )
    for each in ours:
        parts = urlsplit(each["url"])
        url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # without what may be secret
        name = f"The webhook endpoint {url}"
        fine = ok(f"{name} is enabled, has our secret and sends what the rules wait for.")
        yield from list(_wrong(each, name, events, settings)) or [fine]
    if len([each for each in ours if each["enabled"]]) > 1:
        yield warning(
            f"{len(ours)} webhook endpoints end with {_ROUTE}: if they reach the same program, every "
            "event arrives twice under different ids and is asked about twice.",
            f"Keep one for each program; delete the others {_WHERE}.",
        )


def _wrong(
    endpoint: Mapping[str, Any], name: str, events: Collection[str], settings: Settings
) -> Iterator[Finding]:
    secret = settings.polar_webhook_secret.get_secret_value()
    if not endpoint["enabled"]:
        yield problem(
            f"{name} is disabled: Polar does that after ten failed events in a row.",
            f"Make sure that the program can be reached there, then enable the endpoint {_WHERE}. "
            "What happened meanwhile was not sent and is not sent again.",
        )
    if endpoint["format"] != "raw":
        yield problem(f"{name} sends the format {endpoint['format']}.", f"Choose Raw {_WHERE}.")
    if missing := ", ".join(sorted(set(events) - set(endpoint["events"]))):
        yield problem(
            f"{name} does not send what the rules wait for: {missing}.", f"Subscribe it to them {_WHERE}."
        )
    if not hmac.compare_digest(endpoint["secret"].encode(), secret.encode()):
        yield problem(
            f"POLAR_WEBHOOK_SECRET is not the secret of {name[0].lower()}{name[1:]}.",
            WHERE["POLAR_WEBHOOK_SECRET"],
        )
    if (version := endpoint.get("api_version", API_VERSION)) != API_VERSION:
        yield warning(
            f"{name} sends the version {version}; this program reads {API_VERSION}.",
            f"Choose {API_VERSION} {_WHERE}.",
        )
