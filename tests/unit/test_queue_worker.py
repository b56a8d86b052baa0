"""When a queue worker looks for rows: at the start, when it is told, and when there may be more of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bot.pipeline.worker import QueueWorker
from bot.services import Queue

NEVER = 3600.0  # seconds between looks of its own


class Rows:
    """Rows that wait, those under way, and what each look for them found."""

    def __init__(self, *waiting: str) -> None:
        self.waiting = list(waiting)
        self.claims: list[list[str]] = []
        self.done: list[str] = []
        self.held: asyncio.Event | None = None  # rows are finished once it is set
        self.worker = QueueWorker[str](Queue.PROPOSE, self._claim, self._handle, width=4, idle=NEVER)

    async def _claim(self, room: int) -> Sequence[str]:
        found, self.waiting = self.waiting[:room], self.waiting[room:]
        self.claims.append(found)
        return found

    async def _handle(self, row: str) -> None:
        if self.held is not None:
            await self.held.wait()
        self.done.append(row)

    @asynccontextmanager
    async def worked_on(self) -> AsyncIterator[None]:
        """The worker at work; at the end it has seen everything that was to be seen."""
        working = asyncio.create_task(self.worker.run())
        yield
        await settled()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def settled() -> None:
    """Let every task go on until each of them waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_rows_that_were_all_there_were_lead_to_no_other_look() -> None:
    rows = Rows("a", "b", "c")

    async with rows.worked_on():
        pass

    assert rows.done == ["a", "b", "c"]
    assert rows.claims == [["a", "b", "c"]]


async def test_where_there_may_be_more_it_looks_once_for_all_rows_that_are_finished_together() -> None:
    rows = Rows(*"abcdefghij")

    async with rows.worked_on():
        pass

    assert rows.done == list("abcdefghij")
    assert rows.claims == [list("abcd"), list("efgh"), list("ij")]


async def test_a_finished_row_makes_room_for_one_that_waits() -> None:
    rows = Rows(*"abcde")
    rows.held = asyncio.Event()

    async with rows.worked_on():
        await settled()
        assert rows.claims == [list("abcd")]
        rows.held.set()

    assert rows.claims == [list("abcd"), ["e"]]


async def test_it_looks_when_it_is_told_also_while_rows_are_under_way() -> None:
    rows = Rows("a")
    rows.held = asyncio.Event()

    async with rows.worked_on():
        await settled()
        rows.waiting = ["b"]
        rows.worker.notify()
        await settled()
        assert rows.claims == [["a"], ["b"]]
        rows.held.set()

    assert rows.done == ["a", "b"]
    assert rows.claims == [["a"], ["b"]]
