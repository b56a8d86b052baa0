"""The stored webhooks, proposals and rule matches by state, for `/metrics`, Home and `/polar`."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from store import Store
from store.engine.errors import StoreError
from store.models.details import RuleActivity
from store.proposals.stats import count_all, count_open

# Up to so many rows are counted in less than a millisecond, so they are counted at every look.
_FEW = 10_000
_EVERY = 60.0  # seconds
_SHARE = 200  # one part of so many of the time goes into counting


class ByState(NamedTuple):
    """The number of rows in each state."""

    events: Mapping[str, int]
    proposals: Mapping[str, int]


class Counts:
    """Keeps the counts of what is over, and counts the rest at every look.

    A webhook that is new or failed, and a proposal that is not over, is always counted as it stands. Done
    webhooks, proposals in a final state and the activity of rules are counted too while all are few. Past
    ten thousand rows a look is told what `run` found: up to a minute ago, or two hundred times as long as the
    count took. Every replica counts what is in the database, so all tell the same but for that age.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._all: tuple[ByState, Mapping[str, RuleActivity]] | None = None

    async def now(self) -> ByState:
        """The present counts. Raises StoreError."""
        known, _ = await self._known()
        events, proposals = await self._store.read(count_open)
        return ByState({**known.events, **events}, {**known.proposals, **proposals})

    async def rules(self) -> Mapping[str, RuleActivity]:
        """The counts of what each rule has done. Raises StoreError."""
        _, activity = await self._known()
        return activity

    async def run(self) -> None:
        """Count every so often until cancelled, beside the writer: nobody waits for it, the start neither."""
        clock = asyncio.get_running_loop().time
        while True:
            begun = clock()
            with suppress(StoreError):  # a look that needs the database says so
                await self._count()
            await asyncio.sleep(max(_EVERY, _SHARE * (clock() - begun)))

    async def _known(self) -> tuple[ByState, Mapping[str, RuleActivity]]:
        if self._all is None:
            return await self._count()
        by_state, activity = self._all
        rows = [
            *by_state.events.values(),
            *by_state.proposals.values(),
            *(one.matched for one in activity.values()),
        ]
        return self._all if sum(rows) > _FEW else await self._count()

    async def _count(self) -> tuple[ByState, Mapping[str, RuleActivity]]:
        *by_state, activity = await self._store.read(count_all)
        self._all = ByState(*by_state), activity
        return self._all
