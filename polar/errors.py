"""The errors of a call to Polar's API, and whether the call was carried out.

    PolarError
    ├── NotSent                        certainly not done: no request reached Polar
    │   └── RateBudgetExhausted        we hold ourselves to Polar's limit and have no room now
    ├── Refused                        certainly not done: Polar said why
    │   ├── InvalidCall                our own check refused it; nothing was sent
    │   ├── RateLimited                429; try again after `retry_after` seconds
    │   ├── Unauthorized               401; the token
    │   ├── MissingScope               403; the token lacks `scopes`
    │   ├── NotFound                   404 about an object
    │   ├── UnsupportedVersionOrRoute  404 or 405 about the route: configuration, says nothing of the object
    │   ├── Redirected                 3xx: the base URL is wrong
    │   └── Conflict                   409, 410, 412; the object's state does not allow it
    └── NoAnswer                       nobody knows whether it was done

Every error has a `code` and the `facts` it is about, `plain`, a few words for people made of them
(`problem`), and `status`, Polar's HTTP status if there was one.
No I/O library here: rules and cards may import this.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

PLAIN_LIMIT = 300  # characters; a card shows it in one block
PROBLEM_LIMIT = 160  # characters of one problem, so that the second one is seen too
PROBLEMS_SHOWN = 4
PAUSE_UNSTATED = 60.0  # seconds; Polar's own windows are a minute long
PAUSE_AT_MOST = 900.0  # seconds; a proxy's absurd Retry-After must not stop us for days


class PolarError(Exception):
    """Something went wrong between us and Polar."""

    code = "polar_no_answer"
    status: int | None = None
    own_facts: tuple[str, ...] = ()

    def __init__(self, message: str = "") -> None:
        self.message = _shorten(message, PLAIN_LIMIT)  # instead of the code's own sentence
        self.plain = _shorten(problem(self.code, self.facts), PLAIN_LIMIT)
        super().__init__(self.plain)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the sentence, as plain JSON; unknown ones are left out."""
        named = {name: getattr(self, name) for name in ("message", "status", *self.own_facts)}
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in named.items() if value
        }


class NotSent(PolarError):
    """Polar could not be reached. Nothing was done."""

    code = "polar_unreachable"
    own_facts = ("why",)

    def __init__(self, why: str = "") -> None:
        self.why = _shorten(why, PLAIN_LIMIT)
        super().__init__()


class RateBudgetExhausted(NotSent):
    """Too many calls to Polar in this minute. Nothing was done; it is safe to try again in a moment."""

    code = "polar_budget"

    def __init__(self, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after  # seconds


class Refused(PolarError):
    """Polar refused this. Nothing was done."""

    code = "polar_refused"

    def __init__(
        self, message: str = "", *, status: int | None = None, kind: str = "", detail: str = ""
    ) -> None:
        self.status = status or self.status
        self.kind = kind  # Polar's name for the error, such as "RefundedAlready"
        self.detail = detail  # Polar's own words
        super().__init__(message)

    def __str__(self) -> str:
        named = " ".join(filter(None, [str(self.status or ""), self.kind]))
        return f"{named}: {self.plain}" if named else self.plain


class InvalidCall(Refused):
    """The call does not fit Polar's interface. Nothing was sent."""

    code = "polar_invalid_call"
    own_facts = ("problems",)

    def __init__(self, problems: Sequence[str]) -> None:
        # Each names its parameter.
        self.problems = [_shorten(one, PROBLEM_LIMIT) for one in problems[:PROBLEMS_SHOWN]]
        super().__init__()


class RateLimited(Refused):
    """Polar takes no more calls for now. Nothing was done; it is safe to try again later."""

    code = "polar_rate_limited"
    status = 429

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after  # seconds
        super().__init__()


class Unauthorized(Refused):
    """Polar does not accept the access token. Nothing was done."""

    code = "polar_token_refused"
    status = 401


class MissingScope(Refused):
    """The access token may not do this. Nothing was done."""

    code = "polar_scope_missing"
    own_facts = ("scopes",)
    status = 403

    def __init__(self, scopes: Sequence[str], *, kind: str = "insufficient_scope", detail: str = "") -> None:
        self.scopes = tuple(scopes)  # one of them suffices
        super().__init__(kind=kind, detail=detail)


class NotFound(Refused):
    """Polar does not have this object in this organization. Nothing was done."""

    code = "polar_not_found"
    status = 404


class UnsupportedVersionOrRoute(Refused):
    """Polar does not know this address, or no longer speaks this version of its interface. Nothing was done,
    and it says nothing about the object itself.
    """

    code = "polar_unknown_route"
    status = 404


class Redirected(Refused):
    """Polar's address sent the call elsewhere. Nothing was done. Check POLAR_API_URL."""

    code = "polar_redirected"
    own_facts = ("location",)

    def __init__(self, status: int, location: str) -> None:
        self.location = _bare_url(location)  # without its query: it may carry a secret
        super().__init__(status=status)


class Conflict(Refused):
    """The object's state in Polar does not allow this now. Nothing was done."""

    code = "polar_conflict"
    status = 409


class NoAnswer(PolarError):
    """Polar gave no clear answer. Nobody knows whether it was done: look before trying again."""

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


# -- The error as a sentence --------------------------------------------------------------------------------

NOTHING_DONE = "Nothing was done."
_LOOK_FIRST = "Nobody knows whether it was done: look before trying again."

# By code: one sentence, or a fact, the sentence when it is known, and the sentence when it is not.
# {nothing} is said of this call alone; the words before it are ours, not Polar's.
_SENTENCES: Mapping[str, str | tuple[str, str, str]] = {
    "polar_unreachable": (
        "why",
        "Polar could not be reached ({why}). {nothing}",
        "Polar could not be reached. {nothing}",
    ),
    "polar_budget": "Too many calls to Polar in this minute. {stem}; it is safe to try again in a moment.",
    "polar_refused": (
        "status",
        "Polar refused this (status {status}) without saying why. {nothing}",
        "Polar refused this. {nothing}",
    ),
    "polar_invalid_call": "Not sent: {problems}",
    "polar_rate_limited": "Polar takes no more calls for now. {stem}; it is safe to try again later.",
    "polar_token_refused": (
        "Polar does not accept the access token: it is wrong, expired, revoked, or made for the other "
        "environment (production and sandbox have separate tokens). {nothing} Make an organization access "
        "token in Polar's settings and set POLAR_ACCESS_TOKEN to it."
    ),
    "polar_scope_missing": (
        "The access token may not do this. {nothing} It lacks {scopes}. Add the scope in Polar's settings, "
        "under the organization's access tokens, or set POLAR_ACCESS_TOKEN to a token that has it."
    ),
    "polar_not_found": "Polar does not have this object in this organization. {nothing}",
    "polar_unknown_route": (
        "Polar does not know this address, or no longer speaks this version of its interface. {stem}, and it "
        "says nothing about the object itself. Check POLAR_API_URL, and whether there is a newer release of "
        "this program."
    ),
    "polar_redirected": (
        "Polar's address answered {status} and points to {location}. The call was not repeated there, so "
        "{so} Check the scheme, host and path of POLAR_API_URL."
    ),
    "polar_conflict": "The object's state in Polar does not allow this now. {nothing}",
    "polar_no_answer": (
        "status",
        f"Polar failed (status {{status}}). {_LOOK_FIRST}",
        f"Polar gave no clear answer. {_LOOK_FIRST}",
    ),
}
CODES = frozenset(_SENTENCES)


def problem(code: str, facts: Mapping[str, Any], *, nothing: str = NOTHING_DONE) -> str:
    """The sentence for a code and its facts. `nothing` says that this call was not made.

    Where Polar gave words of its own (`message`), these are the sentence.
    """
    if facts.get("message"):
        return str(facts["message"])
    sentence = _SENTENCES[code]
    if not isinstance(sentence, str):
        fact, known, unknown = sentence
        sentence = known if facts.get(fact) else unknown
    scopes = " or ".join(map(str, facts.get("scopes", ())))
    return sentence.format(
        nothing=nothing,
        stem=nothing.rstrip("."),
        so=f"{nothing[:1].lower()}{nothing[1:]}",
        why=facts.get("why"),
        status=facts.get("status", "with a redirect"),
        location=facts.get("location") or "nowhere",
        problems="; ".join(map(str, facts.get("problems", ()))),
        scopes=f"the scope {scopes}" if scopes else "a scope",
    )


# -- The error in an answer ---------------------------------------------------------------------------------

BY_STATUS: Mapping[int, type[Refused]] = {401: Unauthorized, 409: Conflict, 410: Conflict, 412: Conflict}
# For these our own sentence says more than Polar's words do.
OWN_WORDS = (Unauthorized, UnsupportedVersionOrRoute)
EMPTY_WORDS = ("", "not found", "bad request")


# Answers of a proxy that gave up waiting: the call may have gone on to Polar before (RFC 9110; nginx's 499).
_GAVE_UP = frozenset({408, 425, 499})


def error_in(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    scopes: Sequence[str] = (),
    *,
    is_write: bool = False,
) -> PolarError:
    """The error in an answer of Polar that is no 2xx.

    `headers` has lower-case names or ignores case. `now` (UTC) dates a Retry-After given as a date.
    `scopes` are the operation's own, for a 403 that does not name them. `is_write`: a refusal that is not in
    Polar's form is somebody else's, and says nothing about what Polar did.
    """
    if not 300 <= status < 500 or status in _GAVE_UP:
        return NoAnswer(status=status)
    if status < 400:
        return Redirected(status, headers.get("location", ""))
    if status == 429:
        return RateLimited(retry_after(headers.get("retry-after", ""), now))
    kind, detail = read_error(body)
    if is_write and not (kind or detail):
        return NoAnswer(status=status)
    return _refusal(status, headers, kind, detail, scopes)


def _refusal(
    status: int, headers: Mapping[str, str], kind: str, detail: str, scopes: Sequence[str]
) -> Refused:
    if kind == "insufficient_scope":
        named = re.search(r'scope="([^"]*)"', headers.get("www-authenticate", ""))
        return MissingScope(re.findall(r"[\w:]+", named[1]) if named else scopes, kind=kind, detail=detail)
    if status in (404, 405) and not kind:
        refused: type[Refused] = UnsupportedVersionOrRoute
    elif status == 404 and kind == "ResourceNotFound":
        refused = NotFound
    else:
        refused = BY_STATUS.get(status, Refused)
    message = "" if refused in OWN_WORDS or detail.lower() in EMPTY_WORDS else detail
    return refused(message, status=status, kind=kind, detail=detail)


def read_error(body: bytes) -> tuple[str, str]:
    """Polar's name for an error and its words, from either shape of body; empty where it gives none.

    `detail` is a text for a rule and a list of field errors for a validation; OAuth errors use
    `error_description`. The inputs that Polar repeats in field errors are left out.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""  # an empty or foreign body: the status alone has to do
    if not isinstance(found, dict):
        return "", ""
    kind, detail = found.get("error"), found.get("detail", found.get("error_description"))
    words = _field_errors(detail) if isinstance(detail, list) else _text(detail)
    return _shorten(_text(kind), 80), _shorten(words, PLAIN_LIMIT)


def _field_errors(details: list[Any]) -> str:
    """Field errors in one line, each said once: a union type repeats them for each of its members."""
    problems = list(dict.fromkeys(_field_error(one) for one in details if isinstance(one, dict)))
    more = [f"and {len(problems) - PROBLEMS_SHOWN} more"] if len(problems) > PROBLEMS_SHOWN else []
    return "; ".join(problems[:PROBLEMS_SHOWN] + more)


def _field_error(one: Mapping[str, Any]) -> str:
    loc = one.get("loc")
    steps = [str(step) for step in loc] if isinstance(loc, list) else []
    # ["body", "SubscriptionUpdateSeats", "seats"]: where it was sent and Polar's class mean nothing to people
    field = ".".join(step for step in steps[1:] if not re.fullmatch(r"[A-Z]\w*", step))
    words = _text(one.get("msg")).removeprefix("Value error, ")
    words = re.sub(r"<\w+\.\w+: ('[^']*')>", r"\1", words)  # <RefundReason.other: 'other'>
    return _shorten(f"{field}: {words}" if field else words, PROBLEM_LIMIT)


def retry_after(header: str, now: datetime) -> float:
    """Seconds to wait by a Retry-After header: a number or a date; a minute when it is neither."""
    try:
        seconds = float(header) if header.strip().isdecimal() else _seconds_until(header, now)
    except (ValueError, OverflowError):
        seconds = PAUSE_UNSTATED
    return min(max(seconds, 0.0), PAUSE_AT_MOST)


def _seconds_until(date: str, now: datetime) -> float:
    moment = parsedate_to_datetime(date)
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


def _bare_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return _shorten(_text(f"{parts.scheme}://{host}{parts.path}" if host else parts.path), 100)


def _text(value: object) -> str:
    """A text on one line without control or formatting characters; empty for anything else."""
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
