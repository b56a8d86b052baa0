"""The reads of Polar that rules ask for, each made once for one event."""

import json
from collections.abc import Mapping
from typing import Any

from bot.rules import Rule, Scope
from polar.catalog import Call, operations
from polar.client import READ_WITHIN, PolarClient
from polar.errors import NoAnswer, NotSent, PolarError, RateLimited

# A customer with more of anything than this is no routine case.
_MOST_ITEMS = 1_000
_MOST_KEPT = 5  # of a list, beside the proposal
_TELLING = frozenset(
    {"id", "status", "amount", "currency", "is_invoice_generated", "is_granted", "inserted", "duplicates"}
)
_TELLING_ENDS = ("_id", "_amount")


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
        """Polar's answer; of a list, all items. Raises PolarError."""
        key = _key(call)
        if key not in self._kept:
            if self._away is not None:
                raise self._away  # the next rule would wait just as long, and our claim runs out
            try:
                self._kept[key] = await self._read(call)
            except (NotSent, RateLimited, NoAnswer) as error:
                self._away = error
                raise
        return self._kept[key]

    def kept(self, rule: Rule, scope: Scope) -> dict[str, Any] | None:
        """The part of the reads that is stored beside a proposal; None when there are none."""
        calls = {read.name: rule.request(read, scope) for read in rule.reads}
        found = {name: self._kept.get(_key(call)) for name, call in calls.items() if call is not None}
        return {name: _cut(answer) for name, answer in found.items()} or None

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


def _key(call: Call) -> str:
    return json.dumps([call.operation, call.path, call.query], sort_keys=True)


def _cut(answer: Any) -> Any:
    listed = answer.get("items") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        return excerpt(answer)
    return {"count": len(listed), "first": [excerpt(one) for one in listed[:_MOST_KEPT]]}


def excerpt(body: Any) -> dict[str, Any] | None:
    """The part of Polar's answer that is stored: ids, state, amounts; no keys, tokens, links or addresses."""
    if not isinstance(body, Mapping):
        return None
    return {
        name: value
        for name, value in body.items()
        if (name in _TELLING or name.endswith(_TELLING_ENDS)) and isinstance(value, str | int | bool)
    }
