"""Parts of both stand-ins: subscribers of a change, faults on request, a server on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from aiohttp import web

ANY = "*"
F = TypeVar("F")
T = TypeVar("T")


@asynccontextmanager
async def serving(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """Serves it until the end of the block; its address. `port` 0 is any free one."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


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

    async def wait_until(self, predicate: Callable[[], T | None], timeout: float = 5) -> T:  # noqa: ASYNC109 - the callers' words
        """The first true answer of `predicate()`, asked after each change. Raises TimeoutError."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def ask() -> None:
            if not answer.done() and (found := predicate()):
                answer.set_result(found)

        stop = self.subscribe(ask)
        try:
            ask()
            return await asyncio.wait_for(answer, timeout)
        finally:
            stop()


class Faults(Generic[F]):
    """Faults that wait for a call, first asked first served."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, F]] = []

    def add(self, where: str, fault: F, times: int) -> None:
        """Have it happen to the next `times` calls that fit `where`: a name, or ANY."""
        self._waiting += [(where, fault)] * times

    def take(self, *names: str) -> F | None:
        """The fault of a call with these names, if there is one; it is used up."""
        for place, (where, fault) in enumerate(self._waiting):
            if where == ANY or where in names:
                del self._waiting[place]
                return fault
        return None
