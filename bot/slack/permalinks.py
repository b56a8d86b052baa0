"""Links to cards. Slack is asked once for each, for at most a second; without an answer the id is shown."""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from bot.slack.client import Slack, SlackError
from store import Store
from store.models import Proposal
from store.proposals.lists import card_places

log = logging.getLogger(__name__)

_WITHIN = 1.0  # seconds: an answer to a command has three
_MOST_KEPT = 2_000

Place = tuple[str, str]


class Links:
    """The links of cards. A message's link never changes, so Slack is asked once for each."""

    def __init__(self, store: Store, slack: Slack, within: float = _WITHIN) -> None:
        self._store, self._slack, self._within = store, slack, within
        self._known: dict[Place, str] = {}

    async def of(self, found: Sequence[Proposal]) -> Mapping[str, str]:
        """Links by proposal id, as many as Slack gives in time. Raises StoreError."""
        places = await self._store.read(card_places, list(found))
        missing = {place for place in places.values() if place not in self._known}
        if missing:
            await self._ask(missing)
        return {id_: self._known[place] for id_, place in places.items() if place in self._known}

    async def _ask(self, missing: set[Place]) -> None:
        try:
            async with asyncio.timeout(self._within), asyncio.TaskGroup() as group:
                for place in missing:
                    group.create_task(self._learn(place))
        except TimeoutError:
            log.info("Slack gave not all of %s links in time", len(missing))
        while len(self._known) > _MOST_KEPT:
            del self._known[next(iter(self._known))]

    async def _learn(self, place: Place) -> None:
        try:
            self._known[place] = await self._slack.permalink(*place)
        except SlackError as error:
            log.info("no link to the card at %s: %s", place[1], error)
