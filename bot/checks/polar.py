"""Checks of Polar: the token, the scopes the rules need, and the webhook endpoint. Nothing is written."""

import hmac
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from bot.checks.findings import Finding, ok, problem, warning
from bot.config.settings import WHERE, Settings
from polar import errors
from polar.catalog import Call, operations
from polar.client import API_VERSION, PolarClient

Connect = Callable[..., PolarClient]
"""Opens a client as PolarClient does: `connect(token, base_url, per_minute=…)`."""

_UNTRIED: Final = (
    errors.NotSent, errors.NoAnswer, errors.RateLimited, errors.Unauthorized, errors.Redirected,
    errors.UnsupportedVersionOrRoute,
)  # fmt: skip
_ROUTE: Final = "/polar/webhooks"
_WHERE: Final = "in the organization's settings of Polar's dashboard"
_ENDPOINTS: Final = Call("webhooks:list_webhook_endpoints", query={"limit": 100})
_WITHIN: Final = 5.0  # seconds a read is tried again: a person is waiting
_OTHER_SERVER: Final = {
    "production": ("sandbox", "https://sandbox-api.polar.sh"),
    "sandbox": ("production", "https://api.polar.sh"),
}
_ADD_SCOPES: Final = "Add them to the access token in the organization's settings of Polar's dashboard."


async def check_polar(
    settings: Settings, events: Collection[str], called: Collection[str], connect: Connect = PolarClient
) -> list[Finding]:
    """Try what the rules need of Polar: the `events` they wait for, the ids of the operations `called`."""
    needed = _scopes(called)
    writes = list(_name_write_scopes(needed))
    try:
        opened = _open(settings, settings.polar_base_url, connect)
    except ValueError as error:  # an address or token that the client will not use; the words hold no secret
        return [problem(f"Polar was not asked: {error}", "Correct POLAR_ACCESS_TOKEN or POLAR_API_URL.")]
    async with opened as client:
        try:
            answer = await client.read(_ENDPOINTS, within=_WITHIN)
            endpoints = list(_check_endpoints(answer.body, events, settings))
        except errors.MissingScope:
            endpoints = [_unseen_endpoint(events)]
        except errors.Unauthorized:
            return [await _explain_unauthorized(settings, connect), *writes]
        except errors.PolarError as error:
            return [_unreachable(settings, error), *writes]
        works = ok(f"POLAR_ACCESS_TOKEN works at {settings.polar_base_url}.")
        return [works, *endpoints, *await _check_scopes(client, needed), *writes]


def _scopes(called: Collection[str]) -> list[tuple[str, ...]]:
    """The scopes of the operations, and of the reads that verify a call without an answer.

    Of each entry one scope suffices.
    """
    verifying = [verify for name in called if (verify := operations()[name].verify)]
    return sorted({operations()[name].scopes for name in (*called, *verifying)})


def _open(settings: Settings, base_url: str, connect: Connect) -> PolarClient:
    token = settings.polar_access_token.get_secret_value()
    return connect(token, base_url, per_minute=settings.polar_per_minute)


def _unreachable(settings: Settings, error: errors.PolarError) -> Finding:
    return problem(
        f"Polar could not be asked at {settings.polar_base_url}: {error.plain}",
        "Check the network, the proxy variables (HTTPS_PROXY) and POLAR_API_URL, and run the check again.",
    )


async def _explain_unauthorized(settings: Settings, connect: Connect) -> Finding:
    """A token does not tell its server, so the other one is asked, unless the address was set by hand."""
    other, other_url = _OTHER_SERVER[settings.polar_server]
    if settings.polar_api_url is None and await _accepts(settings, other_url, connect):
        return problem(
            f"POLAR_ACCESS_TOKEN belongs to {other}, but POLAR_SERVER is {settings.polar_server}.",
            f"Set POLAR_SERVER={other}, or use a token of {settings.polar_server}.",
        )
    return problem(
        f"POLAR_ACCESS_TOKEN is not accepted by {settings.polar_base_url}: wrong, expired or revoked.",
        WHERE["POLAR_ACCESS_TOKEN"],
    )


async def _accepts(settings: Settings, base_url: str, connect: Connect) -> bool:
    try:
        async with _open(settings, base_url, connect) as client:
            await client.read(_ENDPOINTS, within=0)
    except errors.MissingScope:
        return True
    except errors.PolarError:
        return False  # the finding about the server that was set stands by itself
    return True


def _unseen_endpoint(events: Collection[str]) -> Finding:
    return warning(
        "The webhook endpoint could not be checked: the access token lacks webhooks:read.",
        "Add that scope, or look in Polar's dashboard yourself: enabled, format Raw, a URL that ends with "
        f"/polar/webhooks, and the events {', '.join(sorted(events))}.",
    )


async def _check_scopes(client: PolarClient, needed: Collection[tuple[str, ...]]) -> list[Finding]:
    """Ask for one row of a list for each scope that a list needs, too."""
    probes = {scopes: probe for scopes in needed if (probe := _probe(scopes))}
    missing, findings = [], []
    for scopes, probe in probes.items():
        try:
            await client.read(probe, within=_WITHIN)
        except errors.MissingScope:
            missing.append(" or ".join(scopes))
        except _UNTRIED as error:
            findings.append(
                warning(f"{scopes[0]} could not be checked: {error.plain}", "Run the check again.")
            )
        except errors.Refused:
            continue  # refused for what was asked, after the scope was found good
    if missing:
        found = f"The rules need scopes that the token lacks: {', '.join(missing)}."
        findings.append(problem(found, _ADD_SCOPES))
    elif probes and not findings:
        findings.append(
            ok(f"The token has the scopes that can be tried: {', '.join(one[0] for one in probes)}.")
        )
    return findings


def _probe(scopes: tuple[str, ...]) -> Call | None:
    """The cheapest list that these scopes, and no others, let in; None when there is none, as for writes."""
    lists = [
        operation
        for operation in operations().values()
        if operation.scopes == scopes
        and not operation.is_write
        and not operation.id.endswith(":export")
        and not any(parameter.required for parameter in operation.parameters)
    ]
    cheapest = max(lists, key=lambda operation: operation.paginated, default=None)
    if cheapest is None:
        return None
    return Call(cheapest.id, query={"limit": 1} if cheapest.paginated else {})


def _name_write_scopes(needed: Collection[tuple[str, ...]]) -> Iterator[Finding]:
    untried = [" or ".join(scopes) for scopes in needed if _probe(scopes) is None]
    if untried:
        yield warning(
            f"The rules also need scopes that cannot be tested without a write: {', '.join(untried)}.",
            "Compare them with the access token in the organization's settings of Polar's dashboard.",
        )


def _check_endpoints(answer: Any, events: Collection[str], settings: Settings) -> Iterator[Finding]:
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
    secrets = settings.polar_webhook_secrets
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
    if not any(hmac.compare_digest(endpoint["secret"].encode(), one.encode()) for one in secrets):
        yield problem(
            f"POLAR_WEBHOOK_SECRET is not the secret of {name[0].lower()}{name[1:]}.",
            WHERE["POLAR_WEBHOOK_SECRET"],
        )
    if (version := endpoint.get("api_version", API_VERSION)) != API_VERSION:
        yield warning(
            f"{name} sends the version {version}; this program reads {API_VERSION}.",
            f"Choose {API_VERSION} {_WHERE}.",
        )
