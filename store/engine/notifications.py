"""LISTEN and NOTIFY of PostgreSQL: what one replica tells its queues, those of the others hear at once."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from store.engine.engines import is_file, make_engine

log = logging.getLogger(__name__)

Heard = Callable[[Sequence[str]], None]

_CHANNEL = "polar_approvals"
_EVERY = 0.25  # seconds from one NOTIFY to the next; what is told in between goes together
_AGAIN_AFTER = 1.0  # seconds after a lost connection: until then every queue looks by itself


class Notifications:
    """Tells the other replicas names, and hears theirs. Some may be lost: who waits looks by itself too."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._told = set[str]()
        self._news = asyncio.Event()

    def tell(self, names: Iterable[str]) -> None:
        """Have the others hear these names soon; returns at once."""
        self._told.update(names)
        self._news.set()

    async def run(self, engine: AsyncEngine) -> None:
        """Tell and hear until cancelled, over one connection; over a new one when it is lost."""
        while True:
            try:
                await self._over_one_connection(engine)
            except Exception as error:  # noqa: BLE001 - the driver's own errors are no DBAPIError here
                log.warning("other replicas are not told at once: %s", type(error).__name__)
            await asyncio.sleep(_AGAIN_AFTER)

    async def _over_one_connection(self, engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.add_termination_listener(lambda _: self._news.set())
            await driver.add_listener(_CHANNEL, self._hear)
            try:
                while not driver.is_closed():
                    await self._news.wait()
                    self._news.clear()
                    if self._told:
                        names, self._told = ",".join(sorted(self._told)), set()
                        await driver.execute("SELECT pg_notify($1, $2)", _CHANNEL, names)
                    await asyncio.sleep(_EVERY)
            finally:
                await connection.invalidate()  # nobody else gets a connection that listens

    def _hear(self, driver: Any, sender: int, _channel: str, names: str) -> None:
        if sender != driver.get_server_pid():
            self._heard(names.split(","))


@asynccontextmanager
async def notifications(url: str, heard: Heard) -> AsyncIterator[Notifications | None]:
    """A way to tell the other replicas until the block ends; None on SQLite, where there are none."""
    if is_file(url):
        yield None
        return
    told, engine = Notifications(heard), make_engine(url)
    task = asyncio.create_task(told.run(engine), name="notifications")
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.dispose()
