"""The one answer to "was it done": a call held against what Polar shows of its object. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from polar.catalog import Call, Operation, operations
from polar.errors import NotFound

MARK = "polar_approvals"  # the name of our own mark in the metadata of what we create
# The items that are read of a list. A longer one is known in part only, and no routine case.
MOST_LISTED = 1_000
_MOST_METADATA = 50  # Polar's own limit of pairs
# Polar's clock and ours may differ this much.
_SKEW = timedelta(minutes=1)

Shown = Mapping[str, Any]


class WasDone(StrEnum):
    """The answer to whether a call was carried out."""

    DONE = "done"
    NOT_THERE = "not there"  # not carried out so far; it may still be on its way
    CANNOT_TELL = "cannot tell"  # what Polar shows would look the same either way


_D = WasDone


def was_done(call: Call, found: Any, since: datetime | None = None) -> WasDone:
    """Tell whether a call was carried out. `found` is the answer of its verifying read (all items of a list),
    or the NotFound that it raised. `since` is when it was sent: what is older and bears no mark is not ours.
    """
    operation = operations()[call.operation]
    if isinstance(found, NotFound):
        return _D.DONE if operation.method == "DELETE" else _D.CANNOT_TELL
    if call.operation in _OWN:
        return _OWN[call.operation](call, found)
    if creates(operation):
        return _created(call, found, since)
    listed = operation.verify is not None and operations()[operation.verify].paginated
    if operation.method == "DELETE":
        return _unlisted(found) if listed else _gone(found)
    own = _by_id(call, found) if listed else found
    return _as_sent(call, own) if isinstance(own, Mapping) else _D.CANNOT_TELL


def can_be_told(call: Call) -> bool:
    """True if a read shows whether a call was carried out."""
    return call.operation not in _NEVER and operations()[call.operation].verify_call(call) is not None


def alike(call: Call, found: Any) -> list[Shown]:
    """The objects of a list that are like what a call creates, whoever created them."""
    names = [name for name in _LIKE.get(call.operation, ()) if (call.body or {}).get(name) is not None]
    sent = {name: (call.body or {})[name] for name in names}
    return [one for one in _listed(found) or () if _stands(one) and names and _agree(sent, one)]


# --- The mark ---------------------------------------------------------------------------------------------


def creates(operation: Operation) -> bool:
    """True if an operation adds an object to a list."""
    return operation.method == "POST" and (":create" in operation.id or operation.id == _SEAT)


def marked(call: Call, mark: str) -> Call:
    """The call with our mark in the metadata of what it creates, where Polar takes one and it has none."""
    operation, body = operations()[call.operation], call.body
    shapes = operation.body.variants if operation.body else ()
    if body is None or not creates(operation) or not any("metadata" in one.fields for one in shapes):
        return call
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, Mapping) or MARK in metadata or len(metadata) >= _MOST_METADATA:
        return call
    return replace(call, body=body | {"metadata": {**metadata, MARK: mark}})


def unmarked(call: Call) -> Call:
    """The call without our mark."""
    body = dict(call.body or {})
    if mark_of(body) is None:
        return call
    rest = {name: value for name, value in body.pop("metadata").items() if name != MARK}
    return replace(call, body=body | ({"metadata": rest} if rest else {}))


def mark_of(body: Mapping[str, Any], name: str = "metadata") -> Any:
    """Our mark in a body or in an object; None without one."""
    metadata = body.get(name)
    return metadata.get(MARK) if isinstance(metadata, Mapping) else None


# --- What is created, changed, deleted --------------------------------------------------------------------


def _created(call: Call, found: Any, since: datetime | None) -> WasDone:
    """Look for our own object: by our mark, else by what was sent."""
    listed, body = _listed(found), call.body or {}
    if listed is None:
        return _D.CANNOT_TELL
    standing, mark = [one for one in listed if _stands(one)], mark_of(body)
    unlisted = len(listed) >= MOST_LISTED or call.operation in _LISTED_LATER
    absent = _D.CANNOT_TELL if unlisted else _D.NOT_THERE
    if mark is not None and all("metadata" in one or "seat_metadata" in one for one in standing):
        ours = [one for one in standing if mark in (mark_of(one), mark_of(one, "seat_metadata"))]
        if not ours:
            return absent
        # The same mark on something else: of the other calls of its rule, or changed since.
        return _D.DONE if any(_agree(body, one) is not False for one in ours) else _D.CANNOT_TELL
    agree = {_agree(body, one) for one in standing if _since(one, since)}
    return _D.DONE if True in agree else _D.CANNOT_TELL if None in agree else absent


def _seated(call: Call, found: Any) -> WasDone:
    """Look for the holder of a seat, who is named in one of several ways."""
    seats, sent = _listed(found, "seats"), call.body or {}
    if seats is None:
        return _D.CANNOT_TELL
    held = [one for one in seats if one.get("status") in ("pending", "claimed")]
    if any(_holds(sent, one) for one in held):
        return _D.DONE
    named = any(sent.get(name) for name in ("email", "member_id", "customer_id"))
    shown = mark_of(sent) is not None and all("seat_metadata" in one for one in held)
    return _D.NOT_THERE if named or shown else _D.CANNOT_TELL


def _holds(sent: Shown, seat: Shown) -> bool:
    mark, member = mark_of(sent), seat.get("member") or {}
    if mark is not None and mark_of(seat, "seat_metadata") == mark:
        return True
    mails = (seat.get("email"), seat.get("customer_email"), member.get("email"))
    by_id = any(sent.get(name) and sent[name] == seat.get(name) for name in ("member_id", "customer_id"))
    return by_id or str(sent.get("email") or "").lower() in {str(mail).lower() for mail in mails if mail}


def _gone(found: Any) -> WasDone:
    if not isinstance(found, Mapping):
        return _D.CANNOT_TELL
    return _D.DONE if found.get("deleted_at") or found.get("is_deleted") is True else _D.NOT_THERE


def _unlisted(found: Any) -> WasDone:
    """Look for what was asked for by its id in a list: a file."""
    listed = _get(found, "items")
    return _told(listed == [], found, sure=isinstance(listed, list) and None not in listed)


def _as_sent(call: Call, shown: Shown) -> WasDone:
    """Compare every field that was sent. One that the object does not show cannot be told."""
    sent = {_SHOWN_AS.get(name, name): value for name, value in (call.body or {}).items() if name not in _HOW}
    agree = {_equal(value, shown[name]) if name in shown else None for name, value in sent.items()}
    if not agree or (False not in agree and None in agree):
        return _D.CANNOT_TELL
    return _D.NOT_THERE if False in agree else _D.DONE


# --- Operations with an object of their own kind ----------------------------------------------------------


def _subscription(call: Call, found: Any) -> WasDone:
    """Tell if a subscription is as a change leaves it."""
    if not isinstance(found, Mapping):
        return _D.CANNOT_TELL
    stands = _stands_as_asked(call.body or {}, found)
    if stands is not None:
        done, sure = stands
        return _told(done, found, sure=sure)
    later = found.get("pending_update")
    if isinstance(later, Mapping) and _as_sent(call, {**found, **later}) is _D.DONE:
        return _D.DONE
    return _as_sent(call, found)


def _stands_as_asked(sent: Shown, found: Shown) -> tuple[bool, bool] | None:
    """Tell if a subscription is in the state that was asked for, and if that is sure; None for fields."""
    status, paused = found.get("status"), found.get("paused_at") is not None
    match sent:
        case {"revoke": True}:
            return status == "canceled" and found.get("ended_at") is not None, status is not None
        case {"cancel_at_period_end": True}:
            return found.get("cancel_at_period_end") is True or status == "canceled", True
        case {"cancel_at_period_end": False}:
            kept = found.get("cancel_at_period_end") is False
            return kept, not kept or status in ("active", "trialing")
        case {"pause_at_period_end": bool(asked)}:
            return found.get("pause_at_period_end") is asked, not paused and status != "canceled"
        case {"resume": True}:
            return status == "active" and not paused, status in ("active", "paused")
        case {"trial_end": "now"}:
            return False, status == "trialing"
    return None


def _told(done: bool, found: Any, *, sure: bool = True) -> WasDone:
    if not sure or not found:
        return _D.CANNOT_TELL
    return _D.DONE if done else _D.NOT_THERE


def _ended(call: Call, found: Any) -> WasDone:  # noqa: ARG001 - a table has one signature
    ended = _get(found, "status") == "canceled" and _get(found, "ended_at") is not None
    return _told(ended, found, sure=_get(found, "status") is not None)


def _invoice(call: Call, found: Any) -> WasDone:  # noqa: ARG001 - see _ended
    generated = _get(found, "is_invoice_generated")
    return _told(generated is True, found, sure=generated is not None)


def _charged(call: Call, found: Any) -> WasDone:  # noqa: ARG001 - see _ended
    status = _get(found, "status")
    return _told(status != "draft", found, sure=status not in (None, "void"))


def _accepted(call: Call, found: Any) -> WasDone:  # noqa: ARG001 - see _ended
    # One that is under review, or was won, was not accepted either.
    status = _get(found, "status")
    return _told(status == "lost", found, sure=status is not None)


def _uploaded(call: Call, found: Any) -> WasDone:
    uploaded = _get(_by_id(call, found), "is_uploaded")
    return _told(uploaded is True, found, sure=uploaded is not None)


def _untold(call: Call, found: Any) -> WasDone:  # noqa: ARG001 - see _ended
    return _D.CANNOT_TELL


_SEAT = "customer-seats:assign_seat"
# Nothing that Polar shows is another one afterwards, or it does not say which call made it so.
_NEVER = frozenset(
    {"events:ingest", "webhooks:redeliver_webhook_event", "webhooks:reset_webhook_endpoint_secret"}
)
# Polar lists a file once it is uploaded.
_LISTED_LATER = frozenset({"files:create"})
_OWN: Mapping[str, Callable[[Call, Any], WasDone]] = {
    "subscriptions:update": _subscription,
    "subscriptions:revoke": _ended,
    "orders:generate_invoice": _invoice,
    "orders:finalize": _charged,
    "disputes:accept": _accepted,
    "files:uploaded": _uploaded,
    _SEAT: _seated,
    **dict.fromkeys(_NEVER, _untold),
}
# Fields that say how something is done: no object has them.
_HOW = frozenset({"proration_behavior", "upload", "comment", "immediate_claim", "payment_method_id"})
_SHOWN_AS = {"current_billing_period_end": "current_period_end"}
# The fields by which a person takes one object for another.
_LIKE: Mapping[str, tuple[str, ...]] = {
    "refunds:create": ("order_id", "amount"),
    "checkouts:create": ("customer_id", "customer_email", "external_customer_id", "products"),
    "checkout-links:create": ("products",),
    "subscriptions:create": ("customer_id", "product_id"),
    "orders:create": ("customer_id", "product_id"),
    "discounts:create": ("name",),
    "products:create": ("name",),
    "benefits:create": ("description",),
    "meters:create": ("name",),
    "custom-fields:create": ("slug",),
    "customers:create": ("email",),
    "files:create": ("name", "size"),
    "metrics:create_dashboard": ("name",),
    "webhooks:create_webhook_endpoint": ("url",),
}


# --- Reading and comparing --------------------------------------------------------------------------------


def _get(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, Mapping) else None


def _listed(found: Any, name: str = "items") -> list[Shown] | None:
    """The objects of a list, in either form of Polar's; None for an answer that is none."""
    listed = found if isinstance(found, list) else _get(found, name)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else None


def _by_id(call: Call, found: Any) -> Shown | None:
    """The object that a call's path names, in a list."""
    ids = set(map(str, call.path.values()))
    return next((one for one in _listed(found) or () if str(one.get("id")) in ids), None)


def _stands(one: Shown) -> bool:
    """False for a refund that did not go through: no money went back."""
    return one.get("status") not in ("failed", "canceled") or "order_id" not in one


def _since(one: Shown, since: datetime | None) -> bool:
    at = _moment(one.get("created_at"))
    return since is None or not isinstance(at, datetime) or at >= since - _SKEW


def _agree(sent: Shown, shown: Shown) -> bool | None:
    """True if an object shows all that was sent, False if something else, None if it shows but a part."""
    given = {name: value for name, value in sent.items() if name not in _HOW and value is not None}
    if mark_of(given) is not None:
        given["metadata"] = {name: value for name, value in given["metadata"].items() if name != MARK}
    return _whole(_fields(given, shown)) if given else None


def _equal(sent: Any, shown: Any) -> bool | None:
    """Compare two values as they may be written; None where the two forms cannot be compared."""
    if isinstance(sent, Mapping):
        return _whole(_fields(sent, shown)) if isinstance(shown, Mapping) else None
    if isinstance(sent, Sequence) and not isinstance(sent, str):
        return _lists(list(sent), shown) if isinstance(shown, list) else None
    if isinstance(shown, Mapping):
        return None
    if isinstance(shown, list):
        return True if sent in shown else None
    if isinstance(sent, str) and isinstance(shown, str):
        same = _moment(sent) == _moment(shown)
        return same or sent.strip().casefold() == shown.strip().casefold()
    return bool(sent == shown)


def _fields(sent: Shown, shown: Shown) -> Iterator[bool | None]:
    for name, value in sent.items():
        yield _equal(value, shown[name]) if name in shown else None


def _lists(sent: list[Any], shown: list[Any]) -> bool | None:
    """Compare two lists in any order: ids are shown as objects, and objects with more fields."""
    if not any(isinstance(one, Mapping | list) for one in sent):
        known = [one.get("id") if isinstance(one, Mapping) else one for one in shown]
        return sorted(map(str, sent)) == sorted(map(str, known))
    if len(sent) != len(shown):
        return False
    return True if all(any(_equal(one, other) for other in shown) for one in sent) else None


def _whole(parts: Iterator[bool | None]) -> bool | None:
    found = set(parts)
    return False if False in found else None if None in found else True


def _moment(value: Any) -> Any:
    """A time however it is written; everything else as it is."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return at.replace(tzinfo=UTC) if isinstance(at, datetime) and at.tzinfo is None else at
