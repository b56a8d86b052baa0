"""Undo what was done: the fields to keep of the object before, and the calls that restore them."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.proposals.reads import Reads
from polar import redaction
from polar.catalog import Call, operations
from polar.errors import MissingScope, NotFound, PolarError
from store.models import CallState, PlannedCall, Proposal, ProposalCall, ProposalKind, ProposalState

log = logging.getLogger(__name__)


async def read_before(reads: Reads, call: Call) -> dict[str, Any] | None:
    """The fields that undoing this call will write back, as they are now; nothing else of the object is kept.

    Empty when its undoing needs none. None: it needs some and they cannot be read, so there is no Undo.
    """
    known = operations()[call.operation]
    wanted = known.needs_before(call)
    if not wanted:
        return {}
    read = known.verify_call(call)
    if read is None or not wanted.isdisjoint(redaction.SECRET):
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
        try:
            found = await _found(reads, call)
        except NotFound:
            return True
        except MissingScope as error:
            log.info("what %s wrote cannot be read before undoing it: %s", call.operation, error.plain)
            continue
        sent, back = call.body or {}, _inverse(call)
        wanted = (back and back.body) or {}
        # As it was before us it may be too: Polar makes some changes at the end of a period only.
        known = {name: (sent[name], wanted.get(name, sent[name])) for name in sent if name in found}
        if any(all(_differs(one, found[name]) for one in ways) for name, ways in known.items()):
            return True
    return False


async def _found(reads: Reads, call: ProposalCall) -> Mapping[str, Any]:
    """The object of a call as it is now; empty where no read shows it. Raises PolarError."""
    answer = call.answer if isinstance(call.answer, Mapping) else None
    read = operations()[call.operation].verify_call(Call.of(call), answer)
    return {} if read is None else _own(await reads.answer(read), Call.of(call))


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
    undone = [_inverse(call) for call in reversed(ours)]
    found = [one for one in undone if one is not None]
    return tuple(found) if len(found) == len(ours) else ()


def _inverse(call: ProposalCall) -> PlannedCall | None:
    known = operations().get(call.operation)
    answer = call.answer if isinstance(call.answer, Mapping) else None
    undo = None if known is None else known.undo_call(Call.of(call), call.before, answer)
    return None if undo is None else PlannedCall.of(undo)


def can_undo(proposal: Proposal) -> bool:
    """True if its card offers Undo: it is done, not undone, and our calls can restore what was.

    What takes something back is not itself taken back: whoever wants that proposes it anew.
    """
    stands = proposal.state == ProposalState.SUCCEEDED and proposal.kind == ProposalKind.CALLS
    return stands and proposal.undo_of_id is None and proposal.undo_id is None and bool(inverses(proposal))
