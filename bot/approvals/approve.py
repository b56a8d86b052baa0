"""Approve a proposal: store the approval, read Polar again, then decide."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

from bot.metrics import DECISIONS
from bot.permissions import Authority, requirements_of
from bot.proposals.recheck import Found, NoLonger, as_shown, changes
from bot.results import DecisionResult, DecisionStatus, Refusal, RefusalCode
from bot.services import LEASE, Claimed, Queue, Services, new_token
from store.engine.errors import StoreError
from store.engine.leases import PENDING_APPROVALS, HeldRow
from store.models import Decision, NewProposal, Proposal, ProposalState, Verdict
from store.proposals.actions import restate, withdraw
from store.proposals.decisions import (
    Added,
    Asked,
    Closing,
    DecisionError,
    LeaseLost,
    PendingApproval,
    add_pending_approvals,
    asked,
    close_pending_approval,
    decide_and_close,
    decision_error,
    postpone_pending_approval,
)
from store.proposals.proposals import get_proposal, touch

log = logging.getLogger(__name__)

# Seconds without an answer of Polar after which the card says that it is being decided: most answer sooner,
# and then one redraw is enough.
SHOWN_AFTER = 0.7
# An approval waits as long as Slack does not say who approves: it is looked at again after as long as it has
# waited, and given up when nobody expects it any more.
_SOONEST, _LATEST, _GIVE_UP_AFTER = timedelta(seconds=2), timedelta(seconds=15), timedelta(hours=24)
CLI = "cli"
_COUNTS = (DecisionStatus.FIRST_APPROVAL, DecisionStatus.APPROVED)  # the former still needs a second person
_DECISION_ERRORS = {
    DecisionError.CHANGED: DecisionStatus.STALE,
    DecisionError.ON_HOLD: DecisionStatus.ON_HOLD,
    DecisionError.SETTLED: DecisionStatus.ALREADY_DECIDED,
}


async def approve_all(
    services: Services,
    left: Sequence[PendingApproval],
    team_id: str | None,
    stored: Callable[[], None] = lambda: None,
) -> list[DecisionResult]:
    """Store the approvals of one click, all or none, then settle them concurrently.

    `stored` is called once they are on disk. Raises StoreError when they could not be stored.
    """
    token = new_token()
    until = services.clock() + LEASE
    found = await services.store.do_for_person(add_pending_approvals, left, token=token, until=until)
    stored()

    async def one(pending: PendingApproval, added: Added) -> DecisionResult:
        if added is Added.NO_PROPOSAL:
            return DecisionResult(DecisionStatus.NOT_FOUND)
        if added is Added.REPEATED:
            known = await services.store.do(get_proposal, pending.proposal_id)
            return DecisionResult(DecisionStatus.REPEATED, known)
        try:
            claimed = Claimed(pending, token, HeldRow.of(PENDING_APPROVALS, token, pending))
            with services.held.working(claimed.held):
                async with services.settling:
                    return await settle(services, claimed, team_id)
        except StoreError as error:
            log.error("an approval of %s is tried again later: %s", pending.proposal_id, error)
            return DecisionResult(DecisionStatus.POSTPONED)

    return list(await asyncio.gather(*map(one, left, found)))


async def settle(
    services: Services, claimed: Claimed[PendingApproval], team_id: str | None = None, *, live: bool = True
) -> DecisionResult:
    """Decide, restate, withdraw or refuse, and close the approval. Raises StoreError; then it stays open.

    It stays open too while Slack does not say whether the person may, unless they are there (`live`) to be
    told to try again; and when another program has taken it over. `team_id` is the approver's, known only
    while they are there.
    """
    pending, now = claimed.row, services.clock()
    found = await services.store.do(asked, pending.proposal_id, pending.revision)
    if found is None:
        result = DecisionResult(DecisionStatus.NOT_FOUND)
    else:
        try:
            result = await _settled(services, claimed, team_id, found)
        except LeaseLost:
            log.info("another program sees to the approval of %s by %s", pending.proposal_id, pending.actor)
            return DecisionResult(DecisionStatus.POSTPONED, found.proposal)
    log.info("approve by %s (%s) on %s: %s", pending.actor, pending.via, pending.proposal_id, result.status)
    if result.status is DecisionStatus.UNCHECKED and not live and now - pending.at < _GIVE_UP_AFTER:
        pause = min(max(now - pending.at, _SOONEST), _LATEST)
        await services.store.do(
            postpone_pending_approval, pending.id, token=claimed.token, due_at=services.clock() + pause
        )
        return DecisionResult(DecisionStatus.POSTPONED, None if found is None else found.proposal)
    if result.status not in _COUNTS:  # then the decision has closed it
        await services.store.do(
            close_pending_approval,
            pending.id,
            token=claimed.token,
            result=result.status.value,
            at=services.clock(),
        )
        services.notify(Queue.EXECUTE, Queue.ANNOUNCE)
    return result


async def _settled(
    services: Services, claimed: Claimed[PendingApproval], team_id: str | None, found: Asked
) -> DecisionResult:
    pending, proposal, earlier = claimed.row, found.proposal, found.approvals
    refused = await refusal(services.authority, proposal, pending.actor, team_id, via=pending.via)
    refused = refused or await _own(services.authority, proposal, pending.actor)
    if refused is not None:
        return refused
    if (error := decision_error(proposal, Verdict.APPROVE, pending.revision)) is not None:
        return await lost(services, proposal, error, pending.actor)
    removed = await _no_longer(services.authority, proposal, pending, earlier)
    if isinstance(removed, DecisionResult):
        return removed
    counted = set(earlier) - removed
    if (
        pending.actor in counted
        and len(counted) < (await requirements_of(services.store, services.rules.policy, proposal)).people
    ):
        return DecisionResult(DecisionStatus.ALREADY_APPROVED, proposal)
    result = await _concluded(services, claimed, proposal, await _looked(services, pending, found), removed)
    if result.status is not DecisionStatus.FIRST_APPROVAL:
        return result
    left = await services.authority.everybody(proposal)
    alone = left is not None and left - removed <= {pending.actor}  # in doubt somebody else may approve too
    return replace(result, removed=removed, alone=alone)


async def _no_longer(
    authority: Authority, proposal: Proposal, pending: PendingApproval, earlier: Sequence[str]
) -> frozenset[str] | DecisionResult:
    """The earlier approvers who may no longer decide it. Their approvals do not count."""
    removed = set()
    for actor in earlier:
        if actor == pending.actor:  # was looked at just now
            continue
        found = await authority.refusal(actor, None, proposal, by_id=pending.via == CLI)
        if found is None:
            continue
        if found.retryable:
            return unchecked(proposal, Refusal(RefusalCode.EARLIER_APPROVER_UNKNOWN, detail=actor))
        log.info("the approval of %s by %s no longer counts: %s", proposal.id, actor, found.code)
        removed.add(actor)
    return frozenset(removed)


async def refusal(
    authority: Authority, proposal: Proposal, actor: str, team_id: str | None, *, via: str
) -> DecisionResult | None:
    """The reason why this person may not decide it; None when they may. Raises StoreError."""
    found = await authority.refusal(actor, team_id, proposal, by_id=via == CLI)
    if found is not None and found.retryable:
        return unchecked(proposal, found)
    return None if found is None else await _refused(authority, proposal, found)


async def _own(authority: Authority, proposal: Proposal, actor: str) -> DecisionResult | None:
    """Tell whether they proposed it themselves and somebody else could decide it."""
    own = {proposal.proposer: RefusalCode.OWN_PROPOSAL, proposal.edited_by: RefusalCode.OWN_EDIT}
    if actor not in own:
        return None
    everybody = await authority.everybody(proposal)
    if everybody is None:
        return unchecked(proposal, Refusal(RefusalCode.OTHER_APPROVERS_UNKNOWN))
    return None if everybody == {actor} else await _refused(authority, proposal, Refusal(own[actor]))


def unchecked(proposal: Proposal, found: Refusal) -> DecisionResult:
    """The result while Slack does not say whether somebody may decide."""
    return DecisionResult(DecisionStatus.UNCHECKED, proposal, refusal=found)


async def _refused(authority: Authority, proposal: Proposal, found: Refusal) -> DecisionResult:
    found = replace(found, approvers=await authority.describe(proposal))
    return DecisionResult(DecisionStatus.REFUSED, proposal, refusal=found)


async def lost(
    services: Services, proposal: Proposal, error: DecisionError | None, actor: str
) -> DecisionResult:
    """The reason why a decision does not count; None if they approved already. A stale card is redrawn."""
    if error is None:
        return DecisionResult(DecisionStatus.ALREADY_APPROVED, proposal)
    if error == DecisionError.CHANGED:
        await services.store.do(touch, proposal.id, services.clock())
    return DecisionResult(_DECISION_ERRORS[error], proposal, actor)


async def _looked(services: Services, pending: PendingApproval, found: Asked) -> Found:
    """The present state in Polar. When the read takes a while, the card says that it is being decided."""
    proposal = found.proposal
    looking = asyncio.ensure_future(as_shown(services, proposal, found.event))
    try:
        await asyncio.wait({looking}, timeout=SHOWN_AFTER)
        if not looking.done():
            await services.store.do(touch, proposal.id, services.clock(), approval_checking_by=pending.actor)
            services.notify(Queue.ANNOUNCE)
        return await looking
    finally:
        looking.cancel()


async def _concluded(
    services: Services,
    claimed: Claimed[PendingApproval],
    proposal: Proposal,
    found: Found,
    removed: frozenset[str],
) -> DecisionResult:
    """Store the result. The same transaction finds any change made meanwhile."""
    pending, at, revision = claimed.row, services.clock(), claimed.row.revision
    if isinstance(found, NoLonger):
        done, now = await services.store.do(withdraw, proposal.id, revision, reason=found.why, at=at)
        result = DecisionResult(DecisionStatus.WITHDRAWN, now)
    elif isinstance(found, NewProposal):
        said = changes(proposal, found)
        done, now = await services.store.do(restate, revision, found, changes=said, at=at)
        result = DecisionResult(DecisionStatus.RESTATED, now)
    else:
        given = (pending.actor, Verdict.APPROVE, pending.via, at, pending.reason, revision)
        decision = Decision(proposal.id, *given, pending.interaction_id, clicked_at=pending.at)
        takes = await requirements_of(services.store, services.rules.policy, proposal)
        closing = Closing(pending.id, claimed.token, *_COUNTS)
        wake = partial(services.notify, Queue.EXECUTE, Queue.ANNOUNCE)
        done, now = await services.store.do_and_wake(
            wake, decide_and_close, closing, decision, takes, without=removed
        )
        if now is None:
            return DecisionResult(DecisionStatus.NOT_FOUND)
        if done:
            DECISIONS.labels(decision.verdict, decision.via).inc()
        first = now.state == ProposalState.PENDING  # of two
        result = DecisionResult(DecisionStatus.FIRST_APPROVAL if first else DecisionStatus.APPROVED, now)
    if done or now is None:
        return result
    return await lost(services, now, decision_error(now, Verdict.APPROVE, revision), pending.actor)
