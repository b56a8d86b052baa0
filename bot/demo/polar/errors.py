"""Answers of the stand-in: one class for an answer, and one exception for each way Polar says no.

    Refusal                       carries the answer; raised anywhere below the front door
     |- not_found()               404 ResourceNotFound: no such object (or not any more)
     |- rule()                    400, 403, 409, 410, 422: a rule of Polar's, detail is a string
     |- invalid()                 422: a value of the request, detail is a list
     |- not_simulated()           501: Polar knows this operation, the stand-in does not pretend to

The bodies are those recorded from Polar's own server (see `recorded/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NO_BODY = object()
"""Marks an answer without a body (204, 307, 429); None would be the JSON value null."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the API: HTTP status, JSON value or NO_BODY, extra headers."""

    status: int
    body: Any = NO_BODY
    headers: Mapping[str, str] = field(default_factory=dict)

    def in_short(self) -> str:
        """In a few words, for the panel of the demo."""
        body = self.body
        if body is NO_BODY or body is None:
            return ""
        if isinstance(body, list):
            return f"{len(body)} found"
        if "pagination" in body:
            return f"{body['pagination']['total_count']} found"
        if self.status < 400:
            return str(body.get("status") or body.get("name") or body.get("id") or "")
        problem = body.get("detail") or body.get("error_description")
        if isinstance(problem, list):
            problem = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem)
        return f"{body.get('error', 'error')}: {problem}"[:200]


class Refusal(Exception):
    """Polar refuses the request; the answer says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"refused with {answer.status}")
        self.answer = answer


NO_ROUTE = Answer(404, {"detail": "Not Found"})
"""Wrong path or unknown API version. It has no `error` key: that tells it from a missing object."""

UNAUTHORIZED = Answer(401, {"error": "Unauthorized", "detail": "Unauthorized"})

_BAD_TOKEN = "The access token provided is expired, revoked, malformed, or invalid for other reasons."  # noqa: S105  # a sentence
BAD_TOKEN = Answer(
    401,
    {"error": "invalid_token", "error_description": _BAD_TOKEN},
    {"WWW-Authenticate": f'Bearer realm="polar", error="invalid_token", error_description="{_BAD_TOKEN}"'},
)

_TOO_LITTLE = "The request requires higher privileges than provided by the access token."


def insufficient_scope(needed: tuple[str, ...]) -> Answer:
    """403 with the scopes, any of which would do, in WWW-Authenticate."""
    header = (
        f'Bearer realm="polar", scope="{" ".join(needed)}", '
        f'error="insufficient_scope", error_description="{_TOO_LITTLE}"'
    )
    return Answer(
        403, {"error": "insufficient_scope", "error_description": _TOO_LITTLE}, {"WWW-Authenticate": header}
    )


def rate_limited(seconds: int) -> Answer:
    """429: empty body, the delay in seconds in retry-after; the request was not executed."""
    return Answer(429, NO_BODY, {"retry-after": str(seconds)})


def not_found(detail: str = "Not found") -> Refusal:
    """404: the object does not exist, or does not any more."""
    return Refusal(Answer(404, {"error": "ResourceNotFound", "detail": detail}))


def rule(status: int, error: str, detail: str) -> Refusal:
    """A rule of Polar's says no; `error` is the class name, `detail` a sentence."""
    return Refusal(Answer(status, {"error": error, "detail": detail}))


def invalid(*problems: dict[str, Any]) -> Refusal:
    """422 of the request's schema: the types are checked before any rule is asked."""
    return Refusal(Answer(422, {"error": "RequestValidationError", "detail": list(problems)}))


def unacceptable(field_name: str, message: str, value: object) -> Refusal:
    """422 of a rule that is told like a schema error (PolarRequestValidationError)."""
    problem = {"type": "value_error", "loc": ["body", field_name], "msg": message, "input": value}
    return Refusal(Answer(422, {"error": "PolarRequestValidationError", "detail": [problem]}))


def not_simulated(what: str) -> Refusal:
    """501: the stand-in never pretends. Polar itself has no such answer."""
    detail = f"The demo's Polar does not simulate {what}. Nothing was changed."
    return Refusal(Answer(501, {"error": "NotSimulated", "detail": detail}))
