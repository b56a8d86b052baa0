"""Before step 4, in a flood: proposals of one kind that have no card yet are put on one together."""

import logging
import secrets

from bot.services import Parts
from bot.ui.bundling import plan
from store.messages.bundles import gathering, put_in_bundle

log = logging.getLogger(__name__)

_LOOKED_AT = 500  # proposals at a time: what is beyond waits for the next look


async def gather(parts: Parts) -> None:
    """Put what waits for a card and is of one kind into bundles."""
    now = parts.clock()
    found = await parts.store.do(gathering, now, _LOOKED_AT)
    for put in plan(found.waiting, found.open, known=found.known, policy=parts.rules.policy, now=now):
        bundle_id = put.bundle_id or f"b{secrets.token_hex(6)}"
        ids = [proposal.id for proposal in put.proposals]
        joined = await parts.store.do(put_in_bundle, bundle_id, put.key, ids, now)
        log.info("put %d proposals into bundle %s (%s)", joined, bundle_id, put.key.split("|")[1])
