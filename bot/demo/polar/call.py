"""A request to the stand-in's Polar: the operation at its path, slash for slash, and checks of its parts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StrictInt, TypeAdapter, ValidationError, create_model
from pydantic_core import PydanticCustomError

from bot.demo.polar.errors import invalid
from bot.demo.polar.shop import Row, Shop

RECORDED = Path(__file__).parent.parent / "recorded"


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of Polar's OpenAPI document: id, method, path, scopes (any of them will do), query names."""

    id: str
    method: str
    path: str
    scopes: tuple[str, ...]
    query: frozenset[str]


def load_operations() -> tuple[Operation, ...]:
    """All 186 operations of the 2026-10 document, in its order."""
    lines = (RECORDED / "operations.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(
        Operation(each["id"], each["method"], each["path"], tuple(each["scopes"]), frozenset(each["query"]))
        for each in map(json.loads, lines)
    )


@dataclass(frozen=True, slots=True)
class Match:
    """The find at a path: the operation and its parameters, or else the methods that are allowed there."""

    operation: Operation | None
    parameters: dict[str, str]
    allowed: tuple[str, ...] = ()


class Routes:
    """Finds operations by their paths; words come before parameters."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._patterns = [
            (each, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", each.path)))
            for each in sorted(operations, key=lambda each: each.path)  # "{" comes after every letter
        ]

    def find(self, method: str, path: str) -> Match | None:
        """The operation at the path, or the methods allowed there; None if there is no such path."""
        allowed: list[str] = []
        for operation, pattern in self._patterns:
            if found := pattern.fullmatch(path):
                if operation.method == method:
                    return Match(operation, found.groupdict())
                allowed.append(operation.method)
        return Match(None, {}, tuple(allowed)) if allowed else None

    def other_slash(self, method: str, path: str) -> str | None:
        """The same path with, or without, its last slash, if an operation lives there."""
        other = path[:-1] if path.endswith("/") else path + "/"
        return other if self.find(method, other) else None


@dataclass(frozen=True, slots=True)
class Call:
    """The argument of a handler: the state, the operation, and the request's parts."""

    shop: Shop
    operation: Operation
    path: Mapping[str, str]
    query: tuple[tuple[str, str], ...]
    body: Row

    @property
    def id(self) -> str:
        """The object that the path names."""
        return next(iter(self.path.values()))


def problem(kind: str, where: tuple[str, ...], message: str, value: object, **context: object) -> Row:
    """One entry of a validation error's `detail`, as pydantic writes it."""
    entry: Row = {"type": kind, "loc": list(where), "msg": message, "input": value}
    return {**entry, "ctx": context} if context else entry


def check(kind: TypeAdapter[Any], value: object, *where: str) -> Any:
    """The value as this kind; refuses with 422, in pydantic's words, what is none."""
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise invalid(*_problems(error, *where)) from None


def check_body(body: Row, needs: str = "") -> None:
    """Refuse with 422 what is missing of `needs`, and every field that is not of its kind."""
    missing = [name for name in needs.split() if name not in body]
    wrong = [problem("missing", ("body", name), "Field required", body) for name in missing]
    try:
        _BODY.validate_python(body)
    except ValidationError as error:
        wrong += _problems(error, "body")
    if wrong:
        raise invalid(*wrong)


def _problems(error: ValidationError, *where: str) -> list[Row]:
    return [{**each, "loc": [*where, *each["loc"]]} for each in error.errors(include_url=False)]


def _uuid(value: str) -> str:
    """Refuses what is no UUID. Polar's words name the first wrong character, counted from 1."""
    try:
        UUID(value)
    except ValueError:
        at = next((i for i, c in enumerate(value) if c not in "0123456789abcdefABCDEF-"), None)
        error = "invalid length" if at is None else f"invalid character: found `{value[at]}` at {at + 1}"
        message = "Input should be a valid UUID, {error}"
        raise PydanticCustomError("uuid_parsing", message, {"error": error}) from None
    return value


def _one_of(choices: str) -> Any:
    enum: Any = StrEnum
    return enum("Choice", {each: each for each in choices.split()}) | None


_UUID: Any = Annotated[str, AfterValidator(_uuid)]
_POSITIVE: Any = Annotated[int, Field(strict=True, gt=0)]
_PLAIN = Annotated[str, Field(min_length=1, max_length=500)] | int | float | bool
_KINDS: dict[str, Any] = {
    **dict.fromkeys(("order_id", "subscription_id", "member_id", "customer_id", "discount_id"), _UUID | None),
    **dict.fromkeys(("email", "name", "external_id", "billing_name", "code"), str | None),
    **dict.fromkeys(("limit_activations", "limit_usage", "max_redemptions", "seats"), _POSITIVE | None),
    **dict.fromkeys(("amount", "basis_points"), _POSITIVE),
    **dict.fromkeys(("enabled", "is_archived", "revoke_benefits"), StrictBool),
    **dict.fromkeys(("cancel_at_period_end", "pause_at_period_end"), StrictBool),
    "customer_cancellation_reason": _one_of(
        "customer_service low_quality missing_features switched_service "
        "too_complex too_expensive unused other"
    ),
    "duration": _one_of("once forever repeating"),
    "expires_at": datetime | None,
    "format": _one_of("raw discord slack"),
    "metadata": Annotated[
        dict[Annotated[str, Field(min_length=1, max_length=40)], _PLAIN], Field(max_length=50)
    ],
    "payment_processor": _one_of("stripe"),
    "reason": _one_of(
        "duplicate fraudulent customer_request service_disruption satisfaction_guarantee other"
    ),
    "status": _one_of("granted revoked disabled"),
    "usage": StrictInt,
}
"""The fields of the writes that are simulated; a name means the same everywhere."""

_FIELDS: dict[str, Any] = {name: (kind, None) for name, kind in _KINDS.items()}
_BODY = TypeAdapter[Any](create_model("Body", **_FIELDS))
ID = TypeAdapter[Any](_UUID)
