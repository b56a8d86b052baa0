"""Close the proposals of a dead worker, and check whether an unanswered write was done after all."""

import logging

from bot.proposals.verify_call import _LOOK_AFTER, ClaimedDoubt, examine
from bot.services import LEASE, Queue, Services, new_token
from store.proposals.execution import claim_unknown, recover_stranded

log = logging.getLogger(__name__)


async def recover(services: Services) -> None:
    """Close what is still `executing` though its worker is gone."""
    count = await services.store.do(recover_stranded, now=services.clock())
    if count:
        log.warning("%s proposals were left running by a worker that died", count)
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)


async def claim(services: Services, limit: int) -> list[ClaimedDoubt]:
    """Take proposals in doubt whose next look is due."""
    token, now = new_token(), services.clock()
    found = await services.store.do(
        claim_unknown,
        token=token,
        now=now,
        until=now + LEASE,
        limit=limit,
        most_attempts=len(_LOOK_AFTER) + 1,
    )
    return [ClaimedDoubt(proposal, token) for proposal in found]


async def look(services: Services, claimed: ClaimedDoubt) -> None:
    """A look that is due: see `examine`."""
    await examine(services, claimed)
