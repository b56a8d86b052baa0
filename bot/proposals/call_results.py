"""Classify the result of a call from Polar's answer, or from the lack of one. Pure: reads are handed in."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from polar.catalog import Call, operations
from polar.errors import (
    InvalidCall,
    MissingScope,
    NoAnswer,
    NotFound,
    NotSent,
    PolarError,
    RateLimited,
    Redirected,
    Refused,
    Unauthorized,
    UnsupportedVersionOrRoute,
)
from store.models.reasons import Reason, ReasonCode


class CallResult(StrEnum):
    """The outcome of one call."""

    DONE = "done"
    ALREADY_DONE = "already done"  # Polar refused a second time, and a read shows the wish fulfilled
    REFUSED = "refused"  # certainly not done; the proposal's other calls may go on
    NOT_SENT = "not sent"  # certainly not done, and it is safe to try again later
    UNKNOWN = "unknown"  # nobody knows; it is never sent again
    CONFIGURATION = "configuration"  # the set-up is wrong: the next call would fare no better


def was_so(count: int, of: int) -> Reason | None:
    """The reason beside the success when some of the calls found their wish fulfilled."""
    return Reason.of(ReasonCode.ALREADY_SO, count=count, of=of) if count else None


def reason_of(error: PolarError, *, partly: bool = False) -> Reason:
    """An error of Polar's client as a reason; `partly`: earlier calls of the same proposal were made."""
    return Reason.of(ReasonCode(error.code), **error.facts, partly=True if partly else None)


_BY_ERROR: tuple[tuple[tuple[type[PolarError], ...], CallResult], ...] = (
    ((NotSent, RateLimited), CallResult.NOT_SENT),
    ((NoAnswer,), CallResult.UNKNOWN),
    ((Unauthorized, MissingScope, UnsupportedVersionOrRoute, Redirected), CallResult.CONFIGURATION),
    ((Refused,), CallResult.REFUSED),
)


def classify(error: PolarError | None) -> CallResult:
    """The result of a call by its error alone (None: it succeeded), without a read."""
    if error is None:
        return CallResult.DONE
    return next((outcome for kinds, outcome in _BY_ERROR if isinstance(error, kinds)), CallResult.UNKNOWN)


def conclude(call: Call, error: PolarError | None, found: Any = None) -> CallResult:
    """The outcome of a call; `found` is what its `verifying_read` answered, or the NotFound it raised.

    Without `found` a refusal stays a refusal.
    """
    first = classify(error)
    return CallResult.ALREADY_DONE if first is CallResult.REFUSED and _is_so(call, error, found) else first


def verifying_read(call: Call, error: PolarError) -> Call | None:
    """The read that tells whether a refused call found its wish fulfilled; None when it cannot be so."""
    if classify(error) is not CallResult.REFUSED or _claim(call, error) is None:
        return None
    return operations()[call.operation].describe(call).verify_call(call)


def _is_so(call: Call, error: PolarError | None, found: Any) -> bool:
    shows = None if error is None or found is None else _claim(call, error)
    return shows is not None and shows(call.body or {}, found)


# -- which refusals may mean that the wish was fulfilled before, and what must then be read --

Shows = Callable[[Mapping[str, Any], Any], bool]  # (body sent, answer of the verifying read)


def _claim(call: Call, error: PolarError) -> Shows | None:
    """The test that shows if this refusal means "already done"; None when it never does."""
    operation = operations()[call.operation]
    if isinstance(error, InvalidCall) or not isinstance(error, Refused):
        return None
    if operation.method == "DELETE" and ":delete" in operation.id:
        return _gone if isinstance(error, NotFound) else None
    kinds, shows = _CLAIMS.get(operation.id, (frozenset(), None))
    return shows if error.kind in kinds else None


def _gone(sent: Mapping[str, Any], found: Any) -> bool:  # noqa: ARG001 - a table of tests has one signature
    return isinstance(found, NotFound) or (isinstance(found, Mapping) and found.get("items") == [])


def _ended(sent: Mapping[str, Any], found: Any) -> bool:  # noqa: ARG001 - see _gone
    return _get(found, "status") == "canceled" and _get(found, "ended_at") is not None


def _subscription(sent: Mapping[str, Any], found: Any) -> bool:
    """True if a subscription is as one of these changes leaves it."""
    if not isinstance(found, Mapping):
        return False
    status, paused = found.get("status"), found.get("paused_at") is not None
    match sent:
        case {"revoke": True}:
            return _ended(sent, found)
        case {"cancel_at_period_end": True}:
            return found.get("cancel_at_period_end") is True or status == "canceled"
        case {"cancel_at_period_end": False}:
            return found.get("cancel_at_period_end") is False and status in ("active", "trialing")
        case {"pause_at_period_end": bool(asked)}:
            return found.get("pause_at_period_end") is asked and not paused and status != "canceled"
        case {"resume": True}:
            return status == "active" and not paused
    return False


def _refunded(sent: Mapping[str, Any], found: Any) -> bool:
    """Our own refund, known by the metadata we gave it, is the only one: Polar says the order is refunded in
    full, so ours was the whole. Of several, each is a part, and a part is never taken for done.
    """
    standing = [one for one in _items(found, "items") if one.get("status") not in ("failed", "canceled")]
    marker = sent.get("metadata")
    if len(standing) != 1 or not marker:
        return False
    return bool(standing[0].get("metadata") == marker and standing[0].get("amount") == sent.get("amount"))


def _seated(sent: Mapping[str, Any], found: Any) -> bool:
    return any(_holds(sent, seat) for seat in _items(found, "seats"))


def _holds(sent: Mapping[str, Any], seat: Mapping[str, Any]) -> bool:
    if seat.get("status") not in ("pending", "claimed"):
        return False
    member = seat.get("member") or {}
    mails = {
        str(mail).lower()
        for mail in (seat.get("email"), seat.get("customer_email"), member.get("email"))
        if mail
    }
    by_id = any(sent.get(name) and sent[name] == seat.get(name) for name in ("member_id", "customer_id"))
    return by_id or str(sent.get("email") or "").lower() in mails


def _created(sent: Mapping[str, Any], found: Any) -> bool:
    """Something with exactly what was asked for is there: ours, or as good as ours."""
    return any(
        all(name in one and one[name] == value for name, value in sent.items())
        for one in _items(found, "items")
    )


def _created_by_us(sent: Mapping[str, Any], found: Any) -> bool:
    return bool(sent.get("metadata")) and _created(sent, found)


def _accepted(sent: Mapping[str, Any], found: Any) -> bool:  # noqa: ARG001 - see _gone
    # One that is under review, or was won, was not accepted either.
    return bool(_get(found, "status") == "lost")


def _get(found: Any, name: str) -> Any:
    return found.get(name) if isinstance(found, Mapping) else None


def _items(found: Any, name: str) -> list[Mapping[str, Any]]:
    listed = _get(found, name)
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


_STATES = frozenset(
    {"AlreadyCanceledSubscription", "NotPausedSubscription", "CannotPauseSubscription", "NoScheduledPause"}
    | {"BadRequest"}  # to keep a subscription that nothing is going to end
)
_TAKEN = frozenset({"PolarRequestValidationError"})
_CLAIMS: Mapping[str, tuple[frozenset[str], Shows]] = {
    "subscriptions:update": (_STATES, _subscription),
    "subscriptions:revoke": (frozenset({"AlreadyCanceledSubscription"}), _ended),
    "refunds:create": (frozenset({"RefundedAlready"}), _refunded),
    "customer-seats:assign_seat": (frozenset({"SeatAlreadyAssigned"}), _seated),
    "customers:create": (_TAKEN, _created),
    "discounts:create": (_TAKEN, _created_by_us),
    "disputes:accept": (frozenset({"DisputeNotOpenError"}), _accepted),
}
