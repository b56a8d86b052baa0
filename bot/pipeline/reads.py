"""The reads a rule asks for, each made once for one event."""

import json
from collections.abc import Mapping
from typing import Any

from bot.rules import Rule, Scope
from polar.catalog import Call, operations
from polar.client import READ_WITHIN, PolarClient
from polar.errors import NoAnswer, NotSent, PolarError, RateLimited

# A customer with more of anything than this is no routine case.
_MOST_ITEMS = 1_000


class Reads:
    """Answers of Polar, kept for as long as one event is looked at; each is tried for `within` seconds."""

    def __init__(self, polar: PolarClient, *, within: float = READ_WITHIN) -> None:
        self._polar, self._within = polar, within
        self._kept: dict[str, Any] = {}
        self._away: PolarError | None = None

    async def fill(self, rule: Rule, scope: Scope) -> Scope:
        """The scope with every read of the rule in it. Raises PolarError, EvaluationError."""
        for read in rule.reads:
            call = rule.request(read, scope)
            scope = scope.plus(**{read.name: None if call is None else await self.answer(call)})
        return scope

    async def answer(self, call: Call) -> Any:
        """What Polar answers, lists in full. Raises PolarError."""
        key = json.dumps([call.operation, call.path, call.query], sort_keys=True)
        if key not in self._kept:
            if self._away is not None:
                raise self._away  # the next rule would wait just as long, and our claim runs out
            try:
                self._kept[key] = await self._read(call)
            except (NotSent, RateLimited, NoAnswer) as error:
                self._away = error
                raise
        return self._kept[key]

    async def _read(self, call: Call) -> Any:
        if not operations()[call.operation].paginated:
            return (await self._polar.read(call, within=self._within)).body
        return await self._whole_list(call)

    async def _whole_list(self, call: Call) -> Mapping[str, Any]:
        """Every page, so that a rule never takes the first ten for all there are."""
        items: list[Any] = []
        async for item in self._polar.pages(call, within=self._within):
            items.append(item)
            if len(items) >= _MOST_ITEMS:
                break
        return {"items": items}
