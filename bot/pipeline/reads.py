"""The reads a rule asks for, each made once for one event."""

import json
from collections.abc import Mapping
from typing import Any

from bot.rules import Rule, Scope
from polar.catalog import Call, operations
from polar.client import PolarClient

# A customer with more of anything than this is no routine case.
_MOST_ITEMS = 1_000


class Reads:
    """Answers of Polar, kept for as long as one event is looked at."""

    def __init__(self, polar: PolarClient) -> None:
        self._polar = polar
        self._kept: dict[str, Any] = {}

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
            self._kept[key] = await self._read(call)
        return self._kept[key]

    async def _read(self, call: Call) -> Any:
        if not operations()[call.operation].paginated:
            return (await self._polar.read(call)).body
        return await self._whole_list(call)

    async def _whole_list(self, call: Call) -> Mapping[str, Any]:
        """Every page, so that a rule never takes the first ten for all there are."""
        items: list[Any] = []
        async for item in self._polar.pages(call):
            items.append(item)
            if len(items) >= _MOST_ITEMS:
                break
        return {"items": items}
