"""The meaning of Polar's answer to a call, or of the lack of one, and what an answer gives to others."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from bot.rules import EvaluationError, Rule, Scope, resolve
from bot.services import Claimed, Queue, Services
from bot.slack.client import SlackError
from bot.ui.ephemeral import handed
from polar.catalog import Call, operations
from polar.client import PolarClient
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
from store import Store
from store.models import CallState, PlannedCall, Proposal, ProposalCall
from store.models.reasons import Reason, ReasonCode
from store.proposals.execution import bind_call, end_call, find_done, postpone_unknown

log = logging.getLogger(__name__)

_NOT_SHOWN = Reason(ReasonCode.LINK_NOT_SHOWN)

# The result that a person wants who proposes one of these by hand; a rule has `private_message`.
_LINKS = {
    "customer-sessions:create": ("The customer's portal, for an hour", "customer_portal_url"),
    "checkouts:create": ("The checkout", "url"),
}
_LOOK_WITHIN = 5.0  # seconds: somebody may be waiting for it, and another look follows
# Polar may need a moment to show what it did; after the last look a person is on their own.
LOOK_AFTER = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10))


class CallResult(StrEnum):
    """The outcome of one call."""

    DONE = "done"
    ALREADY_DONE = "already done"  # Polar refused a second time, and a read shows the wish fulfilled
    REFUSED = "refused"  # certainly not done; the proposal's other calls may go on
    NOT_SENT = "not sent"  # certainly not done, and it is safe to try again later
    UNKNOWN = "unknown"  # nobody knows; it is never sent again
    CONFIGURATION = "configuration"  # the set-up is wrong: the next call would fare no better


class Seen(StrEnum):
    """The result of a read about the calls without an answer."""

    DONE = "done"  # nothing is in doubt any more
    NO_TRACE = "no trace"  # it may still be on its way
    UNREAD = "unread"  # Polar could not be asked
    UNREADABLE = "unreadable"  # no read of Polar's shows it


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
    result = classify(error)
    if error is None or found is None or result is not CallResult.REFUSED:
        return result
    shows = _claim(call, error)
    return CallResult.ALREADY_DONE if shows is not None and shows(call.body or {}, found) else result


def verifying_read(call: Call, error: PolarError) -> Call | None:
    """The read that tells whether a refused call found its wish fulfilled; None when it cannot be so."""
    if classify(error) is not CallResult.REFUSED or _claim(call, error) is None:
        return None
    return operations()[call.operation].verify_call(call)


# --- Which refusals may mean that the wish was fulfilled before, and what must then be read ---------------

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
    """True if an object with all the sent values exists, whoever created it."""
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


# --- A call without an answer ------------------------------------------------------------------------------


async def examine(services: Services, claimed: Claimed[Proposal]) -> Seen:
    """Read whether the unanswered calls were done. Found done closes the case; otherwise a person is asked.

    Nothing is sent again here, whatever is found: a write that shows no trace may still be on its way.
    """
    store, proposal, token = services.store, claimed.row, claimed.token
    seen = Seen.DONE
    for call in proposal.calls:
        if call.state != CallState.UNKNOWN:
            continue
        of_this = await _seen(services.polar, call)
        if of_this is not Seen.DONE:
            seen = of_this
            continue
        now, answer = services.clock(), call.answer
        await store.do(
            end_call, proposal.id, call.number, token=token, state=CallState.DONE, now=now, answer=answer
        )
    if await store.do(find_done, proposal.id, token=token, now=services.clock()):
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)
        return seen
    due_at = services.clock() + LOOK_AFTER[min(proposal.verify_attempts, len(LOOK_AFTER)) - 1]
    await store.do(postpone_unknown, proposal.id, token=token, due_at=due_at)
    return seen


async def _seen(polar: PolarClient, call: ProposalCall) -> Seen:
    """Look whether a call without an answer was carried out: every field has the value sent."""
    polar_call = Call.of(call)
    read = operations()[call.operation].verify_call(polar_call)
    if read is None:
        return Seen.UNREADABLE
    try:
        found = (await polar.read(read, within=_LOOK_WITHIN)).body
    except PolarError as error:
        log.info("cannot look whether %s was done: %s", call.operation, error)
        return Seen.UNREAD
    if call.operation == "orders:generate_invoice":
        done = _get(found, "is_invoice_generated") is True
    else:
        sent = (polar_call.body or {}) if isinstance(found, Mapping) else {}
        done = bool(sent) and all(name in found and found[name] == value for name, value in sent.items())
    return Seen.DONE if done else Seen.NO_TRACE


# --- What an answer gives: to the calls after it, and to whoever approved ---------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls to make now, the rule that asks for them, and the names of its event."""

    calls: list[Call]
    rule: Rule | None = None
    names: Scope | None = None

    @property
    def chained(self) -> bool:
        """True if each call needs the one before."""
        return self.rule is not None and bool(self.rule.then)


async def bound(
    store: Store, plan: Plan, call: ProposalCall, answers: Sequence[Any], *, claimed: Claimed[Proposal]
) -> ProposalCall:
    """A call with what the answers before it give, stored as it will be sent. Raises EvaluationError."""
    if plan.rule is None or not plan.chained:
        return call
    try:
        path, query = resolve(dict(call.path), answers), resolve(dict(call.query), answers)
        body = resolve(call.body, answers)
    except ValueError as error:
        raise EvaluationError(plan.rule.name, "then", str(error)) from error
    if (path, query, body) == (call.path, call.query, call.body):
        return call
    to = PlannedCall(call.operation, path, query, body)
    await store.do(bind_call, claimed.row.id, call.number, token=claimed.token, to=to)
    return replace(call, path=path, query=query, body=body)


async def hand_over(services: Services, proposal: Proposal, plan: Plan, answer: Any) -> Reason | None:
    """Show what the answer holds for whoever approved, and to nobody else; why not, if it did not work.

    It is not stored: if this process dies in between, the link is gone.
    """
    if not _hands_over(plan):
        return None
    if answer is None or proposal.decided_by is None:
        return _NOT_SHOWN
    try:
        said = handed(_message_to_approver(plan, answer)).content
        await services.slack.post_ephemeral(proposal.channel or services.channel, proposal.decided_by, said)
    except (EvaluationError, SlackError) as error:
        log.warning("what Polar answered to %s was not handed over: %s", proposal.id, error)
        return _NOT_SHOWN
    return None


def _hands_over(plan: Plan) -> bool:
    if plan.rule is None:
        return bool(plan.calls) and plan.calls[-1].operation in _LINKS
    return plan.names is not None and plan.rule.private_message is not None


def _message_to_approver(plan: Plan, answer: Any) -> str:
    if plan.rule is not None and plan.names is not None:
        return plan.rule.private_text(plan.names, answer) or ""
    about, field = _LINKS[plan.calls[-1].operation]
    link = answer.get(field) if isinstance(answer, Mapping) else None
    return f"{about}: {link or 'Polar gave none'}"
