"""The stored webhooks and proposals by state, for `/metrics`, Home and `/polar`."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from store import Store
from store.engine.errors import StoreError
from store.proposals.stats import count_all, count_open

# Up to so many rows are counted in less than a millisecond, so they are counted at every look.
_FEW = 10_000
_EVERY, _OLDEST = 60.0, 600.0  # seconds


class ByState(NamedTuple):
    """The number of rows in each state."""

    events: Mapping[str, int]
    proposals: Mapping[str, int]


class Counts:
    """Keeps the counts of what is over, and counts the rest at every look.

    A webhook that is new or failed, and a proposal that is not over, is always counted as it stands. Done
    webhooks and proposals in a final state are counted too as long as all are few; past ten thousand they are
    counted anew beside a look when the figures are a minute old, and before it when they are ten minutes old.
    They come from the database, so every replica tells the same but for that age.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: ByState | None = None
        self._taken_at = 0.0
        self._taking: asyncio.Task[None] | None = None

    async def now(self) -> ByState:
        """The present counts. Raises StoreError."""
        known, age = self._all, asyncio.get_running_loop().time() - self._taken_at
        if known is None or age > _OLDEST or sum(map(sum, (one.values() for one in known))) <= _FEW:
            known = await self._take()
        elif age > _EVERY and self._taking is None:
            self._taking = asyncio.create_task(self._take_again(), name="count")
        events, proposals = await self._store.read(count_open)
        return ByState({**known.events, **events}, {**known.proposals, **proposals})

    async def close(self) -> None:
        """Count no more."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)

    async def _take(self) -> ByState:
        self._all = ByState(*await self._store.read(count_all))
        self._taken_at = asyncio.get_running_loop().time()
        return self._all

    async def _take_again(self) -> None:
        with suppress(StoreError):  # the next look tries again, and says so if it fails too
            await self._take()
        self._taking = None
