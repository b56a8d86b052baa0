"""Recognise an event that our own write caused: no rule is asked about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from polar.catalog import Call, operations
from polar.events import Event
from store.models import CallState, ProposalCall
from store.proposals.proposals import SentCall

# Polar queues the events of a write within seconds, a debounced customer.state_changed within ten; their
# `timestamp` is that moment, however late they arrive. Longer would take a colleague's change for ours.
WINDOW = timedelta(seconds=30)
# Polar's clock and ours may differ this much.
SKEW = timedelta(seconds=5)
# Ids in a body that name what is acted on; others (product_id, discount_id) are shared by many.
_ANCHORS = frozenset({"order_id", "subscription_id", "license_key_id", "seat_id", "member_id", "benefits"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`proposal_id` whose write caused it; `wait`: a write under way may have, ask again when it is done."""

    proposal_id: str | None = None
    wait: bool = False


def judge(event: Event, received_at: datetime, sent: Sequence[SentCall]) -> Verdict:
    """Compare an event with the writes of the last minutes."""
    at = event.timestamp or received_at
    wait = False
    for one in sent:
        if one.call.was_so or not _could_echo(event, one.call) or not _in_time(at, one.call):
            continue
        if _anchors(event, one.call) & event.related_ids:
            return Verdict(one.proposal_id)
        wait = wait or one.call.state == CallState.SENDING
    return Verdict(wait=wait)


def _could_echo(event: Event, call: ProposalCall) -> bool:
    operation = operations().get(call.operation)
    if operation is None:
        return False
    return event.type in operation.describe(Call.of(call)).echo


def _in_time(at: datetime, call: ProposalCall) -> bool:
    if call.started_at is None or at < call.started_at - SKEW:
        return False
    return call.finished_at is None or at <= call.finished_at + WINDOW


def _anchors(event: Event, call: ProposalCall) -> set[str]:
    """The ids by which the call's own object is known in an event."""
    found = {str(value) for value in call.path.values()}
    found.update(_named(call.body or {}, _ANCHORS))
    if isinstance(call.answer, Mapping):
        found.update(_named(call.answer, frozenset({"id"})))
        # Only a customer's own events are about the customer; everything else mentions one.
        if event.type.startswith("customer."):
            found.update(_named(call.answer, frozenset({"customer_id"})))
    return found


def _named(part: Mapping[str, Any], names: frozenset[str]) -> Iterator[str]:
    for name in names & part.keys():
        value = part[name]
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                yield one
