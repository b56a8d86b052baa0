"""The part of a secret that may be shown: a webhook's host, the end of a key. Pure.

A field of Polar's contract is secret by its name. `tests/unit/test_secret_fields.py` looks at all of them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

# Keys, tokens, secrets and one-time codes. Polar's `display_key` is cut already, and a time is no secret.
_SECRET = re.compile(r"(?:.*_)?key|.*(?:secret|token|password).*|codes|provisioning_uri", re.IGNORECASE)
_SHOWN = re.compile(r"display_key|.*_at", re.IGNORECASE)
# A URL that is itself a credential, as Slack's and Discord's are: only its host is shown.
HOST_ONLY = frozenset({"body.url"})
_OPENS = frozenset({"customer_portal_url", "invite_url"})
HIDDEN = "(kept off the card)"
_HOST = re.compile(r"[\w.:-]{1,253}")
_ENDING = 4
_SHORTEST = 12  # of a shorter secret, four characters would be too large a part
MASK = "[secret]"
# Tokens of Slack and Polar, and passwords in addresses: hidden wherever they stand.
_CREDENTIAL = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|polar_[a-z]+_\w+|whsec_[\w+/=-]+|(?<=://)[^\s/@]+:[^\s/@]+(?=@)"
    r"|Bearer\s+\S+|v0=[0-9a-f]{16,}"
)


@lru_cache(maxsize=4_096)
def is_secret(name: str) -> bool:
    """Tell whether a field of this name holds what gives access."""
    return _SECRET.fullmatch(name) is not None and _SHOWN.fullmatch(name) is None


def masked(text: str) -> str:
    """A text without the tokens and passwords in it."""
    return _CREDENTIAL.sub(MASK, text)


def host(url: str) -> str:
    """The host of a URL whose path is a credential (Slack's and Discord's incoming webhooks are such)."""
    try:
        found = urlsplit(url.strip()).hostname or ""
    except ValueError:
        found = ""
    return found if _HOST.fullmatch(found) else HIDDEN


def ending(secret: Any) -> str:
    """As much of a secret as tells it from others: "…" and its last four characters."""
    return f"…{secret[-_ENDING:]}" if isinstance(secret, str) and len(secret) >= _SHORTEST else "…"


def redacted(value: Any, path: str) -> Any:
    """A part of a call ("path", "query", "body") without its secrets, however deep they are."""
    if path in HOST_ONLY and value is not None:
        return host(value) if isinstance(value, str) else HIDDEN
    name = path.rpartition(".")[2]
    if is_secret(name):
        return without_secrets(value, name)
    if isinstance(value, Mapping):
        return {key: redacted(each, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each, f"{path}.{number}") for number, each in enumerate(value)]
    return without_secrets(value, name)


def without_secrets(value: Any, name: str = "") -> Any:
    """Data of Polar's without what gives access; all else stays as it is. `name` is that of its field."""
    if value is None:
        return None
    if is_secret(name):
        return ending(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each, name) for each in value]
    if not isinstance(value, str):
        return value
    return host(value) if name in _OPENS else masked(value)


def public(value: Any, name: str = "") -> Any:
    """Data of Polar's for every reader: without secrets, and of each link only its host."""
    if is_secret(name):
        return without_secrets(value, name)
    if isinstance(value, Mapping):
        return {key: public(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [public(each, name) for each in value]
    return host(value) if isinstance(value, str) and name.endswith("url") else without_secrets(value, name)
