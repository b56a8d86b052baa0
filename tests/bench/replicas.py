"""Several whole programs on one PostgreSQL database: webhooks accepted, and whether they get in each other's way."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
from sqlalchemy import make_url

from bot.demo.app_process import RUN_APP
from tests.bench.deliveries import LISTENED, UNLISTENED
from tests.bench.load import Result, send
from tests.bench.report import Row, amount, at_least, none_of
from tests.bench.stage import on_stage
from tests.bench.yardstick import Yardstick
from tests.fixtures.databases import drop_templates, postgres_database

_COUNTS = (1, 2, 4)
_CONNECTIONS, _SECONDS, _MOST = 64, 2.0, 16_000
_BURST = 500  # webhooks that a rule listens to, over all replicas at once
_MEETING = 8.0  # seconds
_AIMS = {2: 1.7, 4: 2.0}  # times what one accepts


async def replicas(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """The best of `rounds` for each number of replicas; nothing is measured without a server."""
    if "POSTGRES_URL" not in os.environ:
        return
    bare = await yardstick.flood(_CONNECTIONS, most=_MOST, seconds=_SECONDS)
    beside = f"verify-only {amount(bare.rate, '/s')}"
    rates: dict[int, float] = {}
    refused = deadlocks = errors = 0
    try:
        for count in _COUNTS:
            made = [await _flood(count) for _ in range(rounds)]
            refused += sum(flood.refused for flood in made)
            deadlocks += sum(flood.deadlocks for flood in made)
            errors += sum(flood.errors for flood in made)
            rates[count] = max(flood.rate for flood in made)
            yield Row(f"accepted with {count}", rates[count], "/s", beside)
            if count in _AIMS:
                name = f"    times what one accepts, {_CONNECTIONS} connections"
                yield at_least(name, rates[count] / rates[1], "times", _AIMS[count])
    finally:
        await drop_templates()
    yield none_of("answers other than 202", refused)
    yield none_of("deadlocks seen by a caller (errors in the logs)", errors)
    yield Row("deadlocks that the server broke up", deadlocks, "")


class _Flood:
    """What came of one number of replicas."""

    def __init__(self, accepted: Result, burst: Result, errors: int, deadlocks: int) -> None:
        self.rate, self.errors, self.deadlocks = accepted.rate, errors, deadlocks
        self.refused = sum(sum(each.statuses.values()) - each.accepted for each in (accepted, burst))


async def _flood(count: int) -> _Flood:
    """So many replicas: webhooks alone, then some that all of them turn into cards at the same time."""
    async with (
        postgres_database() as url,
        on_stage(command=RUN_APP, replicas=count, database_url=url) as stage,
        _connected(url) as database,
    ):
        await send(stage.job(LISTENED, most=10 * count, rate=50))  # the first ones load code
        accepted = await send(stage.job(UNLISTENED, most=_MOST, connections=_CONNECTIONS, seconds=_SECONDS))
        burst = await send(stage.job(LISTENED, most=_BURST, connections=_CONNECTIONS))
        await _proposed(database)
        broken = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return _Flood(accepted, burst, len(stage.errors), await database.fetchval(broken))


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    database = await asyncpg.connect(plain)
    try:
        yield database
    finally:
        await database.close()


async def _proposed(database: asyncpg.Connection) -> None:
    """Wait until every webhook has been before the rules, or for long enough that replicas have met there."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_MEETING):
            while await database.fetchval("SELECT EXISTS (SELECT 1 FROM events WHERE state = 'new')"):  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.1)
