"""Step 5: an Approve that is on disk is checked against Polar as it is now, then decided."""

import logging

from bot.approvals.approve import CLI, ClaimedApproval, settle
from bot.approvals.results import Answer, Came
from bot.services import LEASE, Services, new_token
from bot.slack.client import SlackError
from store.proposals.pending_approvals import PendingApproval, claim_pending_approvals

log = logging.getLogger(__name__)


async def claim(services: Services, limit: int) -> list[ClaimedApproval]:
    """Take taps that nobody sees to: those of a program that was stopped, and those of the command line."""
    token, now = new_token(), services.clock()
    found = await services.store.do(
        claim_pending_approvals, token=token, now=now, until=now + LEASE, limit=limit
    )
    return [ClaimedApproval(tap, token) for tap in found]


async def confirm(services: Services, claimed: ClaimedApproval) -> None:
    """See to a tap whose person no longer waits for the answer, and tell them."""
    tap, answer = claimed.tap, await settle(services, claimed, live=False)
    if answer.came is Came.KEPT or answer.shown or _was_theirs(answer, tap):
        return
    if tap.channel is None or tap.via == CLI:
        return
    try:
        await services.slack.whisper(tap.channel, tap.actor, answer.text)
    except SlackError as error:
        log.warning("%s could not be told what came of a tap: %s", tap.actor, error)


def _was_theirs(answer: Answer, tap: PendingApproval) -> bool:
    """Whether this very tap had been decided when the program was stopped: nothing is left to say."""
    decided_by = None if answer.proposal is None else answer.proposal.decided_by
    return answer.came is Came.TWICE or (answer.came is Came.SETTLED and decided_by == tap.actor)
