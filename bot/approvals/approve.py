"""Approve a proposal: keep the tap, read Polar again, then decide."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bot.approvals import results
from bot.approvals.results import Answer, Came
from bot.config.policy import Policy
from bot.permissions import Untold
from bot.proposals.diff import changes
from bot.proposals.recheck import Found, NoLonger, as_shown
from bot.services import LEASE, Queue, Services, new_token
from bot.slack.client import SlackError
from bot.ui import ephemeral
from polar.catalog import Call, Operation, Risk, operations
from store.engine.errors import StoreError
from store.models import Decision, NewProposal, Proposal, ProposalCall, Verdict
from store.proposals.decisions import ApprovalRequirements, Bar, approvals, barred, decide
from store.proposals.pending_approvals import (
    PendingApproval,
    add_pending_approvals,
    close_pending_approval,
    postpone_pending_approval,
)
from store.proposals.proposals import get_proposal, touch
from store.proposals.revisions import restate, withdraw

log = logging.getLogger(__name__)

# Seconds without an answer of Polar after which the card says that it is being decided: most answer sooner,
# and then one redraw is enough.
SHOWN_AFTER = 0.7


# Somebody's tap is kept as long as Slack does not say who they are: looked at again after as long as it has
# waited, and given up when nobody expects it any more.
_SOONEST, _LATEST, _GIVE_UP_AFTER = timedelta(seconds=2), timedelta(seconds=15), timedelta(hours=24)


_AT_ONCE = 32  # of one press: what Polar is asked about them keeps to its own pace


CLI = "cli"


@dataclass(frozen=True, slots=True)
class ClaimedApproval:
    """An Approve under our claim. `team_id` is the clicker's, known only while the tap itself is at hand."""

    tap: PendingApproval
    token: str
    team_id: str | None = None


async def approve(
    services: Services, tap: PendingApproval, team_id: str | None, kept: Callable[[], None] = lambda: None
) -> Answer:
    """Keep an Approve, then see to it; `kept` is called once it is on disk.

    Raises StoreError when it could not be kept.
    """
    [answer] = await approve_all(services, [tap], team_id, kept)
    return answer


async def approve_all(
    services: Services,
    left: Sequence[PendingApproval],
    team_id: str | None,
    kept: Callable[[], None] = lambda: None,
) -> list[Answer]:
    """Keep the Approves of one press, all or none, then see to them side by side; `kept` as in `approve`.

    Raises StoreError when they could not be kept.
    """
    token = new_token()
    until = services.clock() + LEASE
    found = await services.store.do(add_pending_approvals, left, token=token, until=until)
    kept()
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(tap: PendingApproval, new: bool, proposal: Proposal | None) -> Answer:
        async with room:
            return await _seen_to(services, ClaimedApproval(tap, token, team_id), new, proposal)

    seen_to = (one(tap, *came) for tap, came in zip(left, found, strict=True))
    return list(await asyncio.gather(*seen_to))


async def _seen_to(
    services: Services, claimed: ClaimedApproval, new: bool, proposal: Proposal | None
) -> Answer:
    if proposal is None:
        return results.gone()
    if not new:
        return Answer(Came.REPEATED, "This has been taken down already.", proposal)
    try:
        return await settle(services, claimed)
    except StoreError as error:
        log.error("an approval of %s is kept for later: %s", proposal.id, error)
        return Answer(Came.KEPT, ephemeral.KEPT, proposal)


async def settle(services: Services, claimed: ClaimedApproval, *, live: bool = True) -> Answer:
    """Decide, restate, withdraw or refuse, and close the tap. Raises StoreError; then the tap stays open.

    It stays open too while Slack does not say whether the person may, unless they are there (`live`) to be
    told to tap again.
    """
    tap, now = claimed.tap, services.clock()
    proposal = await services.store.do(get_proposal, tap.proposal_id)
    answer = results.gone() if proposal is None else await _settled(services, claimed, proposal)
    log.info("approve by %s (%s) on %s: %s", tap.actor, tap.via, tap.proposal_id, answer.came)
    if answer.came is Came.UNTOLD and not live and now - tap.at < _GIVE_UP_AFTER:
        pause = min(max(now - tap.at, _SOONEST), _LATEST)
        await services.store.do(
            postpone_pending_approval, tap.id, token=claimed.token, due_at=services.clock() + pause
        )
        return Answer(Came.KEPT, ephemeral.KEPT, proposal)
    await services.store.do(
        close_pending_approval, tap.id, token=claimed.token, came=answer.text, at=services.clock()
    )
    services.notify(Queue.EXECUTE, Queue.ANNOUNCE)
    return answer


async def _settled(services: Services, claimed: ClaimedApproval, proposal: Proposal) -> Answer:
    tap = claimed.tap
    refused = await refusal(services, proposal, tap.actor, claimed.team_id, via=tap.via)
    refused = refused or await _own(services, proposal, tap.actor)
    if refused is not None:
        return refused
    if (bar := barred(proposal, Verdict.APPROVE, tap.revision)) is not None:
        return await lost(services, proposal, bar, tap.actor)
    earlier = await services.store.do(approvals, proposal.id, tap.revision)
    gone = await _no_longer(services, proposal, tap, earlier)
    if isinstance(gone, Answer):
        return gone
    standing = set(earlier) - gone
    if tap.actor in standing and len(standing) < (await requirements_of(services, proposal)).people:
        return Answer(Came.TWICE, ephemeral.SECOND_YES_NEEDED, proposal)
    answer = await _concluded(services, tap, proposal, await _looked(services, tap, proposal), gone)
    if answer.came is not Came.FIRST_YES:
        return answer
    return replace(answer, text=await _first_yes(services, proposal, tap.actor, gone))


async def _no_longer(
    services: Services, proposal: Proposal, tap: PendingApproval, earlier: Sequence[str]
) -> frozenset[str] | Answer:
    """Of those who have approved it before, who may decide it no more: their yes no longer counts."""
    gone = set()
    for actor in earlier:
        if actor == tap.actor:  # was looked at just now
            continue
        reason = await services.authority.refusal(actor, None, proposal, by_id=tap.via == CLI)
        if isinstance(reason, Untold):
            return Answer(Came.UNTOLD, ephemeral.other_untold(actor), proposal)
        if reason is not None:
            log.info("the yes of %s to %s counts no more: %s", actor, proposal.id, reason)
            gone.add(actor)
    return frozenset(gone)


async def _first_yes(services: Services, proposal: Proposal, actor: str, gone: frozenset[str]) -> str:
    """What whoever gave the first yes of two is told: whose yes counts no more, whether anybody is left."""
    try:
        alone = await services.authority.everybody(proposal) - gone <= {actor}
    except SlackError:
        alone = False
    return ephemeral.first_yes(gone, alone=alone)


async def refusal(
    services: Services, proposal: Proposal, actor: str, team_id: str | None, *, via: str
) -> Answer | None:
    """Why this person may not decide it; None when they may. Raises StoreError."""
    reason = await services.authority.refusal(actor, team_id, proposal, by_id=via == CLI)
    if isinstance(reason, Untold):
        return Answer(Came.UNTOLD, ephemeral.untold(reason), proposal)
    return None if reason is None else await _refused(services, proposal, reason)


_OTHERS_UNTOLD = "Slack did not say whether anybody else may decide this; tap again in a moment."


async def _own(services: Services, proposal: Proposal, actor: str) -> Answer | None:
    """Whether they asked for it themselves and somebody else could decide: four eyes see more."""
    own = {proposal.proposer: ephemeral.OWN_PROPOSAL, proposal.edited_by: ephemeral.OWN_EDIT}
    if actor not in own:
        return None
    try:
        if await services.authority.everybody(proposal) == {actor}:
            return None
    except SlackError:
        return Answer(Came.UNTOLD, ephemeral.untold(_OTHERS_UNTOLD), proposal)
    return await _refused(services, proposal, own[actor])


async def _refused(services: Services, proposal: Proposal, reason: str) -> Answer:
    deciders = await services.authority.describe(proposal)
    return Answer(Came.REFUSED, ephemeral.refusal(reason, deciders), proposal)


async def lost(services: Services, proposal: Proposal, bar: Bar | None, actor: str) -> Answer:
    """Why a decision does not count; None is for who has said yes already. A stale card is redrawn."""
    if bar is None:
        return Answer(Came.TWICE, ephemeral.SECOND_YES_NEEDED, proposal)
    if bar == Bar.CHANGED:
        await services.store.do(touch, proposal.id, services.clock())
    return results.barred(bar, proposal, actor)


async def _looked(services: Services, tap: PendingApproval, proposal: Proposal) -> Found:
    """What Polar says now; when that takes a while the card says that it is being decided."""
    looking = asyncio.ensure_future(as_shown(services, proposal))
    try:
        await asyncio.wait({looking}, timeout=SHOWN_AFTER)
        if not looking.done():
            await services.store.do(touch, proposal.id, services.clock(), approval_checking_by=tap.actor)
            services.notify(Queue.ANNOUNCE)
        return await looking
    finally:
        looking.cancel()


async def _concluded(
    services: Services, tap: PendingApproval, proposal: Proposal, found: Found, gone: frozenset[str]
) -> Answer:
    """Write down what follows; what has changed meanwhile is found in the same transaction."""
    at, revision = services.clock(), tap.revision
    if isinstance(found, NoLonger):
        done, now = await services.store.do(withdraw, proposal.id, revision, reason=found.why, at=at)
        answer = Answer(Came.WITHDRAWN, ephemeral.withdrawn(found.why), now)
    elif isinstance(found, NewProposal):
        said = changes(proposal, found)
        done, now = await services.store.do(restate, revision, found, changes=said, at=at)
        answer = Answer(Came.RESTATED, ephemeral.STALE, now)
    else:
        own = (
            tap.proposal_id,
            tap.actor,
            Verdict.APPROVE,
            tap.via,
            at,
            tap.reason,
            revision,
            tap.interaction_id,
        )
        decision = Decision(*own, clicked_at=tap.at)
        takes = await requirements_of(services, proposal)
        done, now = await services.store.do(decide, decision, takes, without=gone)
        answer = results.gone() if now is None else results.approved(now)
    if done or now is None:
        return answer
    return await lost(services, now, barred(now, Verdict.APPROVE, revision), tap.actor)


async def requirements_of(services: Services, proposal: Proposal) -> ApprovalRequirements:
    """What its approval takes; what took two people takes two to take back. Raises StoreError."""
    policy = services.rules.policy
    own = requirements(policy, proposal)
    original = await services.store.do(get_proposal, proposal.undo_of_id) if proposal.undo_of_id else None
    return (
        own
        if original is None
        else replace(own, people=max(own.people, requirements(policy, original).people))
    )


def requirements(policy: Policy, proposal: Proposal) -> ApprovalRequirements:
    """How many people this takes and how long it waits once approved, as the policy has it."""
    effects = [_effect(call) for call in proposal.calls]
    known = [effect for effect in effects if effect is not None]
    # What this version does not know is taken for the worst.
    risk = Risk(proposal.risk) if proposal.risk in set(Risk) else Risk.R4
    reversible = len(known) == len(effects) and all(effect.reversible for effect in known)
    hold = policy.undo_window_for(risk, reversible=reversible, money=any(effect.money for effect in known))
    two = policy.takes_two(risk, proposal.amount, proposal.currency)
    return ApprovalRequirements(2 if two else 1, hold)


def _effect(call: ProposalCall) -> Operation | None:
    known = operations().get(call.operation)
    return None if known is None else known.describe(Call.of(call))
