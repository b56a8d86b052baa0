"""Step 6: an approved proposal is checked once more, then its calls are made, each at most once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot.graduation.gate import guard_of
from bot.metrics import DECISIONS, POLAR_WRITES
from bot.proposals.build import evaluate, recall
from bot.proposals.call_results import (
    CallResult,
    Plan,
    Seen,
    bound,
    classify,
    conclude,
    hand_over,
    look,
    reason_of,
    verifying_read,
)
from bot.proposals.own_calls import changed_since, read_before
from bot.proposals.reads import Reads, excerpt
from bot.proposals.recheck import CALL, NoLonger, gone, look_again, no_longer
from bot.rules import EvaluationError
from bot.services import Claimed, Queue, Services, backoff, claim_rows, keep_held
from polar.catalog import Call, Repeat, operations
from polar.client import PolarClient
from polar.errors import InvalidCall, NotFound, PolarError
from polar.was_done import unmarked
from store.models import Actor, CallState, Proposal, ProposalCall, ProposalState, Verdict
from store.models.reasons import Reason, ReasonCode
from store.proposals.execution import (
    answer_late,
    begin_call,
    claim_approved,
    end_call,
    finish_execution,
)
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

# Approved long ago and never sent: the person who said yes no longer expects it to happen.
_GIVE_UP_AFTER = timedelta(hours=24)
# Somebody looks at the card: when Polar is away it says so at once instead of "Running now".
_CHECK_WITHIN = 5.0
_AFTER = {
    CallResult.DONE: CallState.DONE,
    CallResult.ALREADY_DONE: CallState.DONE,
    CallResult.REFUSED: CallState.REFUSED,
    CallResult.CONFIGURATION: CallState.REFUSED,
    CallResult.NOT_SENT: CallState.PLANNED,
    CallResult.UNKNOWN: CallState.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class _Made:
    """A call that is done, by us or before, and Polar's whole answer to it, if it was to us.

    `kept`: what undoing it needs to know was read first, or nothing is needed. `found`: Polar shows that an
    earlier request did it.
    """

    result: CallResult
    answer: Any = None
    kept: bool = True
    found: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """The state after `executing`, and the reason; `again` asks for another try."""

    to: ProposalState
    reason: Reason | None = None
    again: bool = False


async def claim(services: Services, limit: int) -> list[Claimed[Proposal]]:
    """Take approved proposals that are due."""
    claimed = await claim_rows(services, claim_approved, limit, guard=guard_of(services.rules.policy))
    for one in claimed:
        if one.row.decided_by == Actor.POLICY and one.row.attempts == 1:
            DECISIONS.labels(Verdict.APPROVE, Actor.POLICY).inc()
    return claimed


async def execute(services: Services, claimed: Claimed[Proposal]) -> None:
    """Check that the proposal still applies, make its calls, and store the result."""
    with services.held.working(claimed.held):
        outcome = await _checked(services, claimed)
    log.info("%s is %s", claimed.row.id, outcome.to)
    now, attempts = services.clock(), claimed.row.attempts
    await services.store.do(
        finish_execution,
        claimed.row.id,
        outcome.to,
        token=claimed.token,
        now=now,
        reason=outcome.reason,
        due_at=now + backoff(attempts) if outcome.again else None,
    )
    services.notify(Queue.ANNOUNCE)


async def _checked(services: Services, claimed: Claimed[Proposal]) -> ExecutionResult:
    """Read everything anew, then call; or say why not. Nothing has been sent when this refuses."""
    calls = claimed.row.calls
    if not any(call.state == CallState.PLANNED for call in calls):
        # Done before the program died: only the result is stored, and that a link is lost.
        return await _call_all(services, claimed, await _remembered(services, claimed.row))
    plan: Plan | NoLonger
    try:
        plan = await _plan(services, claimed.row)
    except NotFound as error:
        plan = gone(error, CALL, partly=_partly(claimed.row))
    except (EvaluationError, InvalidCall) as error:
        return ExecutionResult(ProposalState.FAILED, Reason.of(ReasonCode.CANNOT_TELL, problem=str(error)))
    except PolarError as error:
        return _unread(services, claimed.row, error)
    if isinstance(plan, Plan) and not any(call.in_doubt and not _is_wanted(call, plan) for call in calls):
        return await _call_all(services, claimed, plan)
    if isinstance(plan, Plan):
        plan = NoLonger(Reason.of(ReasonCode.NOTHING_LEFT, checked=CALL))
    if claimed.row.in_doubt:
        return await _no_longer_in_doubt(services, claimed, plan.why)
    if all(call.state == CallState.PLANNED for call in calls):
        return ExecutionResult(ProposalState.WITHDRAWN, plan.why)
    if claimed.row.undo_of_id is not None:  # what it takes back is undone in part only
        return ExecutionResult(ProposalState.FAILED, plan.why)
    # Some calls already ran, so it is not withdrawn: its outcome is theirs.
    return await _call_all(services, claimed, Plan([]))


def _unread(services: Services, proposal: Proposal, error: PolarError) -> ExecutionResult:
    """The outcome when what the next call depends on cannot be read: nothing is sent."""
    cause = reason_of(error, partly=_partly(proposal))
    if classify(error) is CallResult.CONFIGURATION:
        return ExecutionResult(ProposalState.FAILED, Reason.of(ReasonCode.NOT_SENT, cause))
    return _not_now(services.clock(), proposal, Reason.of(ReasonCode.CHECK_FAILED, cause))


def _partly(proposal: Proposal) -> bool:
    """Tell whether some of it was carried out, or may have been: then nobody is told that nothing was."""
    return proposal.in_doubt or any(call.state == CallState.DONE for call in proposal.calls)


async def _no_longer_in_doubt(services: Services, claimed: Claimed[Proposal], why: Reason) -> ExecutionResult:
    """Look whether calls that no longer apply were carried out before: that may be why they do not."""
    for call in claimed.row.calls:
        if not call.in_doubt:
            continue
        found = await look(services.polar, call)
        if found.error is not None:
            return _unread(services, claimed.row, found.error)
        if found.seen is not Seen.DONE:
            return ExecutionResult(ProposalState.FAILED, Reason.of(ReasonCode.STILL_IN_DOUBT, why))
        await _end(services, claimed, call, CallState.DONE)
    proposal = await services.store.do(get_proposal, claimed.row.id)
    if proposal is None:
        return ExecutionResult(ProposalState.FAILED, why)
    rest = await _call_all(services, replace(claimed, row=proposal), Plan([]))
    notes = [Reason(ReasonCode.FOUND_DONE), *([] if rest.reason is None else [rest.reason])]
    return replace(rest, reason=_together(notes))


async def _remembered(services: Services, proposal: Proposal) -> Plan:
    """The plan as it was approved, with nothing read: for a proposal that has no call left to make."""
    approved = [Call.of(call) for call in proposal.calls]
    try:
        recalled = None if proposal.rule is None else await recall(services, proposal)
    except EvaluationError:  # then nobody can be shown a link
        recalled = None
    return Plan(approved) if recalled is None else Plan(approved, recalled.rule, recalled.names)


async def _plan(services: Services, proposal: Proposal) -> Plan | NoLonger:
    """The calls to make now, or why it no longer applies. Raises PolarError, EvaluationError."""
    approved = [Call.of(call) for call in proposal.calls]
    if proposal.rule is None:  # a person proposed it: there is no rule to ask
        await look_again(services.polar, [call for call in proposal.calls if call.state == CallState.PLANNED])
        changed = NoLonger(Reason(ReasonCode.CHANGED_AT_POLAR))
        return changed if await _overwrites(services, proposal) else Plan(approved)
    recalled = await recall(services, proposal)
    if recalled is None:
        return NoLonger(Reason(ReasonCode.RULE_GONE))
    rule, names = recalled.rule, recalled.names
    if rule.then and any(call.state != CallState.PLANNED for call in proposal.calls):
        return Plan(approved, rule, names)  # its first call changed what its precondition asks about
    found = await evaluate(rule, names, Reads(services.polar, within=_CHECK_WITHIN))
    if found.untrue is not None:
        return no_longer(found, CALL)
    # The edited calls are those that were approved: the rule only says whether they still apply.
    calls = list(found.calls()) if proposal.edited_by is None else approved
    return Plan(calls, rule, names)


async def _overwrites(services: Services, proposal: Proposal) -> bool:
    """True if it would undo what somebody has changed since. Raises PolarError."""
    if proposal.undo_of_id is None:
        return False
    original = await services.store.do(get_proposal, proposal.undo_of_id)
    return original is not None and await changed_since(Reads(services.polar, within=_CHECK_WITHIN), original)


async def _call_all(services: Services, claimed: Claimed[Proposal], plan: Plan) -> ExecutionResult:
    """Make the calls that were approved and that the rule would still make; what is new since is not made."""
    proposal = claimed.row
    # Those of an earlier try stand.
    refused = [call for call in proposal.calls if call.state == CallState.REFUSED]
    refusals = [call.reason or Reason(ReasonCode.POLAR_REFUSED) for call in refused]
    answers = [call.answer for call in proposal.calls if call.state == CallState.DONE]
    made: list[_Made] = []
    for call in await _wanted(services, claimed, plan):
        if plan.chained and refusals:
            break  # the next calls need the answer of this one
        try:
            ready = await bound(services.store, plan, call, answers, claimed=claimed)
            before = await _sent_before(services, claimed, ready) if ready.in_doubt else None
            if isinstance(before, ExecutionResult):
                return before
            done = before or await _call(services, claimed, ready)
        except EvaluationError as error:
            return ExecutionResult(
                ProposalState.FAILED, Reason.of(ReasonCode.PARTLY_DONE, problem=str(error))
            )
        except PolarError as error:
            why = reason_of(error, partly=bool(answers) or proposal.in_doubt)
            outcome = _stops(services, proposal, error, why)
            if outcome is not None:
                return outcome
            refusals.append(why)
            continue
        if done is None:
            return ExecutionResult(ProposalState.APPROVED, Reason(ReasonCode.TOOK_TOO_LONG), again=True)
        made.append(done)
        answers.append(excerpt(done.answer))
    if refusals:
        return ExecutionResult(ProposalState.FAILED, Reason.of(ReasonCode.CALLS_REFUSED, *refusals))
    if not answers:
        return ExecutionResult(ProposalState.WITHDRAWN, Reason.of(ReasonCode.NOTHING_LEFT, checked=CALL))
    earlier = sum(call.was_so for call in proposal.calls)
    so = earlier + sum(one.result is CallResult.ALREADY_DONE for one in made)
    notes = [
        Reason(ReasonCode.FOUND_DONE) if any(one.found for one in made) else None,
        Reason.of(ReasonCode.ALREADY_SO, count=so, of=len(answers)) if so else None,
        await hand_over(services, proposal, plan, made[-1].answer if made else None),
        None if all(one.kept for one in made) else Reason(ReasonCode.CANNOT_BE_UNDONE),
    ]
    return ExecutionResult(ProposalState.SUCCEEDED, _together([one for one in notes if one is not None]))


def _together(reasons: Sequence[Reason]) -> Reason | None:
    """All notes on a success, as one reason."""
    return reasons[0] if len(reasons) == 1 else Reason.of(ReasonCode.SEVERAL, *reasons) if reasons else None


async def _wanted(services: Services, claimed: Claimed[Proposal], plan: Plan) -> list[ProposalCall]:
    """The planned calls that are still wanted; the others are skipped, and so is what would follow them."""
    wanted: list[ProposalCall] = []
    dropped = False
    for call in claimed.row.calls:
        if call.state != CallState.PLANNED:
            continue
        dropped = not _is_wanted(call, plan) or (plan.chained and dropped)
        if dropped:
            await _end(services, claimed, call, CallState.SKIPPED)
        else:
            wanted.append(call)
    return wanted


def _is_wanted(call: ProposalCall, plan: Plan) -> bool:
    """True if the plan has this call, whatever mark of ours it bears."""
    return unmarked(Call.of(call)) in [unmarked(one) for one in plan.calls]


def _stops(services: Services, proposal: Proposal, error: PolarError, why: Reason) -> ExecutionResult | None:
    """The outcome of the whole proposal after a failed call; None when its other calls may go on."""
    match classify(error):
        case CallResult.NOT_SENT:
            return _not_now(services.clock(), proposal, why)
        case CallResult.UNKNOWN:
            return ExecutionResult(ProposalState.UNKNOWN, why)
        case CallResult.CONFIGURATION:
            return ExecutionResult(ProposalState.FAILED, why)
    return None


async def _sent_before(
    services: Services, claimed: Claimed[Proposal], call: ProposalCall
) -> _Made | ExecutionResult | None:
    """Look what a call did that may have been carried out, before it is sent again: done, it is not sent.

    Of a call that would create another one, what is like it is shown first and a person asked once more: the
    result says so. None: it may be sent.
    """
    found = await look(services.polar, call)
    if found.error is not None:
        return _unread(services, claimed.row, found.error)
    if found.seen is Seen.DONE:
        await _end(services, claimed, call, CallState.DONE)
        return _Made(CallResult.DONE, found=True)
    args = {} if call.reason is None else call.reason.args
    ids = [str(one.get("id")) for one in found.like]
    another = operations()[call.operation].describe(Call.of(call)).repeat is Repeat.CREATES_ANOTHER
    if not another or set(ids) <= set(args.get("ids", ())):
        return None
    why = Reason(ReasonCode.LIKE_IT_THERE, {**args, "count": len(ids), "ids": ids})
    await _end(services, claimed, call, CallState.REFUSED, reason=why)
    return ExecutionResult(ProposalState.FAILED, why)


async def _call(services: Services, claimed: Claimed[Proposal], call: ProposalCall) -> _Made | None:
    """Make one call: DONE, or ALREADY_DONE; None when it must not be sent.

    Raises what Polar's client raises, after noting it.
    """
    before: dict[str, Any] | None = {}  # an undo needs none
    if claimed.row.undo_of_id is None:
        before = await read_before(Reads(services.polar, within=_CHECK_WITHIN), Call.of(call))
    await keep_held(services)
    started_at = services.clock()
    begun = await services.store.do(
        begin_call,
        claimed.row.id,
        call.number,
        token=claimed.token,
        now=started_at,
        before=before or None,
        guard=guard_of(services.rules.policy),
    )
    if not begun:
        return None
    call = replace(call, started_at=started_at)
    try:
        answer = await services.polar.send(Call.of(call))
    except PolarError as error:
        result = await _looked_up(services.polar, Call.of(call), error)
        # What is not known of the first try stays unknown, whatever Polar says to the next one.
        kept = call.in_doubt and result in (CallResult.NOT_SENT, CallResult.REFUSED, CallResult.CONFIGURATION)
        why = call.reason if kept else reason_of(error)
        await _end(services, claimed, call, _AFTER[result], status=error.status, reason=why)
        POLAR_WRITES.labels("not_sent" if result is CallResult.NOT_SENT else _AFTER[result]).inc()
        if result is CallResult.ALREADY_DONE:
            return _Made(result)
        raise
    await _end(services, claimed, call, CallState.DONE, status=answer.status, answer=excerpt(answer.body))
    POLAR_WRITES.labels(CallState.DONE).inc()
    return _Made(CallResult.DONE, answer.body, kept=before is not None)


async def _looked_up(polar: PolarClient, call: Call, error: PolarError) -> CallResult:
    """The result of a failed call. A refusal that may mean "already done" is believed only after a read."""
    read = verifying_read(call, error)
    if read is None:
        return classify(error)
    found: Any
    try:
        found = await Reads(polar).answer(read)
    except NotFound as gone:
        found = gone
    except PolarError as unread:
        log.info("cannot look whether %s was already so: %s", call.operation, unread)
        found = None
    return conclude(call, error, found)


async def _end(
    services: Services,
    claimed: Claimed[Proposal],
    call: ProposalCall,
    state: CallState,
    *,
    status: int | None = None,
    reason: Reason | None = None,
    answer: Any = None,
) -> None:
    own, now = (claimed.row.id, call.number), services.clock()
    said: dict[str, Any] = {"state": state, "now": now, "status": status, "reason": reason, "answer": answer}
    if await services.store.do(end_call, *own, token=claimed.token, **said) or call.started_at is None:
        return
    # The lease was lost meanwhile: what the others guess is less than an answer.
    if await services.store.do(answer_late, *own, started_at=call.started_at, **said):
        log.warning("%s was answered after its lease had gone: %s", claimed.row.id, state)
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)


def _not_now(now: datetime, proposal: Proposal, why: Reason) -> ExecutionResult:
    """Try again after a pause, a limited number of times: nothing was sent."""
    since = proposal.cancellable_until or proposal.decided_at  # a retry sets the former: it may start now
    if since is not None and now - since > _GIVE_UP_AFTER:
        return ExecutionResult(ProposalState.FAILED, Reason.of(ReasonCode.GAVE_UP, why))
    return ExecutionResult(ProposalState.APPROVED, why, again=True)
