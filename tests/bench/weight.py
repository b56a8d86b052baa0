"""What the app weighs, and how long it takes from the start of its process to its health."""

import asyncio

from tests.bench.deliveries import LISTENED
from tests.bench.load import send
from tests.bench.report import Row, at_most
from tests.bench.stage import on_stage, until

_WAITING = 1_000
_STARTS = 3


async def weight(rounds: int) -> list[Row]:
    """One app: started, idle, then with 1,000 cards that nobody has answered."""
    del rounds  # memory hardly varies, and a start is repeated below
    async with on_stage() as stage:
        first = stage.memory()
        starts = []
        for _ in range(_STARTS):
            await stage.demo.app.kill()
            starts.append(await stage.started())
        await asyncio.sleep(1)
        idle = stage.memory()
        await send(stage.job(LISTENED, most=_WAITING, rate=150))
        if not await until(lambda: len(stage.demo.slack.messages()) >= _WAITING, within=60):
            raise RuntimeError(f"{_WAITING} sent, {len(stage.demo.slack.messages())} cards")
        waiting = stage.memory()
        await stage.demo.app.kill()
        full = await stage.started()
    return [
        at_most("start to healthy (best of 3)", min(starts), "s", 1.5),
        at_most("start to healthy with 1,000 waiting", full, "s", 1.5),
        Row("memory after the very first start (tables were made)", first, "MB"),
        at_most("memory idle", idle, "MB", 100),
        at_most("memory with 1,000 proposals waiting", waiting, "MB", 100),
    ]
