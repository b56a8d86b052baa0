"""The part of a secret that may be shown: a webhook's host, the end of a key. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

# What a person types here is kept off cards.
SECRET = frozenset({"key", "guild_token"})
# A URL that is itself a credential, as Slack's and Discord's are: only its host is shown.
HOST_ONLY = frozenset({"body.url"})
HIDDEN = "(kept off the card)"
_HOST = re.compile(r"[\w.:-]{1,253}")
_ENDING = 4
_SHORTEST = 12  # of a shorter secret, four characters would be too large a part


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
    name = path.rpartition(".")[2]
    if value is None:
        return None
    if name in SECRET:
        return ending(value)
    if path in HOST_ONLY:
        return host(value) if isinstance(value, str) else HIDDEN
    if isinstance(value, Mapping):
        return {key: redacted(each, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each, f"{path}.{number}") for number, each in enumerate(value)]
    return value
