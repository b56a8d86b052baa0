"""Step 3c: an event that is no echo of ours may show that something done was reversed or is disputed."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.proposals.fingerprint import customer_of
from bot.services import Queue, Services
from polar.catalog import Call, operations
from polar.events import Event
from store.graduation.case_kinds import add_outcome
from store.models import OutcomeKind, ProposalCall, StoredEvent
from store.models.graduation import Outcome
from store.proposals.proposals import Done, done_for_customer

log = logging.getLogger(__name__)

# A payment can be disputed for months, and no person approved an automatic run.
_DISPUTED_WITHIN = timedelta(days=180)
_REFUNDS = ("refund.created", "order.refunded")


async def done_before(services: Services, event: Event, received_at: datetime) -> Sequence[Done]:
    """The calls for an event's customer in the outcome window before it; automatic ones for longer."""
    customer_id, _ = customer_of(event)
    if customer_id is None:
        return ()
    at, window = event.timestamp or received_at, services.rules.policy.graduation.outcome_window
    alone_since = at - max(window, _DISPUTED_WITHIN)
    return await services.store.do(done_for_customer, customer_id, at - window, alone_since)


async def notice_outcomes(
    services: Services, event: Event, stored: StoredEvent, made: Sequence[Done]
) -> None:
    """Keep what an event that nobody here caused shows about what was done before it."""
    at = event.timestamp or stored.received_at
    for done in made:
        kind = shown(event, done, at)
        if kind is not None and await services.store.do(
            add_outcome, Outcome(done.proposal_id, kind, stored.id, at), services.clock()
        ):
            log.warning("%s shows that %s was %s", event.type, done.proposal_id, kind)
            services.notify(Queue.LEARN)


def shown(event: Event, done: Done, at: datetime) -> OutcomeKind | None:
    """The outcome that an event, which nobody here caused, shows for something done before it."""
    for call in done.calls:
        if call.was_so or call.started_at is None or at <= call.started_at:
            continue
        if not _touched(done, call) & event.related_ids:
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
    sent = Call.of(call)
    operation = known.describe(sent)
    if event.type in _REFUNDS and operation.money:
        return call.operation != "refunds:create"
    answer = call.answer if isinstance(call.answer, Mapping) else None
    inverse = operation.undo_call(sent, call.before, answer)
    if inverse is None:
        return False
    echo = operations()[inverse.operation].describe(inverse).echo
    if event.type not in echo:
        return False
    expected = {name: value for name, value in (inverse.body or {}).items() if name in event.data}
    if expected:
        return all(event.data[name] == value for name, value in expected.items())
    return event.type not in operation.echo


def _touched(done: Done, call: ProposalCall) -> set[str]:
    """The ids of what a call acted on, and of what its proposal was about."""
    found = {str(value) for value in call.path.values()}
    found.update(_ids(call.body or {}))
    if isinstance(call.answer, Mapping) and isinstance(call.answer.get("id"), str):
        found.add(call.answer["id"])
    if done.subject is not None:
        found.add(done.subject.partition(":")[2])
    return found


def _ids(body: Mapping[str, Any]) -> Iterator[str]:
    return (body[name] for name in ("order_id", "subscription_id") if isinstance(body.get(name), str))
