"""A check of the text of each setting; its error says what the text is instead."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from polar.addresses import is_loopback

SHORTEST: Final = 16  # characters of a secret

WHERE: Final[Mapping[str, str]] = {
    "SLACK_BOT_TOKEN": "Copy the Bot User OAuth Token (xoxb-…) from https://api.slack.com/apps, your app, "
    "OAuth & Permissions.",
    "SLACK_APP_TOKEN": "Generate a token with the scope connections:write (xapp-…) at "
    "https://api.slack.com/apps, your app, Basic Information, App-Level Tokens.",
    "SLACK_SIGNING_SECRET": "Copy the Signing Secret from https://api.slack.com/apps, your app, "
    "Basic Information, App Credentials.",
    "SLACK_CHANNEL": "In Slack open the channel, click its name and copy the channel ID (C…) at the end of "
    "About.",
    "APPROVERS": "In Slack open the person's profile, ⋮, Copy member ID (U… or W…); of a user group its "
    "group ID (S…). Separate several with commas.",
    "POLAR_ACCESS_TOKEN": "Create an organization access token (polar_oat_…) in the organization's settings "
    "of Polar's dashboard.",
    "POLAR_WEBHOOK_SECRET": "Copy the secret of the webhook endpoint from the organization's settings "
    "of Polar's dashboard, exactly as shown. While you change it, write NEW,OLD.",
    "POLAR_SERVER": "Write production or sandbox.",
    "DATABASE_URL": "Write sqlite:///path or postgresql://user:password@host/name, with %XX for special "
    "characters in the password.",
    "RETENTION_DAYS": "Write a number of days from 1 to 36500, or nothing to keep everything.",
    "PORT": "Write a number from 0 to 65535 (0 lets the system choose).",
    "METRICS_PORT": "Write a number from 0 to 65535, for this machine alone, or ADDRESS:NUMBER.",
}
"""For each variable, where to find its value or how to write it."""

_KINDS: Final = {
    "xoxe.": "a rotating Slack token, which dies after 12 hours; turn token rotation off for the app",
    "xoxe-": "a Slack refresh token",
    "xoxb-": "Slack's bot token; it belongs in SLACK_BOT_TOKEN",
    "xapp-": "the app-level token; it belongs in SLACK_APP_TOKEN",
    "xoxp-": "a Slack user token",
    "polar_oat_": "Polar's organization token; it belongs in POLAR_ACCESS_TOKEN",
    "polar_pat_": "a personal access token",
    "polar_at_": "an OAuth access token",
    "polar_rt_": "an OAuth refresh token",
    "polar_ci_": "an OAuth client id",
    "polar_cs_": "an OAuth client secret",
    "polar_crt_": "an OAuth client registration token",
    "polar_ac_": "an OAuth authorization code",
    "polar_us_": "a session of Polar's dashboard",
    "polar_cst_": "a customer's session",
    "polar_mst_": "a member's session",
    "polar_cl_": "the secret of a checkout link",
    "polar_c_": "the secret of a checkout",
    "polar_whs_": "a webhook secret; it belongs in POLAR_WEBHOOK_SECRET",
    "whsec_": "a webhook secret; it belongs in POLAR_WEBHOOK_SECRET",
}
"""The kind of value for each prefix. Polar's: polarsource/polar:server/polar/kit/crypto.py and its callers;
Slack's: https://docs.slack.dev/authentication/tokens."""

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}

_APPROVER: Final = re.compile(r"[UWS][A-Z0-9]+")
_NOT_AN_APPROVER: Final[tuple[tuple[str, str], ...]] = (
    (r"<.*>", "is a mention; write only the id inside it"),
    (r"@.*", "is a name, which can change hands; write the id"),
    (r".*@.*", "is an e-mail address, which proves nothing in Slack; write the id"),
    (r"[CGD][A-Z0-9]+", "is the id of a channel, not of a person or user group"),
)


@dataclass(frozen=True, slots=True)
class Approvers:
    """The approvers: Slack user ids (U…, W…) and user group ids (S…). Both empty: nobody."""

    users: frozenset[str]
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class Place:
    """A place to listen at."""

    host: str
    port: int


def kind(value: str) -> tuple[str, str] | None:
    """The prefix and the kind of a known token; None when the text has no such prefix."""
    return next(((prefix, kind) for prefix, kind in _KINDS.items() if value.startswith(prefix)), None)


def refuse_wrapping(value: str) -> None:
    """Raise ValueError for a value with copied spaces or quotes."""
    if value != value.strip():
        raise ValueError("has spaces around it. Remove them.")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"`":
        raise ValueError("has quotes around it. Remove them.")


def token(own: str = "", *, strict: bool = True) -> Callable[[SecretStr], SecretStr]:
    """A check of a secret for an HTTP header. The returned function raises ValueError.

    The secret begins with `own`. If it does not, it is refused: always if `strict`, else only when it is
    known to be something else.
    """

    def check(secret: SecretStr) -> SecretStr:
        value = secret.get_secret_value()
        refuse_wrapping(value)
        if not re.fullmatch(r"[!-~]+", value):
            raise ValueError("has a space or another character in it that no token has.")
        found = kind(value)
        if found and found[0] != own:
            raise ValueError(f"begins with {found[0]}: that is {found[1]}.")
        if strict and not value.startswith(own):
            raise ValueError(f"does not begin with {own}.")
        return secret

    return check


def long_enough(secret: SecretStr) -> SecretStr:
    """Raise ValueError for a secret that can be guessed, and for one of several that can."""
    if any(len(one) < SHORTEST for one in several(secret.get_secret_value())):
        raise ValueError(f"is shorter than {SHORTEST} characters, so it can be guessed.")
    return secret


def long_token(secret: SecretStr) -> SecretStr:
    """A check of a secret for an HTTP header that cannot be guessed. Raises ValueError."""
    return long_enough(token()(secret))


def several(value: str) -> tuple[str, ...]:
    """The secrets in `NEW,OLD`: the parts, and the whole, which may have a comma of its own."""
    parts = tuple(part for each in value.split(",") if (part := each.strip()))
    return parts if len(parts) < 2 else (*parts, value)


def channel(value: str) -> str:
    """A channel's id. Raises ValueError for a name or a direct message."""
    refuse_wrapping(value)
    if value.startswith("D"):
        raise ValueError("is a direct message: nobody else would see the cards.")
    if not re.fullmatch(r"[CG][A-Z0-9]+", value):
        raise ValueError("is not a channel id; a name can change, an id cannot.")
    return value


def approvers(value: object) -> object:
    """Read `U…,S…`; pydantic handles other types. Raises ValueError with the place of an entry only."""
    if not isinstance(value, str):
        return value
    entries = [entry for part in value.split(",") if (entry := part.strip())]
    wrong = [_not_an_approver(place, entry) for place, entry in enumerate(entries, 1)]
    if problems := [problem for problem in wrong if problem]:
        raise ValueError("; ".join(problems) + ".")
    return Approvers(
        users=frozenset(entry for entry in entries if not entry.startswith("S")),
        groups=frozenset(entry for entry in entries if entry.startswith("S")),
    )


def _not_an_approver(place: int, entry: str) -> str | None:
    if _APPROVER.fullmatch(entry):
        return None
    said = (words for pattern, words in _NOT_AN_APPROVER if re.fullmatch(pattern, entry))
    return f"entry {place} {next(said, 'is not a Slack id')}"


def _web_address(value: str) -> str:
    refuse_wrapping(value)
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:  # a bad port or a broken IPv6 address; the text would repeat the value
        usable = False
    if not usable:
        raise ValueError("is not a web address. Write https://host/path.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("contains a user, a query or a fragment. Write https://host/path.")
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError("begins with http://, so anybody on the way could read the token. Write https://.")
    return value


def slack_api_url(value: str) -> str:
    """The address with exactly one slash at the end. Raises ValueError."""
    return _web_address(value).rstrip("/") + "/"  # slack_sdk appends the method's name to it


def polar_api_url(value: str) -> str:
    """The address without a slash at the end. Raises ValueError, also when `/v1` is part of it."""
    if (address := _web_address(value).rstrip("/")).endswith("/v1"):
        raise ValueError("ends with /v1. Leave that out.")
    return address


def database_url(secret: SecretStr) -> SecretStr:
    """The URL with our driver. Raises ValueError, which never repeats the password."""
    value = secret.get_secret_value()
    refuse_wrapping(value)
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in _DRIVERS:
        raise ValueError("is not a supported database.")
    try:
        urlsplit(value).port  # noqa: B018 - raises here: a driver's error would repeat the password
    except ValueError:
        raise ValueError("has no readable port, or a password with a slash or colon in it.") from None
    return SecretStr(
        f"{_DRIVERS[scheme]}://{rest if scheme.startswith('sqlite') else _asyncpg_options(rest)}"
    )


def _asyncpg_options(rest: str) -> str:
    """The rest after `postgresql://`. The options of libpq, which hosts give, get the names of asyncpg."""
    place, _, query = rest.partition("?")
    options = [("ssl" if name == "sslmode" else name, value) for name, value in parse_qsl(query)]
    kept = [option for option in options if option[0] != "channel_binding"]  # asyncpg has no such option
    if not {name for name, _ in kept} <= {"host", "port", "ssl"}:
        raise ValueError("has an option other than sslmode, host and port. Remove it.")
    return f"{place}?{urlencode(kept, safe='/')}" if kept else place


def host(value: str) -> str:
    """A name or address to listen at. Raises ValueError for a URL."""
    refuse_wrapping(value)
    if re.search(r"[/\s]", value):
        raise ValueError("is not a host. Write an address to listen at, such as 127.0.0.1 or 0.0.0.0.")
    return value


def place(value: object) -> object:
    """Read `9464` (on loopback) or `0.0.0.0:9464`; pydantic handles other types. Raises ValueError."""
    if not isinstance(value, str | int):
        return value
    address, _, port = str(value).rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError("is not a port.")
    return Place(host(address.strip("[]")) or "127.0.0.1", int(port))
