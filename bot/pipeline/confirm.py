"""Step 5: an Approve that is on disk is checked against Polar as it is now, then decided."""

import logging

from bot.approvals.approve import CLI, ClaimedTap, settle
from bot.approvals.results import Answer, Came
from bot.services import LEASE, Parts, new_token
from bot.slack.client import SlackError
from store.proposals.pending_approvals import Tap, claim_taps

log = logging.getLogger(__name__)


async def claim(parts: Parts, limit: int) -> list[ClaimedTap]:
    """Take taps that nobody sees to: those of a program that was stopped, and those of the command line."""
    token, now = new_token(), parts.clock()
    found = await parts.store.do(claim_taps, token=token, now=now, until=now + LEASE, limit=limit)
    return [ClaimedTap(tap, token) for tap in found]


async def confirm(parts: Parts, claimed: ClaimedTap) -> None:
    """See to a tap whose person no longer waits for the answer, and tell them."""
    tap, answer = claimed.tap, await settle(parts, claimed, live=False)
    if answer.came is Came.KEPT or answer.shown or _was_theirs(answer, tap):
        return
    if tap.channel is None or tap.via == CLI:
        return
    try:
        await parts.slack.whisper(tap.channel, tap.actor, answer.text)
    except SlackError as error:
        log.warning("%s could not be told what came of a tap: %s", tap.actor, error)


def _was_theirs(answer: Answer, tap: Tap) -> bool:
    """Whether this very tap had been decided when the program was stopped: nothing is left to say."""
    decided_by = None if answer.proposal is None else answer.proposal.decided_by
    return answer.came is Came.TWICE or (answer.came is Came.SETTLED and decided_by == tap.actor)
