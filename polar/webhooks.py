"""Verifies that a webhook comes from Polar and is fresh. Pure: no I/O, and time is an argument.

    WebhookError
    ├── MalformedDelivery      Polar does not send such a thing: answer 400
    │   ├── MissingHeader, DuplicateHeader
    │   └── BadId, BadTimestamp, BadBody
    └── UntrustedDelivery      answer 403
        ├── BadSignature
        └── StaleDelivery

Polar signs with Standard Webhooks, but derives the key from the secret in two ways (`Scheme`).
A secret does not tell which one, so a verifier computes both keys and accepts either.
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from standardwebhooks import Webhook

from polar.errors import PolarError

TOLERANCE = timedelta(minutes=5)  # as in Standard Webhooks and Polar's own SDK
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
PREFIX = "whsec_"

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class WebhookError(PolarError):
    """The webhook was not accepted."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((type(self).__doc__ or "").split()))


class MalformedDelivery(WebhookError):
    """The request is not one of Polar's webhooks."""


class MissingHeader(MalformedDelivery):
    """The request lacks a header that every webhook of Polar has."""

    def __init__(self, header: str) -> None:
        self.header = header
        super().__init__(f"The header {header} is missing or empty.")


class DuplicateHeader(MalformedDelivery):
    """The request has a header twice that every webhook of Polar has once."""

    def __init__(self, header: str) -> None:
        self.header = header
        super().__init__(f"The header {header} is there more than once.")


class BadId(MalformedDelivery):
    """The header webhook-id is not 1 to 255 letters, digits, hyphens and underscores."""


class BadTimestamp(MalformedDelivery):
    """The header webhook-timestamp is not a time in whole seconds since 1970."""


class BadBody(MalformedDelivery):
    """The body is not UTF-8 text."""


class UntrustedDelivery(WebhookError):
    """The request may not be from Polar."""


class BadSignature(UntrustedDelivery):
    """The signature does not fit. If this is Polar, set POLAR_WEBHOOK_SECRET to the endpoint's secret."""


class StaleDelivery(UntrustedDelivery):
    """The time in webhook-timestamp is more than five minutes from ours.
    If this is Polar, set this machine's clock right.
    """


class Scheme(StrEnum):
    """The ways to make the key from the secret as Polar shows it."""

    WHOLE = "whole"  # the secret's own bytes, prefix included; secrets made before 2026-09-08
    BASE64 = "base64"  # what follows whsec_, decoded: as Standard Webhooks has it; later secrets


@dataclass(frozen=True, slots=True)
class Delivery:
    """One verified webhook request."""

    id: str  # the same for every attempt at one event
    timestamp: datetime  # UTC, of this attempt
    body: bytes
    signature: str  # the header as sent


class Verifier:
    """Verifies the deliveries of one endpoint, with any of its secrets. Raises ValueError without one."""

    def __init__(self, *secrets: str) -> None:
        if not secrets or not all(secrets):
            raise ValueError("The webhook secret is empty.")
        self._signers = tuple(
            Webhook(key) for one in secrets for scheme in _schemes(one) if (key := derive_key(one, scheme))
        )

    def verify(self, headers: Headers, body: bytes, now: datetime) -> Delivery:
        """The delivery, if the signature fits and it was sent within five minutes of `now` (UTC).

        `headers` is pairs, or a mapping whose items() gives every occurrence. The body is the raw bytes.
        Raises MalformedDelivery or UntrustedDelivery.
        """
        id_, timestamp, signature = self._checked(headers)
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise BadBody from error
        sent = [one for one in signature.split(" ") if one.startswith("v1,")]
        if not any(_fits(signer.sign(id_, timestamp, text), sent) for signer in self._signers):
            raise BadSignature
        if abs(now - timestamp) > TOLERANCE:
            raise StaleDelivery
        return Delivery(id_, timestamp, body, signature)

    def check_headers(self, headers: Headers, now: datetime) -> None:
        """Refuse what its headers alone give away, before a body is read. Raises as `verify` does."""
        _, timestamp, _ = self._checked(headers)
        if abs(now - timestamp) > TOLERANCE:
            raise StaleDelivery

    @staticmethod
    def _checked(headers: Headers) -> tuple[str, datetime, str]:
        id_, seconds, signature = _headers(headers)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", id_):  # a dot could move text between id and body
            raise BadId
        if not re.fullmatch(r"[1-9][0-9]{0,10}", seconds):  # what is signed is the text: one form a number
            raise BadTimestamp
        return id_, datetime.fromtimestamp(int(seconds), UTC), signature


def _schemes(secret: str) -> Iterable[Scheme]:
    """Both; of a secret with padding, which only BASE64 gives, that one first."""
    return reversed(Scheme) if secret.endswith("=") else iter(Scheme)


def derive_key(secret: str, scheme: Scheme) -> bytes:
    """The HMAC key of a secret; empty when the scheme gives none.

    Decoding is strict: the library drops what is not base64, down to a key that anybody can guess.
    """
    if scheme is Scheme.WHOLE:
        return secret.encode()
    encoded = secret.removeprefix(PREFIX)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return b""  # a secret that is no base64: only the other scheme can be meant


def _headers(headers: Headers) -> list[str]:
    """The values of our three headers, each there exactly once."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    found: dict[str, str] = {}
    for name, value in pairs:
        if (name := name.lower()) in HEADERS:
            if name in found:
                raise DuplicateHeader(name)
            found[name] = value
    for name in HEADERS:
        if not found.get(name):
            raise MissingHeader(name)
    return [found[name] for name in HEADERS]


def _fits(expected: str, sent: list[str]) -> bool:
    # Escaped, because a header may hold anything and only ASCII can be compared in constant time.
    return any(
        hmac.compare_digest(expected.encode(), one.encode("ascii", "backslashreplace")) for one in sent
    )
