"""A disk that is full: `/healthz` says so from the first failed write until a write works again."""

from pathlib import Path

import aiohttp
import pytest

from store.engine.errors import StoreFailed
from store.models import NewEvent
from tests.e2e.app_harness import world


@pytest.mark.sqlite
async def test_health_fails_after_a_failed_write_and_recovers_when_one_works(tmp_path: Path) -> None:
    async with world(tmp_path) as line, line.app() as app, aiohttp.ClientSession() as session:
        store, now = app.services.store, app.services.clock()

        async def may_have(pages: int) -> int:
            found = await store.do(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar())
            return int(found or 0)

        async def health() -> tuple[int, str]:
            async with session.get(f"{app.url}/healthz") as answer:
                return answer.status, (await answer.json())["store"]

        well = await health()
        await may_have(1)  # SQLite takes no less than there are
        with pytest.raises(StoreFailed, match="database or disk is full"):
            await store.record(NewEvent("evt_large", "order.paid", b"x" * 1_000_000, "", now, now))
        full = [await health() for _ in range(2)]
        await may_have(1_000_000)
        again = [await health() for _ in range(2)]

    assert well == (200, "ok")
    assert full == [(503, "the database takes no write")] * 2
    assert again == [(200, "ok")] * 2
