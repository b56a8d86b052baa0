"""One request to the stand-in's Polar, and checks of what it brought."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.demo.polar.errors import invalid
from bot.demo.polar.routes import Operation
from bot.demo.polar.shop import Row, Shop

_MISSING = object()


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


def check_uuid(value: str, *where: str) -> None:
    """Refuse with 422 what is no UUID. Polar's words name the first wrong character."""
    try:
        uuid.UUID(value)
    except ValueError:
        at = next((i for i, c in enumerate(value) if c not in "0123456789abcdefABCDEF-"), None)
        error = "invalid length" if at is None else f"invalid character: found `{value[at]}` at {at + 1}"
        message = f"Input should be a valid UUID, {error}"
        raise invalid(problem("uuid_parsing", where, message, value, error=error)) from None


def uuids(body: Row, *names: str) -> None:
    """Refuse with 422 a field that is no UUID; an absent or null field passes."""
    for name in names:
        if body.get(name) is not None:
            check_uuid(str(body[name]), "body", name)


def required(body: Row, *names: str) -> None:
    """Refuse with 422 if a field is missing."""
    missing = [
        problem("missing", ("body", name), "Field required", body) for name in names if name not in body
    ]
    if missing:
        raise invalid(*missing)


def one_of(body: Row, name: str, *choices: str) -> None:
    """Refuse with 422 a value outside the choices; an absent or null field passes."""
    value = body.get(name)
    if value is None or value in choices:
        return
    expected = ", ".join(f"'{each}'" for each in choices[:-1]) + f" or '{choices[-1]}'"
    raise invalid(problem("enum", ("body", name), f"Input should be {expected}", value, expected=expected))


def integer(body: Row, name: str, *, above: int | None = None, null: bool = False) -> None:
    """Refuse with 422 what is no integer, or not greater than `above`; an absent field passes."""
    value = body.get(name, _MISSING)
    if value is _MISSING or (null and value is None):
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(problem("int_type", ("body", name), "Input should be a valid integer", value))
    if above is not None and value <= above:
        message = f"Input should be greater than {above}"
        raise invalid(problem("greater_than", ("body", name), message, value, gt=above))


def boolean(body: Row, name: str) -> None:
    """Refuse with 422 what is neither true nor false; an absent field passes."""
    if name in body and not isinstance(body[name], bool):
        raise invalid(problem("bool_parsing", ("body", name), "Input should be a valid boolean", body[name]))


def text(body: Row, name: str) -> None:
    """Refuse with 422 what is no text; an absent or null field passes."""
    if not isinstance(body.get(name), str | None):
        raise invalid(problem("string_type", ("body", name), "Input should be a valid string", body[name]))


def moment(body: Row, name: str) -> None:
    """Refuse with 422 what is no date and time; an absent or null field passes."""
    value = body.get(name)
    if value is None:
        return
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        message = "Input should be a valid datetime"
        raise invalid(problem("datetime_from_date_parsing", ("body", name), message, value)) from None


def metadata(body: Row) -> None:
    """Polar's limits: 50 keys, keys of 40 characters, values of 500 or plain numbers."""
    given: Any = body.get("metadata", {})
    if not isinstance(given, dict) or len(given) > 50:
        raise invalid(problem("too_long", ("body", "metadata"), "At most 50 keys are allowed", given))
    for name, value in given.items():
        plain = isinstance(value, int | float | bool) or (isinstance(value, str) and 1 <= len(value) <= 500)
        if not 1 <= len(name) <= 40 or not plain:
            raise invalid(problem("value_error", ("body", "metadata", name), "Metadata is not valid", value))
