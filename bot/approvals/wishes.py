"""The safe direction needs nobody's word: what a person stops is on disk before Slack says who they are."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeVar

from bot.config.settings import Approvers
from bot.services import Queue, Services
from store import Connection
from store.proposals.wishes import Wish, grant_wish, keep_wish

T = TypeVar("T")
Work = Callable[[Connection], tuple[bool, T]]  # what is carried out, and True if it changed something

# Seconds that a decline, undo, hold or pause waits for Slack's word. Slack itself waits three.
PATIENCE = 1.0


class Kept(StrEnum):
    """The place of a wish before Slack has said whose it is."""

    GRANTED = "granted"  # it took effect, and is confirmed afterwards
    KEPT = "kept"  # it takes effect once Slack says that they may
    NOT_KEPT = "not_kept"  # nobody of this name or group may


async def soon(asking: Awaitable[T], otherwise: T, within: float | None = PATIENCE) -> T:
    """The answer of Slack, or `otherwise` when it takes too long for somebody who stops something."""
    try:
        async with asyncio.timeout(within):
            return await asking
    except TimeoutError:
        return otherwise


async def without_word(
    services: Services,
    wish: Wish,
    named: Approvers,
    work: Work[T] | None,
    stored: Callable[[], None] = lambda: None,
) -> tuple[Kept, tuple[bool, T] | None]:
    """Store a wish whose person Slack does not name, and what came of it where it took effect.

    It takes effect at once by an id in `named`. Without `work` nothing may happen before Slack has said
    who it is. `stored` is called once it is on disk. Raises StoreError.
    """
    result = None
    if wish.actor in named.users and work is not None:
        kept, result = Kept.GRANTED, await services.store.do_for_person(grant_wish, wish, work)
    elif wish.actor in named.users or named.groups:
        kept, _ = Kept.KEPT, await services.store.do_for_person(keep_wish, wish)
    else:
        return Kept.NOT_KEPT, None
    stored()
    services.notify(Queue.WISHES)
    return kept, result
