"""Bursts of webhooks that all become cards: how fast the rules are through, at how many statements an event."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from time import time

from tests.bench.deliveries import LISTENED
from tests.bench.load import send
from tests.bench.report import Row, amount, at_most
from tests.bench.stage import Stage, on_stage
from tests.bench.yardstick import Yardstick

EVENTS = 1_000
CONNECTIONS = 64
MOST_STATEMENTS = 10.0  # an event, on average under load
_GIVE_UP = 120.0


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst: seconds from its first webhook on, and statements an event until all cards were drawn."""

    accepted: float
    concluded: float
    carded: float
    statements: float


async def burst(stage: Stage, events: int, first: int) -> Burst:
    """Sends so many at once and waits for their cards; `first` is the number of messages before."""
    before = await stage.statements()
    job = stage.job(LISTENED, most=events, connections=CONNECTIONS, first=first)
    sent = await send(job)
    if not await stage.concluded(_GIVE_UP):
        raise RuntimeError(f"A burst of {events} is not concluded after {_GIVE_UP:.0f} s")
    concluded = time() - sent.begun_at
    if not await stage.carded(first + events, _GIVE_UP):
        raise RuntimeError(f"A burst of {events} has no cards after {_GIVE_UP:.0f} s")
    carded = time() - sent.begun_at
    statements = (await stage.statements() - before) / events
    return Burst(sent.seconds, concluded, carded, statements)


async def bursts(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """The best of `rounds`, in one program."""
    async with on_stage() as stage:
        await warmed(stage)
        made = [await burst(stage, EVENTS, WARM + EVENTS * number) for number in range(rounds)]
    best = min(made, key=lambda one: one.concluded)
    bare = await yardstick.flood(CONNECTIONS, most=EVENTS)
    plain = await yardstick.rows()
    beside = f"verify-only {amount(bare.seconds, 's')}, stored {amount(EVENTS / plain, 's')}"
    yield Row(f"{EVENTS:,} webhooks: all answered", best.accepted, "s", beside)
    yield at_most("    all concluded, from the first webhook", best.concluded, "s", 1)
    yield Row("    proposals", EVENTS / best.concluded, "/s", f"plain sqlite3 {amount(plain, 'webhooks/s')}")
    yield Row("    all cards in Slack", best.carded, "s")
    yield at_most("    statements an event", best.statements, "", MOST_STATEMENTS)


WARM = 20


async def warmed(stage: Stage) -> None:
    """The first cards load code and ask Slack who may decide."""
    await send(stage.job(LISTENED, most=WARM, rate=20))
    await stage.carded(WARM, _GIVE_UP)
