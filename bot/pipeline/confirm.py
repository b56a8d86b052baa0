"""Step 5: an Approve that is on disk is checked against Polar as it is now, then decided."""

import logging

from bot.approvals.approve import CLI, ClaimedApproval, settle
from bot.results import DecisionResult, DecisionStatus
from bot.services import LEASE, Services, new_token
from bot.slack.client import SlackError
from bot.ui.ephemeral import decision
from store.proposals.decisions import PendingApproval, claim_pending_approvals

log = logging.getLogger(__name__)


async def claim(services: Services, limit: int) -> list[ClaimedApproval]:
    """Take approvals that nobody sees to: of a program that was stopped, or of the command line."""
    token, now = new_token(), services.clock()
    found = await services.store.do(
        claim_pending_approvals, token=token, now=now, until=now + LEASE, limit=limit
    )
    return [ClaimedApproval(pending, token) for pending in found]


async def confirm(services: Services, claimed: ClaimedApproval) -> None:
    """See to an approval whose approver no longer waits for the result, and tell them."""
    pending, result = claimed.pending, await settle(services, claimed, live=False)
    if result.status is DecisionStatus.POSTPONED or result.on_the_card or _was_theirs(result, pending):
        return
    if pending.channel is None or pending.via == CLI:
        return
    try:
        await services.slack.post_ephemeral(pending.channel, pending.actor, decision(result).mrkdwn)
    except SlackError as error:
        log.warning("%s could not be told the result of an approval: %s", pending.actor, error)


def _was_theirs(result: DecisionResult, pending: PendingApproval) -> bool:
    """Tell whether this very approval had been decided when the program was stopped: nothing is left to
    say.
    """
    if result.status is DecisionStatus.ALREADY_APPROVED:
        return True
    decided_by = None if result.proposal is None else result.proposal.decided_by
    return result.status is DecisionStatus.ALREADY_DECIDED and decided_by == pending.actor
