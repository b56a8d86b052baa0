"""The changes in the world that our own calls made: their echoes, what later reverses them, their undoing."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.proposals.build import customer_of, subject_of
from bot.proposals.reads import Reads
from bot.services import Queue, Services
from polar import redaction
from polar.catalog import Call, operations
from polar.errors import MissingScope, NotFound, PolarError
from polar.events import Event
from store.events.conclusions import Done, SentCall, Sought, Surroundings, surroundings
from store.graduation.case_kinds import add_outcome
from store.models import (
    CallState,
    OutcomeKind,
    PlannedCall,
    Proposal,
    ProposalCall,
    ProposalKind,
    ProposalState,
    StoredEvent,
)
from store.models.graduation import Outcome

log = logging.getLogger(__name__)

# Polar queues the events of a write within seconds, a debounced customer.state_changed within ten; their
# `timestamp` is that moment, however late they arrive. Longer would take a colleague's change for ours.
WINDOW = timedelta(seconds=30)
_LONGEST_CALL = timedelta(minutes=5)  # until a call that was sent has its answer noted
_LATEST = timedelta(days=1)  # Polar's own attempts end within the hour; a person may ask for one more
# Polar's clock and ours may differ this much.
SKEW = timedelta(seconds=5)
# Ids in a body that name what is acted on; others (product_id, discount_id) are shared by many.
_ANCHORS = ("order_id", "subscription_id", "license_key_id", "seat_id", "member_id", "benefits")
# A payment can be disputed for months, and no person approved an automatic run.
_DISPUTED_WITHIN = timedelta(days=180)
_REFUNDS = ("refund.created", "order.refunded")


# --- What is known around an event ------------------------------------------------------------------------


async def look_around(
    services: Services, event: Event, received_at: datetime, *, looks_back: bool
) -> Surroundings:
    """The calls that an event may be the echo of, and those for its customer in the outcome window before it
    (automatic ones for longer); if it `looks_back`, the event before it.
    """
    at, window = event.timestamp or received_at, services.rules.policy.graduation.outcome_window
    # By the time of the event: it may come hours late, or be put before the rules once more.
    sent_at = min(received_at, max(at, received_at - _LATEST))
    subject = event.subject if looks_back else None
    sought = Sought(
        sent_since=sent_at - WINDOW - _LONGEST_CALL,
        customer_id=customer_of(event)[0],
        done_since=at - window,
        alone_since=at - max(window, _DISPUTED_WITHIN),
        subject=None if subject is None else subject_of(subject),
        before=event.timestamp,
    )
    return await services.store.do_together(surroundings, sought)


# --- An event that our own write caused: no rule is asked about it ----------------------------------------


@dataclass(frozen=True, slots=True)
class EchoMatch:
    """`proposal_id` whose write caused it; `wait`: a write under way may have, ask again when it is done."""

    proposal_id: str | None = None
    wait: bool = False


def match_own_call(event: Event, received_at: datetime, sent: Sequence[SentCall]) -> EchoMatch:
    """Compare an event with the writes of the last minutes."""
    at = event.timestamp or received_at
    wait = False
    for one in sent:
        if one.call.was_so or not _in_time(at, one.call) or event.type not in _echo_of(one.call):
            continue
        if _anchors(event, one.call) & event.related_ids:
            return EchoMatch(one.proposal_id)
        wait = wait or one.call.state == CallState.SENDING
    return EchoMatch(wait=wait)


def _echo_of(call: ProposalCall) -> frozenset[str]:
    """The types of the events that a call causes."""
    operation = operations().get(call.operation)
    return frozenset() if operation is None else operation.describe(Call.of(call)).echo


def _in_time(at: datetime, call: ProposalCall) -> bool:
    if call.started_at is None or at < call.started_at - SKEW:
        return False
    return call.finished_at is None or at <= call.finished_at + WINDOW


def _anchors(event: Event, call: ProposalCall) -> set[str]:
    """The ids by which the call's own object is known in an event."""
    found = {str(value) for value in call.path.values()} | _named(call.body, *_ANCHORS)
    # Only a customer's own events are about the customer; everything else mentions one.
    return found | _named(call.answer, "id", *(["customer_id"] if event.type.startswith("customer.") else []))


def _named(part: Mapping[str, Any] | None, *names: str) -> set[str]:
    """The ids under these names, of which some hold a list."""
    values = [part[name] for name in names if name in part] if part else []
    listed = [one for value in values for one in (value if isinstance(value, list) else [value])]
    return {one for one in listed if isinstance(one, str)}


# --- An event which shows that something done was reversed or is disputed ---------------------------------


async def notice_outcomes(
    services: Services, event: Event, stored: StoredEvent, made: Sequence[Done]
) -> None:
    """Keep what an event that nobody here caused shows about what was done before it."""
    at = event.timestamp or stored.received_at
    for done in made:
        kind = _shown(event, done, at)
        if kind is not None and await services.store.do(
            add_outcome, Outcome(done.proposal_id, kind, stored.id, at), services.clock()
        ):
            log.warning("%s shows that %s was %s", event.type, done.proposal_id, kind)
            services.notify(Queue.LEARN)


def _shown(event: Event, done: Done, at: datetime) -> OutcomeKind | None:
    """The outcome that an event, which nobody here caused, shows for something done before it."""
    about = set() if done.subject is None else {done.subject.partition(":")[2]}
    for call in done.calls:
        if call.was_so or call.started_at is None or at <= call.started_at:
            continue
        touched = about | {str(value) for value in call.path.values()} | _named(call.answer, "id")
        if not (touched | _named(call.body, "order_id", "subscription_id")) & event.related_ids:
            continue
        if _disputes(event):
            return OutcomeKind.DISPUTED
        if _reverses(event, call):
            return OutcomeKind.REVERSED
    return None


def _disputes(event: Event) -> bool:
    dispute = event.data.get("dispute")
    return event.type.startswith("dispute.") or (
        event.type.startswith("refund.") and isinstance(dispute, Mapping)
    )


def _reverses(event: Event, call: ProposalCall) -> bool:
    """True if the event tells of the inverse of the call, or of money going back that the call moved."""
    known = operations().get(call.operation)
    if known is None:
        return False
    if event.type in _REFUNDS and known.describe(Call.of(call)).money:
        return call.operation != "refunds:create"
    inverse = _inverse(call)
    if inverse is None or event.type not in operations()[inverse.operation].describe(inverse).echo:
        return False
    expected = {name: value for name, value in (inverse.body or {}).items() if name in event.data}
    if expected:
        return all(event.data[name] == value for name, value in expected.items())
    return event.type not in _echo_of(call)


# --- Undo: the fields to keep of the object before, and the calls that restore them -----------------------


async def read_before(reads: Reads, call: Call) -> dict[str, Any] | None:
    """The fields that undoing this call will write back, as they are now; nothing else of the object is kept.

    Empty when its undoing needs none. None: it needs some and they cannot be read, so there is no Undo.
    """
    known = operations()[call.operation]
    wanted = known.needs_before(call)
    if not wanted:
        return {}
    read = known.verify_call(call)
    if read is None or any(map(redaction.is_secret, wanted)):
        return None
    try:
        found = _own(await reads.answer(read), call)
    except PolarError as error:
        log.info("what %s changes cannot be read first: %s", call.operation, error)
        return None
    return {name: found[name] for name in wanted} if wanted <= found.keys() else None


def _own(answer: Any, call: Call) -> Mapping[str, Any]:
    """The object that a call changes, in the answer to a read of it or of a list with it."""
    if not isinstance(answer, Mapping):
        return {}
    listed = answer.get("items")
    if not isinstance(listed, list):
        return answer
    ids = set(call.path.values())
    return next((one for one in listed if isinstance(one, Mapping) and one.get("id") in ids), {})


async def changed_since(reads: Reads, proposal: Proposal) -> bool:
    """True if somebody has changed what a proposal wrote: undoing it would overwrite that.

    What no read shows counts as unchanged. Raises PolarError.
    """
    for call in _ours(proposal):
        sent, back = Call.of(call), _inverse(call)
        read = operations()[call.operation].verify_call(sent, call.answer)
        if read is None:
            continue
        try:
            found = _own(await reads.answer(read), sent)
        except NotFound:
            return True
        except MissingScope as error:
            log.info("what %s wrote cannot be read before undoing it: %s", call.operation, error.plain)
            continue
        wrote, wanted = sent.body or {}, (back and back.body) or {}
        # The value from before our call counts as unchanged: Polar makes some changes at the end of a period.
        known = {name: (wrote[name], wanted.get(name, wrote[name])) for name in wrote if name in found}
        if any(all(_differs(one, found[name]) for one in ways) for name, ways in known.items()):
            return True
    return False


def _differs(sent: Any, found: Any) -> bool:
    """True if two values cannot mean the same. Lists of objects are not compared: they read differently."""
    if isinstance(sent, Mapping) and isinstance(found, Mapping):
        return any(name not in found or _differs(one, found[name]) for name, one in sent.items())
    if isinstance(sent, Mapping | list) or isinstance(found, Mapping | list):
        return False
    return bool(_moment(sent) != _moment(found))


def _moment(value: Any) -> Any:
    """A time however it is written: "…Z" and "…+00:00" are the same; everything else as it is."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _ours(proposal: Proposal) -> list[ProposalCall]:
    """The calls that we made; one that found its wish fulfilled is left as it is."""
    return [call for call in proposal.calls if call.state == CallState.DONE and not call.was_so]


def inverses(proposal: Proposal) -> tuple[PlannedCall, ...]:
    """The calls that take back what a proposal did, the last one first; empty unless that is the whole of it.

    Pure: from the catalog and what the calls have kept.
    """
    ours = _ours(proposal)
    found = [PlannedCall.of(one) for call in reversed(ours) if (one := _inverse(call)) is not None]
    return tuple(found) if len(found) == len(ours) else ()


def _inverse(call: ProposalCall) -> Call | None:
    known = operations().get(call.operation)
    return None if known is None else known.undo_call(Call.of(call), call.before, call.answer)


def can_undo(proposal: Proposal) -> bool:
    """True if its card offers Undo: it is done, not undone, and our calls can restore what was.

    What takes something back is not itself taken back: whoever wants that proposes it anew.
    """
    stands = proposal.state == ProposalState.SUCCEEDED and proposal.kind == ProposalKind.CALLS
    free = proposal.undo_of_id is None and proposal.undo_id is None and proposal.erased_at is None
    return stands and free and bool(inverses(proposal))
