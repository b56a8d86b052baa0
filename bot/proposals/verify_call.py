"""Read from Polar whether an unanswered call was carried out."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from bot.services import Queue, Services
from polar.catalog import Call, operations
from polar.client import PolarClient
from polar.errors import PolarError
from store.models import CallState, Proposal, ProposalCall
from store.proposals.execution import end_call, find_done, postpone_unknown

log = logging.getLogger(__name__)

_LOOK_WITHIN = 5.0  # seconds: somebody may be waiting for it, and another look follows


# Polar may need a moment to show what it did; after the last look a person is on their own.
_LOOK_AFTER = (timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=10))


@dataclass(frozen=True, slots=True)
class ClaimedDoubt:
    """A proposal in `unknown`, under our claim; `looks` counts how often Polar has been asked."""

    proposal: Proposal
    token: str


class Seen(StrEnum):
    """The result of a read about the calls without an answer."""

    DONE = "done"  # nothing is in doubt any more
    NO_TRACE = "no trace"  # it may still be on its way
    UNREAD = "unread"  # Polar could not be asked
    UNREADABLE = "unreadable"  # no read of Polar's shows it


async def examine(services: Services, claimed: ClaimedDoubt) -> Seen:
    """Read whether the unanswered calls were done. Found done closes the case; otherwise a person is asked.

    Nothing is sent again here, whatever is found: a write that shows no trace may still be on its way.
    """
    proposal = claimed.proposal
    seen = Seen.DONE
    for call in proposal.calls:
        if call.state != CallState.UNKNOWN:
            continue
        of_this = await _seen(services.polar, call)
        if of_this is not Seen.DONE:
            seen = of_this
            continue
        await services.store.do(
            end_call,
            proposal.id,
            call.number,
            token=claimed.token,
            state=CallState.DONE,
            now=services.clock(),
            answer=call.answer,
        )
    closed = await services.store.do(
        find_done,
        proposal.id,
        token=claimed.token,
        now=services.clock(),
    )
    if closed:
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)
        return seen
    pause = _LOOK_AFTER[min(proposal.verify_attempts, len(_LOOK_AFTER)) - 1]
    await services.store.do(
        postpone_unknown, proposal.id, token=claimed.token, due_at=services.clock() + pause
    )
    return seen


async def _seen(polar: PolarClient, call: ProposalCall) -> Seen:
    polar_call = Call.of(call)
    read = operations()[call.operation].describe(polar_call).verify_call(polar_call)
    if read is None:
        return Seen.UNREADABLE
    try:
        found = (await polar.read(read, within=_LOOK_WITHIN)).body
    except PolarError as error:
        log.info("cannot look whether %s was done: %s", call.operation, error)
        return Seen.UNREAD
    return Seen.DONE if shows(found, call.operation, call.body or {}) else Seen.NO_TRACE


def shows(found: Any, operation: str, body: Mapping[str, Any]) -> bool:
    """True if an object as read shows that the call was carried out: every field has the value sent."""
    if not isinstance(found, Mapping):
        return False
    if operation == "orders:generate_invoice":
        return found.get("is_invoice_generated") is True
    sent = {name: value for name, value in body.items() if name in found}
    return bool(sent) and len(sent) == len(body) and all(found[name] == value for name, value in sent.items())
