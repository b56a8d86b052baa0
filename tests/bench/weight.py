"""What the program weighs, and how long it takes from the start of its process to its health."""

import asyncio
from collections.abc import AsyncGenerator

from bot.demo.app_process import RUN_APP
from tests.bench.deliveries import UNLISTENED
from tests.bench.load import send
from tests.bench.report import Row, amount, at_most
from tests.bench.stage import Stage, on_stage
from tests.bench.yardstick import Yardstick

START, IDLE, WAITING = 0.8, 95.0, 110.0  # aims: seconds, MB, MB with 100,000 proposals waiting
_STARTS = 3
_GROWN, _STEPS, _LONGEST = 100_000, 10, 30.0


async def weight(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """One program with nothing in its database: started, idle, and after 100,000 webhooks."""
    del rounds  # a start is repeated below, and memory hardly varies
    async with on_stage(command=RUN_APP) as stage:
        start = f"verify-only {amount(await yardstick.start(), 's')}"
        yield at_most("start to healthy, nothing stored", await started(stage), "s", START, start)
        memory = f"verify-only {amount(yardstick.memory, 'MB')}"
        yield at_most("memory idle", await idle(stage), "MB", IDLE, memory)
        await _webhooks(stage)
        before, count = stage.memory(), 0
        for _ in range(_STEPS):
            count += await _webhooks(stage)
        name = f"growth of memory over {count:,} webhooks"
        yield at_most(name, stage.memory() - before, "MB", 10, f"from {amount(before, 'MB')}")


async def started(stage: Stage) -> float:
    """The shortest of three starts."""
    found = []
    for _ in range(_STARTS):
        await stage.kill()
        found.append(await stage.start())
    return min(found)


async def idle(stage: Stage) -> float:
    """Memory when all that a start sets in motion has been done."""
    await asyncio.sleep(2)
    return stage.memory()


async def _webhooks(stage: Stage) -> int:
    """A part of the webhooks, accepted and before the rules: fewer of them on a machine that is busy."""
    sent = await send(stage.job(UNLISTENED, most=_GROWN // _STEPS, connections=16, seconds=_LONGEST))
    await stage.concluded(_LONGEST)
    return sent.accepted
