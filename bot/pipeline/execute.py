"""Step 6: an approved proposal is checked once more, then its calls are made, each at most once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bot.pipeline.parts import LEASE, Parts, backoff, new_token
from bot.pipeline.propose import before, scope_of
from bot.pipeline.reads import Reads
from bot.pipeline.versions import rule_as_it_was
from bot.rules import EvaluationError
from polar.catalog import Call as PolarCall
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
from polar.events import parse
from store.events import get_event
from store.execution import begin_call, claim_approved, end_call, finish_execution
from store.models import Call, CallState, Proposal, ProposalState

log = logging.getLogger(__name__)

# Approved long ago and never sent: the person who said yes no longer expects it to happen.
_GIVE_UP_AFTER = timedelta(hours=24)
# Somebody looks at the card: when Polar is away it says so at once instead of "Running now".
_CHECK_WITHIN = 5.0
# These say that the set-up is wrong, not the call: the next call would fare no better.
_CONFIGURATION = (Unauthorized, MissingScope, UnsupportedVersionOrRoute, Redirected)


@dataclass(frozen=True, slots=True)
class ClaimedExecution:
    """A proposal now executing under our claim."""

    proposal: Proposal
    token: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a proposal goes from `executing`, and why in words; `again` asks for another try."""

    to: ProposalState
    reason: str | None = None
    again: bool = False


async def claim(parts: Parts, limit: int) -> list[ClaimedExecution]:
    """Take approved proposals that are due."""
    token, now = new_token(), parts.clock()
    found = await parts.store.do(claim_approved, token=token, now=now, until=now + LEASE, limit=limit)
    return [ClaimedExecution(proposal, token) for proposal in found]


async def execute(parts: Parts, claimed: ClaimedExecution) -> None:
    """Check that the proposal still holds, make its calls, and write down what came of it."""
    outcome = await _checked(parts, claimed)
    now, attempts = parts.clock(), claimed.proposal.attempts
    await parts.store.do(
        finish_execution,
        claimed.proposal.id,
        outcome.to,
        token=claimed.token,
        now=now,
        reason=outcome.reason,
        due_at=now + backoff(attempts) if outcome.again else None,
    )
    parts.wake("announce")


async def _checked(parts: Parts, claimed: ClaimedExecution) -> Outcome:
    """Read everything anew, then call; or say why not. Nothing has been sent when this refuses."""
    calls = claimed.proposal.calls
    if not any(call.state == CallState.PLANNED for call in calls):
        return await _call_all(
            parts, claimed, []
        )  # all was done before the program died: it only needs saying
    wanted: list[PolarCall] | str
    try:
        wanted = await _calls_now(parts, claimed.proposal)
    except NotFound as error:
        wanted = f"Checked just before the call: {error.plain}"
    except (EvaluationError, InvalidCall) as error:
        return Outcome(
            ProposalState.FAILED, f"Nothing was sent: whether it still applies cannot be told ({error})."
        )
    except _CONFIGURATION as error:
        return Outcome(ProposalState.FAILED, f"Nothing was sent: {error.plain}")
    except PolarError as error:
        return _not_now(parts, claimed.proposal, f"Checking whether it still applies: {error.plain}")
    if not isinstance(wanted, str):
        return await _call_all(parts, claimed, wanted)
    if all(call.state == CallState.PLANNED for call in calls):
        return Outcome(ProposalState.WITHDRAWN, wanted)
    return await _call_all(parts, claimed, [])  # a part was done earlier: "nothing was done" would be a lie


async def _calls_now(parts: Parts, proposal: Proposal) -> list[PolarCall] | str:
    """The calls the rule would make now, or why it no longer applies. Raises PolarError, EvaluationError."""
    if proposal.rule is None or proposal.event_id is None:
        return [
            as_polar_call(call) for call in proposal.calls
        ]  # a person proposed it: there is no rule to ask
    stored = await parts.store.do(get_event, proposal.event_id)
    rule = await rule_as_it_was(parts, proposal.rule, proposal.rule_version or "")
    if stored is None or rule is None:
        return "Its event or its rule is no longer here."
    event = parse(stored.body)
    scope = scope_of(event, parts.clock(), await before(parts, event) if rule.compares() else None)
    scope = await Reads(parts.polar, within=_CHECK_WITHIN).fill(rule, scope)
    items = rule.items(scope)
    scope = scope if items is None else scope.plus(each=items)
    if not rule.holds(scope):
        condition = " ".join(rule.still.source.split()) if rule.still else ""
        return f"Checked just before the call: it no longer applies ({condition})."
    return list(rule.calls(scope, items))


async def _call_all(parts: Parts, claimed: ClaimedExecution, wanted: list[PolarCall]) -> Outcome:
    """Make the calls that were approved and that the rule would still make; what is new since is not made."""
    proposal = claimed.proposal
    refusals = [call.error or "" for call in proposal.calls if call.state == CallState.REFUSED]
    done = sum(call.state == CallState.DONE for call in proposal.calls)
    for call in proposal.calls:
        if call.state != CallState.PLANNED:
            continue
        if as_polar_call(call) not in wanted:
            await _end(parts, claimed, call, CallState.SKIPPED)
            continue
        try:
            begun = await _call(parts, claimed, call)
        except PolarError as error:
            outcome = _stops(parts, proposal, error)
            if outcome is not None:
                return outcome
            refusals.append(error.plain)
            continue
        if not begun:
            return Outcome(ProposalState.APPROVED, "The check took too long; nothing was sent.", again=True)
        done += 1
    if refusals:
        return Outcome(ProposalState.FAILED, "Polar refused: " + "; ".join(dict.fromkeys(refusals)))
    if not done:
        return Outcome(
            ProposalState.WITHDRAWN, "Checked just before the call: none of its calls applies any more."
        )
    return Outcome(ProposalState.SUCCEEDED)


def _stops(parts: Parts, proposal: Proposal, error: PolarError) -> Outcome | None:
    """Where a failed call leaves the whole proposal; None when the other calls may go on without it."""
    if isinstance(error, NotSent | RateLimited):
        return _not_now(parts, proposal, error.plain)
    if isinstance(error, NoAnswer):
        return Outcome(ProposalState.UNKNOWN, error.plain)
    return Outcome(ProposalState.FAILED, error.plain) if isinstance(error, _CONFIGURATION) else None


async def _call(parts: Parts, claimed: ClaimedExecution, call: Call) -> bool:
    """Make one call; False when it must not be sent. Raises what Polar's client raises, after noting it."""
    begun = await parts.store.do(
        begin_call, claimed.proposal.id, call.number, token=claimed.token, now=parts.clock()
    )
    if not begun:
        return False
    try:
        answer = await parts.polar.send(as_polar_call(call))
    except (NotSent, RateLimited) as error:
        await _end(parts, claimed, call, CallState.PLANNED, error=error)
        raise
    except Refused as error:
        await _end(parts, claimed, call, CallState.REFUSED, error=error)
        raise
    except NoAnswer as error:
        await _end(parts, claimed, call, CallState.UNKNOWN, error=error)
        raise
    await _end(parts, claimed, call, CallState.DONE, status=answer.status, answer=excerpt(answer.body))
    return True


async def _end(
    parts: Parts,
    claimed: ClaimedExecution,
    call: Call,
    state: CallState,
    *,
    error: PolarError | None = None,
    status: int | None = None,
    answer: Any = None,
) -> None:
    await parts.store.do(
        end_call,
        claimed.proposal.id,
        call.number,
        token=claimed.token,
        state=state,
        now=parts.clock(),
        status=status if error is None else error.status,
        error=None if error is None else error.plain,
        answer=answer,
    )


def _not_now(parts: Parts, proposal: Proposal, why: str) -> Outcome:
    """Nothing was sent: try again after a pause, but not for ever."""
    if proposal.decided_at is not None and parts.clock() - proposal.decided_at > _GIVE_UP_AFTER:
        return Outcome(ProposalState.FAILED, f"Given up after a day; nothing was sent. {why}")
    return Outcome(ProposalState.APPROVED, why, again=True)


def as_polar_call(call: Call) -> PolarCall:
    """A stored call as Polar's client takes it."""
    body = None if call.body is None else dict(call.body)
    return PolarCall(call.operation, dict(call.path), dict(call.query), body)


_TELLING = frozenset({"id", "status", "amount", "currency", "is_invoice_generated", "inserted", "duplicates"})


def excerpt(body: Any) -> dict[str, Any] | None:
    """What is kept of Polar's answer: ids, state and amounts; never keys, tokens, links or addresses."""
    if not isinstance(body, Mapping):
        return None
    return {
        name: value
        for name, value in body.items()
        if (name in _TELLING or name.endswith("_id")) and isinstance(value, str | int | bool)
    }
