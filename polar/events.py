"""Polar's webhook events: a body's bytes in, a typed Event and its summary out; nothing sent is lost."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from polar import grants, models
from polar.polled import POLLED
from polar.text.words import WORDS, plain

_NAMES: tuple[tuple[str, type[models.Resource], str], ...] = (
    ("benefit", models.Benefit, "created updated"),
    ("benefit_grant", grants.BenefitGrant, "created updated cycled revoked"),
    ("checkout", models.Checkout, "created updated expired"),
    ("customer", models.Customer, "created updated deleted"),
    ("customer", models.CustomerState, "state_changed"),
    ("customer_seat", models.CustomerSeat, "assigned claimed revoked"),
    ("discount", models.Discount, "created updated deleted"),
    ("member", models.Member, "created updated deleted"),
    ("order", models.Order, "created updated paid refunded"),
    ("organization", models.Organization, "updated"),
    ("product", models.Product, "created updated"),
    ("refund", models.Refund, "created updated"),
    (
        "subscription",
        models.Subscription,
        "created updated active canceled uncanceled cycled revoked past_due paused resumed migrated",
    ),
)

RESOURCES: dict[str, type[models.Resource]] = {
    f"{noun}.{verb}": model for noun, model, verbs in _NAMES for verb in verbs.split()
}
"""The model of `data` by event type: the 41 of contract 2026-10 and `subscription.migrated`."""

# Ties between two events of one microsecond: the further state wins.
_RANKS: dict[str, dict[str, int]] = {
    "order": {"draft": 0, "pending": 1, "paid": 2, "partially_refunded": 3, "refunded": 3, "void": 3},
    "refund": {"pending": 0, "succeeded": 1, "failed": 2, "canceled": 2},
    "checkout": {"open": 0, "expired": 1, "confirmed": 1, "succeeded": 2, "failed": 2},
}

# States nothing comes back from. Not among them: an order `refunded` (the bank may return the refund) or
# `void` (Polar un-voids it when the payment arrives after all).
_TERMINAL_STATUSES: dict[str, frozenset[str]] = {
    "checkout": frozenset({"succeeded", "failed", "expired"}),
    "refund": frozenset({"failed", "canceled"}),
}
_TERMINAL_DATES: dict[str, str] = {
    "customer": "deleted_at",
    "customer_state": "deleted_at",
    "subscription": "ended_at",
}
_TERMINAL_TYPES = frozenset({"customer.deleted", "discount.deleted", "member.deleted"})

SUMMARY_LIMIT = 200
VALUE_LIMIT = 100
SHOWN = 4
_OPTIONAL = re.compile(r"\[([^\]]*\{(\w+)\}[^\]]*)\]")  # a part in brackets
_TOLD = tomllib.loads((Path(__file__).parent / "text/sentences.toml").read_text("utf-8"))

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_TIMESTAMP: TypeAdapter[datetime] = TypeAdapter(models.UtcDatetime)
_LONGEST_NAME = 255
# Of one list. A rule may compare each item with each other one: for more it would take seconds.
MOST_ITEMS = 250
# A number beyond 1.8e308, which the parser takes for Infinity, has such an exponent or many digits. A pattern
# for each letter: one that begins with a letter is searched for three times as fast.
_LARGE_EXPONENTS = (re.compile(rb"e\+?[0-9]{3}"), re.compile(rb"E\+?[0-9]{3}"))
_BEFORE_A_NUMBER = b" :,[-\t\r\n"
_MANY_DIGITS = b"0" * 200
_AS_DIGITS = bytes(ord("0") if chr(code).isdigit() else ord(" ") for code in range(128)) + b" " * 128


class NotAnEvent(ValueError):
    """The body is not a Polar event."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an event is about; `kind` is Polar's noun.

    `customer_state` is a kind of its own beside `customer`: both carry the customer's id, but a snapshot of
    the state must not be replaced by an update of the name.
    """

    kind: str
    id: str


@dataclass(frozen=True, slots=True, order=True)
class OrderKey:
    """Orders the events of one subject: an event replaces the stored state when its key is greater.

    A terminal state beats any other, then the payload's time counts, then the rank breaks ties. An event
    without a time comes before all others.
    """

    terminal: bool
    timestamp: datetime
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change that Polar reports.

    `timestamp` is the payload's own (UTC), the same on every delivery of the change; None when it is missing
    or unreadable. `raw` is the whole parsed payload, not to be modified. `resource` is `raw["data"]` as its
    model. `problem` says why there is no resource, None when there is one. `is_cut`: a list was longer than
    MOST_ITEMS, and `raw` has only its beginning.
    """

    type: str
    timestamp: datetime | None
    raw: dict[str, Any]
    resource: models.Resource | None = None
    problem: str | None = None
    is_cut: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """The payload's `data`; empty when it is no object."""
        data = self.raw.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def subject(self) -> Subject | None:
        """The object that the event is about; None when the data has no id."""
        identifier = _name(self.data.get("id"))
        return None if identifier is None else Subject(noun(self.type), identifier)

    @property
    def fact_key(self) -> str | None:
        """`type|data.id|timestamp`: names the change itself.

        Two endpoints report one change under two webhook ids, but with this same key. None
        when id or timestamp is missing.
        """
        if self.subject is None or self.timestamp is None:
            return None
        return f"{self.type}|{self.subject.id}|{self.timestamp.isoformat()}"

    @property
    def related_ids(self) -> frozenset[str]:
        """The ids of the subject and of the objects directly related to it.

        For recognising the echo of our own call, so what a customer or merchant may fill in freely
        (metadata, custom fields) is left out, and so is the organization, which everything relates to.
        """
        found = set(_own_ids(self.data))
        for part in _parts(self.data):
            found.update(_own_ids(part))
            properties = part.get("properties")
            if isinstance(properties, dict):
                found.update(_own_ids(properties))
        return frozenset(found)

    @property
    def order_key(self) -> OrderKey:
        """The place of the event among those of its subject."""
        kind = self.subject.kind if self.subject else ""
        value = self.data.get("status")
        status = value if isinstance(value, str) else ""
        terminal = (
            self.type in _TERMINAL_TYPES
            or status in _TERMINAL_STATUSES.get(kind, ())
            or self.data.get(_TERMINAL_DATES.get(kind, "")) is not None
        )
        return OrderKey(terminal, self.timestamp or _EARLIEST, _RANKS.get(kind, {}).get(status, 0))


def noun(event_type: str) -> str:
    """The kind of subject that events of a type are about."""
    return "customer_state" if event_type == "customer.state_changed" else event_type.partition(".")[0]


def parse(body: bytes) -> Event:
    """Read a webhook's body.

    The class is chosen by `type` before validating: trying one after the other costs fifty times as much.
    Raises NotAnEvent when the body is no JSON object with a usable `type`; whatever else is wrong is the
    `problem` of the event.
    """
    raw = _json_object(body)
    event_type = _type(raw)
    timestamp = _timestamp(raw.get("timestamp"))
    if body.count(b",") >= MOST_ITEMS and (long := _shortened(raw)):
        place, count = long
        problem = f"{place} has {count:,} items. At most {MOST_ITEMS} are looked at."
        return Event(type=event_type, timestamp=timestamp, raw=raw, problem=problem, is_cut=True)
    model = _model(event_type, raw.get("data"))
    if model is None:
        problem = "This version does not know the type."
        return Event(type=event_type, timestamp=timestamp, raw=raw, problem=problem)
    try:
        resource = model.model_validate(raw.get("data"))
    except ValidationError as error:
        return Event(type=event_type, timestamp=timestamp, raw=raw, problem=_misfit(error))
    return Event(type=event_type, timestamp=timestamp, raw=raw, resource=resource)


def _shortened(raw: dict[str, Any]) -> tuple[str, int] | None:
    """Cut each list that is too long; the place and length of one of them, None if there is none."""
    found = None
    left: list[tuple[str, Any]] = [("", raw)]
    while left:
        place, value = left.pop()
        if isinstance(value, list) and len(value) > MOST_ITEMS:
            found = place, len(value)
            del value[MOST_ITEMS:]
        if isinstance(value, dict):
            left += ((f"{place}.{name}".lstrip(".")[:200], each) for name, each in value.items())
        elif isinstance(value, list):
            left += ((place, each) for each in value)
    return found


def read_type(body: bytes) -> str:
    """The `type` of a webhook's body: enough to store it. Raises NotAnEvent as `parse` does."""
    return _type(_json_object(body))


def _type(raw: dict[str, Any]) -> str:
    found = _name(raw.get("type"))
    if found is None:
        raise NotAnEvent(
            f"The body has no `type` that is a printable text of 1 to {_LONGEST_NAME} characters."
        )
    return found


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise NotAnEvent(_refusal(body, error)) from error
    if not isinstance(value, dict):
        raise NotAnEvent("The body is JSON, but not an object.")
    if not _may_be_too_large(body):
        return value
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise NotAnEvent("The body holds a number too large to represent.") from error
    return value


def _may_be_too_large(body: bytes) -> bool:
    """False when no number in it can be; to walk through each body would take longer than to parse it."""
    if _MANY_DIGITS in body.translate(_AS_DIGITS):
        return True
    for found in (one for exponent in _LARGE_EXPONENTS for one in exponent.finditer(body)):
        digits = body[max(0, found.start() - len(_MANY_DIGITS)) : found.start()]
        before = digits.rstrip(b"0123456789.")
        if (
            len(before) < len(digits) and before[-1:] in _BEFORE_A_NUMBER
        ):  # else it is in a text, as in most ids
            return True
    return False


def _refusal(body: bytes, error: ValueError) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "The body is not UTF-8."
    if "recursion limit" in str(error):
        return "The body is nested too deep."
    return f"The body is not JSON: {error}."


def _name(value: Any) -> str | None:
    """The value when it can name something: a database refuses NUL, and a log should not be steered."""
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable():
        return value
    return None


def _timestamp(value: Any) -> datetime | None:
    try:
        return _TIMESTAMP.validate_python(value) if isinstance(value, str) else None
    except ValidationError:
        return None


def _model(event_type: str, data: Any) -> type[models.Resource] | None:
    if event_type in POLLED:
        return POLLED[event_type].model
    model = RESOURCES.get(event_type)
    if model is not grants.BenefitGrant or not isinstance(data, dict):
        return model
    benefit = data.get("benefit")
    benefit_type = benefit.get("type") if isinstance(benefit, dict) else None
    return grants.GRANTS.get(benefit_type, model) if isinstance(benefit_type, str) else model


def _misfit(error: ValidationError) -> str:
    """Name the first field that does not fit, without its value: a customer may have typed it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(step) for step in ("data", *first["loc"]))
    return f"The data does not fit this version: {field}: {first['msg']}."


def _own_ids(part: Mapping[str, Any]) -> Iterator[str]:
    for key, value in part.items():
        is_id = key == "id" or (key.endswith("_id") and key != "organization_id")
        if is_id and (identifier := _name(value)):
            yield identifier


def _parts(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The objects directly inside, alone or in a list, but not the free-form ones."""
    for key, value in data.items():
        if key.endswith("metadata") or key == "custom_field_data":
            continue
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                yield item


# --- The words about an event -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """One labelled value of a card; `value` is plain text of at most 100 characters, never empty."""

    label: str
    value: str


def summarise(event: Event) -> str:
    """One plain-text line of at most 200 characters on what happened; not escaped for Slack."""
    if event.resource is None:
        if event.type in RESOURCES:
            return f"Polar sent `{event.type}` with data that this version does not understand"
        return f"Polar sent `{plain(event.type, 120)}`, which this version does not know"
    if event.type in POLLED:
        return plain(POLLED[event.type].sentence(event.resource), SUMMARY_LIMIT)
    said, sentence = WORDS[noun(event.type)](event.resource), _TOLD["sentences"][event.type]
    if not isinstance(sentence, str):
        name, with_it, without = sentence
        sentence = with_it if said[name] else without
    shown = _OPTIONAL.sub(lambda part: part[1] if said[part[2]] else "", sentence)
    return plain(shown.format_map(said), SUMMARY_LIMIT)


def facts(event: Event) -> tuple[Fact, ...]:
    """At most four facts: who, how much, for what, and the one telling detail; not escaped for Slack.

    In the order a person wants them on a phone.
    """
    if event.resource is None:
        found = [("Event", event.type), ("Problem", event.problem)]
    elif event.type in POLLED:
        found = list(POLLED[event.type].facts(event.resource))
    else:
        kind = noun(event.type)
        said = WORDS[kind](event.resource)
        told = _TOLD["facts"].get(event.type) or _TOLD["facts"][kind]
        found = [(label, said[name]) for label, name in told.items()]
    plainly = ((label, plain(value, VALUE_LIMIT)) for label, value in found)
    return tuple(Fact(label, value) for label, value in plainly if value)[:SHOWN]
