"""Ten thousand items in every list of a webhook: the event loop is never held for more than 50 ms."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from polar.webhooks import Scheme
from store import Store
from store.events.events import get_event
from store.models import EventState
from tests.e2e.app_harness import World, eventually, world
from tests.fixtures.signed import sign
from tests.fixtures.store_beside import beside

HELD = 0.05  # seconds of the loop's own processor time
ITEMS, MOST_BYTES = 10_000, 1_000_000
HOSTILE = "*x* <!channel> \u202e"
ROOT = Path(__file__).parents[2]
DELIVERIES = ROOT / "tests/payloads/deliveries.jsonl"


def long_bodies() -> Iterator[bytes]:
    """One webhook of each kind for each list in it, and that list with ten thousand items."""
    seen = set()
    for row in DELIVERIES.read_text("utf-8").splitlines():
        body = json.loads(json.loads(row)["body"])
        if body["type"] in seen:
            continue
        seen.add(body["type"])
        for path in dict.fromkeys(lists_in(body)):
            found = json.loads(json.dumps(body))
            at = found
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = lengthened(at[path[-1]], len(json.dumps(found)))
            found["timestamp"] = datetime.now(UTC).isoformat()
            yield json.dumps(found).encode()


def lists_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all lists, of those in lists the first."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from lists_in(each, (*path, name))
    elif isinstance(value, list):
        yield path
        for number, each in enumerate(value[:1]):
            yield from lists_in(each, (*path, number))


def lengthened(items: list[Any], size: int) -> list[Any]:
    """The list with so many items that Polar's largest webhook has room for: cut ones after the first."""
    room = (MOST_BYTES - size) // ITEMS - 4
    first = items[0] if items else HOSTILE
    if not isinstance(first, dict):
        return [first] * ITEMS
    cut: dict[str, Any] = {}
    for name, each in first.items():
        short = each if isinstance(each, int | str | None) else type(each)()
        if len(json.dumps(cut | {name: short})) <= room:
            cut[name] = short
    return [first, *[cut] * (ITEMS - 1)]


@asynccontextmanager
async def watched(line: World, notes: Path) -> AsyncIterator[None]:
    """The program in a process of its own, which notes what holds its loop."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fixtures.loop_watch", str(notes),
        cwd=ROOT, env={**line.environment, "PATH": "", "PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await line.slack.wait_until(lambda: line.slack.sockets.connections > 0, 120)
        os.truncate(notes, 0)  # what it did to start
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


@pytest.mark.timed
async def test_lists_of_ten_thousand_never_hold_the_loop(tmp_path: Path) -> None:
    notes, states = tmp_path / "notes", set()
    async with (
        world(tmp_path) as line,
        watched(line, notes),
        beside(line.environment["DATABASE_URL"]) as store,
    ):
        for number, body in enumerate(long_bodies()):
            await deliver(line, f"evt_{number}", body)
            states.add(await done(store, f"evt_{number}"))
        noted = [each.split(" ", 1) for each in notes.read_text().splitlines()]
    assert noted  # to read a megabyte takes longer than what is noted
    assert [each for each in noted if float(each[0]) > HELD] == []
    assert states == {EventState.FAILED}  # no rule decides by a part of a list


async def deliver(line: World, id_: str, body: bytes) -> None:
    secret = line.environment["POLAR_WEBHOOK_SECRET"]
    headers = sign(secret, id_, datetime.now(UTC), body, Scheme.WHOLE) | {"content-type": "application/json"}
    url = f"{line.app_url}/polar/webhooks"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 202, await answer.text()


async def done(store: Store, id_: str) -> EventState:
    """Wait until the program has looked at it; its state."""

    async def answered() -> EventState | None:
        found = await store.read(get_event, id_)
        return None if found is None or found.state == EventState.NEW else found.state

    state: EventState = await eventually(answered, 30)
    return state
