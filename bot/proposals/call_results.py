"""The meaning of Polar's answer to a call, or of the lack of one, and what an answer gives to others."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bot.proposals.reads import Reads
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
from polar.was_done import WasDone, alike, can_be_told, mark_of, unmarked, was_done
from store import Store
from store.models import CallState, PlannedCall, Proposal, ProposalCall
from store.models.reasons import Reason, ReasonCode, in_flight, waited_for
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
    CANNOT_TELL = "cannot tell"  # what Polar shows would look the same either way
    UNREADABLE = "unreadable"  # no read of Polar's shows it
    UNREAD = "unread"  # Polar could not be asked


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
    if not _may_mean_done(call, error):
        return result
    asked = unmarked(call) if call.operation in _ANYBODYS else call
    if call.operation in _BY_OUR_MARK and mark_of(call.body or {}) is None:
        return result  # it may be anybody's
    done = was_done(asked, found) is WasDone.DONE and _is_whole(call, found)
    return CallResult.ALREADY_DONE if done else result


def verifying_read(call: Call, error: PolarError) -> Call | None:
    """The read that tells whether a refused call found its wish fulfilled; None when it cannot be so."""
    if classify(error) is not CallResult.REFUSED or not _may_mean_done(call, error):
        return None
    asked = unmarked(call) if call.operation in _ANYBODYS else call
    return operations()[call.operation].verify_call(asked)


# --- Which refusals may mean that the wish was fulfilled before -------------------------------------------


def _may_mean_done(call: Call, error: PolarError) -> bool:
    operation = operations()[call.operation]
    if isinstance(error, InvalidCall) or not isinstance(error, Refused):
        return False
    if operation.method == "DELETE" and ":delete" in operation.id:
        return isinstance(error, NotFound)
    return error.kind in _KINDS.get(operation.id, ())


def _is_whole(call: Call, found: Any) -> bool:
    """False for one refund of several: Polar says that the order is refunded in full, and a part is not."""
    if call.operation != "refunds:create" or not isinstance(found, Mapping):
        return True
    return sum(one.get("status") not in ("failed", "canceled") for one in found["items"]) == 1


_TAKEN = frozenset({"PolarRequestValidationError"})
_KINDS: Mapping[str, frozenset[str]] = {
    "subscriptions:update": frozenset(
        {"AlreadyCanceledSubscription", "NotPausedSubscription", "CannotPauseSubscription"}
        # To keep a subscription that nothing is going to end.
        | {"NoScheduledPause", "BadRequest"}
    ),
    "subscriptions:revoke": frozenset({"AlreadyCanceledSubscription"}),
    "refunds:create": frozenset({"RefundedAlready"}),
    "customer-seats:assign_seat": frozenset({"SeatAlreadyAssigned"}),
    "customers:create": _TAKEN,
    "discounts:create": _TAKEN,
    "disputes:accept": frozenset({"DisputeNotOpenError"}),
}
_ANYBODYS = frozenset({"customers:create"})  # whoever made it, the wish is fulfilled
_BY_OUR_MARK = frozenset({"refunds:create", "discounts:create"})


# --- A call without an answer ------------------------------------------------------------------------------


async def examine(services: Services, claimed: Claimed[Proposal]) -> Seen:
    """Read whether the unanswered calls were done. Found done closes the case; otherwise a person is asked.

    Nothing is sent again here, whatever is found: a write that shows no trace may still be on its way.
    """
    store, proposal, token = services.store, claimed.row, claimed.token
    seen = [Seen.DONE]
    for call in proposal.calls:
        if call.state != CallState.UNKNOWN:
            continue
        seen.append((await look(services.polar, call)).seen)
        if seen[-1] is not Seen.DONE:
            continue
        now, answer = services.clock(), call.answer
        await store.do(
            end_call, proposal.id, call.number, token=token, state=CallState.DONE, now=now, answer=answer
        )
    worst = max(seen, key=list(Seen).index)
    if await store.do(find_done, proposal.id, token=token, now=services.clock()):
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)
        return worst
    now = services.clock()
    due_at = now + LOOK_AFTER[min(proposal.verify_attempts, len(LOOK_AFTER)) - 1]
    landed = any(waited_for(call.reason) and not in_flight(call.reason, now) for call in proposal.calls)
    await store.do(
        postpone_unknown, proposal.id, token=token, due_at=due_at, redrawn_at=now if landed else None
    )
    return worst


@dataclass(frozen=True, slots=True)
class Look:
    """The result of a look for what a call did. `like` are objects like the one that it creates."""

    seen: Seen
    like: Sequence[Mapping[str, Any]] = ()
    error: PolarError | None = None


async def look(polar: PolarClient, call: ProposalCall) -> Look:
    """Look whether a call without an answer was carried out."""
    sent = Call.of(call)
    read = operations()[call.operation].verify_call(sent) if can_be_told(sent) else None
    if read is None:
        return Look(Seen.UNREADABLE)
    found: Any
    try:
        found = await Reads(polar, within=_LOOK_WITHIN).answer(read)
    except NotFound as gone:
        found = gone
    except PolarError as error:
        log.info("cannot look whether %s was done: %s", call.operation, error)
        return Look(Seen.UNREAD, error=error)
    return Look(_SEEN[was_done(sent, found, _sent_at(call))], alike(sent, found))


def _sent_at(call: ProposalCall) -> datetime | None:
    """The time of its first request: a call that is sent again may have been carried out then."""
    since = None if call.reason is None else call.reason.args.get("since")
    return datetime.fromisoformat(since) if isinstance(since, str) else call.started_at


_SEEN = {
    WasDone.DONE: Seen.DONE,
    WasDone.NOT_THERE: Seen.NO_TRACE,
    WasDone.CANNOT_TELL: Seen.CANNOT_TELL,
}


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
