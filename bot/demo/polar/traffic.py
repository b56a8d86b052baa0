"""The requests that the app made: a log to look at, to search and to wait on."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.demo.polar.errors import NO_BODY, Answer

_KEPT = 50_000


@dataclass(slots=True)
class Received:
    """One request and what it was answered. `status` 0 means that the connection was dropped."""

    at: datetime
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    operation: str
    body: Any = None
    status: int = 0
    answer: str = ""
    changed: str | None = None


@dataclass(slots=True)
class Traffic:
    """The requests, oldest first, and who waits for one."""

    requests: deque[Received] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _waiting: list[tuple[Callable[[Received], bool], asyncio.Future[Received]]] = field(default_factory=list)

    def add(self, received: Received) -> None:
        """Keep an answered request and wake who waited for it."""
        self.requests.append(received)
        for predicate, future in self._waiting:
            if not future.done() and predicate(received):
                future.set_result(received)

    def newest(self, count: int) -> list[Received]:
        """The newest `count`, oldest of them first; the same read over and over counts once, the last one."""
        found: list[Received] = []
        before: tuple[Any, ...] = ()
        for each in reversed(self.requests):
            asked = (each.method, each.path, each.query)
            if asked != before or each.method != "GET":
                found.append(each)
            before = asked
            if len(found) == count:
                break
        return found[::-1]

    async def wait_for(self, predicate: Callable[[Received], bool], timeout: float = 5) -> Received:  # noqa: ASYNC109  # the caller's words
        """The first request, past or to come, that fits; TimeoutError after `timeout` seconds."""
        for received in self.requests:
            if predicate(received):
                return received
        future: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        entry = (predicate, future)
        self._waiting.append(entry)
        try:
            return await asyncio.wait_for(future, timeout)
        finally:
            self._waiting.remove(entry)


def in_short(answer: Answer) -> str:
    """The answer in a few words, for the panel of the demo."""
    body = answer.body
    if body is NO_BODY or body is None:
        return ""
    if "pagination" in body:
        return f"{body['pagination']['total_count']} found"
    if answer.status < 400:
        return str(body.get("status") or body.get("name") or body.get("id") or "")
    problem = body.get("detail") or body.get("error_description")
    if isinstance(problem, list):
        problem = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problem)
    return f"{body.get('error', 'error')}: {problem}"[:200]
