"""Subscribers of something that changes: told after each change, or waiting until something is true."""

import asyncio
from collections.abc import Callable
from typing import Any


class Changes:
    """The subscribers of something that changes."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[], None]] = []

    def subscribe(self, subscriber: Callable[[], None]) -> Callable[[], None]:
        """Have `subscriber` called after every change until the returned function is called."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def changed(self) -> None:
        """Tell all of them."""
        for subscriber in list(self._subscribers):
            subscriber()

    async def wait_until(self, predicate: Callable[[], Any], timeout: float = 5) -> Any:  # noqa: ASYNC109 - the callers' words
        """The first true answer of `predicate()`, asked after each change. Raises TimeoutError."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def ask() -> None:
            if not answer.done() and (found := predicate()):
                answer.set_result(found)

        stop = self.subscribe(ask)
        try:
            ask()
            return await asyncio.wait_for(answer, timeout)
        finally:
            stop()
