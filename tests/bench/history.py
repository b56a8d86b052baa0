"""A program with a long past: 1,000,000 events, 100,000 proposals that wait."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bot.demo.app_process import RUN_APP
from tests.bench.deliveries import LISTENED, UNLISTENED
from tests.bench.filling import Filling, fill
from tests.bench.load import Result, send
from tests.bench.report import Row, amount, at_most, milliseconds, percentile
from tests.bench.stage import UNHURRIED, Stage, on_stage, until
from tests.bench.weight import START, WAITING, idle, started
from tests.bench.yardstick import Yardstick

EVENTS, WAITING_PROPOSALS = 1_000_000, 100_000
_ASSIGNED = 10  # every tenth is assigned to one person
_ASKED = 10  # times each screen is looked at
_HALF_A_YEAR = 180 * 86_400_000_000  # microseconds
_SCREENS = ("queue", "mine", "rules", "trust", "history", "status")
_REPORTS = (("export", "proposals"), ("export", "events"), ("backtest",), ("verify-log",))
_PACE = 50  # webhooks a second beside the screens


async def history(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """Fills the database of one program, starts it again, and looks at everything that it shows."""
    del rounds  # what is slow here is slow each time
    async with on_stage(command=RUN_APP) as stage:
        begun = time.perf_counter()
        await grow(stage, EVENTS, WAITING_PROPOSALS)
        yield Row(
            f"{EVENTS:,} events, {WAITING_PROPOSALS:,} waiting: filled", time.perf_counter() - begun, "s"
        )
        memory = f"verify-only {amount(yardstick.memory, 'MB')}"
        start = f"verify-only {amount(await yardstick.start(), 's')}"
        yield at_most("start to healthy", await started(stage), "s", START, start)
        yield at_most("memory idle", await idle(stage), "MB", WAITING, memory)
        for screen in ("queue", "mine"):
            took = [await shown(stage, screen) for _ in range(_ASKED)]
            yield at_most(f"/polar {screen}, p50", milliseconds(took, 0.5), "ms", 100)
            yield Row("    the longest", max(took) * 1_000, "ms")
        yield Row("memory after that", stage.memory(), "MB", memory)
        await stage.become(UNHURRIED)  # which tells how long its writer was held
        async for row in _beside(stage):
            yield row


async def grow(stage: Stage, events: int, waiting: int) -> None:
    """Let the program make one card, end it, and copy what it wrote; then start it again."""
    await send(stage.job(LISTENED, most=1))
    if not await stage.carded(1, within=30):
        raise RuntimeError("There is no card to copy")
    await until(
        lambda: stage.ask("SELECT min(rendered_version = row_version) FROM proposals") == 1, within=30
    )
    await stage.kill()
    person = stage.demo.slack.people[0]
    await fill(stage.database, lambda database: _past(database, events, waiting, person))
    await stage.start()


def _past(database: Filling, events: int, waiting: int, person: str) -> None:
    """An event every few seconds for half a year, each with a rule match; the newest wait for an answer."""
    apart = _HALF_A_YEAR // events

    def ago(column: str) -> str:
        return f"{column} - {apart} * n"

    database.copies(
        "events",
        events - 1,
        id="'event-' || n",
        body='CAST(\'{"type":"order.paid","data":{"padding":"\' || hex(zeroblob(250)) || \'"}}\' AS BLOB)',
        subject="'order:copy-' || n",
        **{column: ago(column) for column in ("sent_at", "received_at", "due_at", "occurred_at")},
    )
    database.copies(
        "rule_matches", events - 1,
        fact_key="'copy|' || n", event_id="'event-' || n", matched_at=ago("matched_at"),
    )  # fmt: skip
    database.copies(
        "proposals",
        waiting - 1,
        id="'copy' || n",
        fact_key="'copy|' || n",
        event_id="'event-' || n",
        subject="'order:copy-' || n",
        customer_id="'customer-' || n",
        card_ts="card_ts - n",
        created_at=ago("created_at"),
        first_shown_at=ago("first_shown_at"),
        assignee=f"CASE WHEN n % {_ASSIGNED} = 0 THEN '{person}' END",
    )
    for table in ("calls", "transitions"):
        database.copies(table, waiting - 1, proposal_id="'copy' || n")


async def shown(stage: Stage, screen: str) -> float:
    """Seconds from the command to its answer."""
    slack = stage.demo.slack
    person = slack.people[0]
    before = len(slack.ephemerals(person))
    begun = time.perf_counter()
    clicked = await slack.command(person, "/polar", screen)
    if not clicked.acked:
        raise RuntimeError(f"/polar {screen} was not acknowledged: {clicked.error}")
    await slack.wait_until(lambda: len(slack.ephemerals(person)) > before, 30)
    return time.perf_counter() - begun


async def _beside(stage: Stage) -> AsyncGenerator[Row]:
    """How long the writer is held, and a webhook waits, while screens, scrapes and reports are looked at."""
    await stage.held()
    alone = await _webhooks(stage, 3)
    held_alone = await stage.held()
    looks: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        *((f"/polar {screen}", _look(stage, screen)) for screen in _SCREENS),
        ("the Home tab", lambda: _home(stage)),
        ("a scrape", stage.metrics),
    ]
    longest = 0.0
    worst: list[float] = []
    for name, look in looks:
        beside = await _while_looking(stage, look)
        held = await stage.held()
        longest, worst = max(longest, held), [*worst, *beside.latencies]
        yield Row(f"    {name}: writer held at most", held * 1_000, "ms")
    async with _reports(stage):
        beside = await _webhooks(stage, 10)
    held = await stage.held()
    longest, worst = max(longest, held), [*worst, *beside.latencies]
    yield Row("    reports of the command line: writer held at most", held * 1_000, "ms")
    reference = f"without any of them {amount(held_alone * 1_000, 'ms')}"
    yield at_most("the longest that any held the writer", longest * 1_000, "ms", 10, reference)
    for share in (0.5, 0.99):
        reference = f"without any of them {amount(milliseconds(alone.latencies, share), 'ms')}"
        yield Row(
            f"a webhook beside them, p{share * 100:.0f}", percentile(worst, share) * 1_000, "ms", reference
        )


def _look(stage: Stage, screen: str) -> Callable[[], Awaitable[object]]:
    return lambda: shown(stage, screen)


async def _home(stage: Stage) -> None:
    slack = stage.demo.slack
    person, before = slack.people[0], len(slack.calls("views.publish"))
    slack.open_home(person)
    await slack.wait_until(lambda: len(slack.calls("views.publish")) > before, 30)


async def _while_looking(stage: Stage, look: Callable[[], Awaitable[object]]) -> Result:
    """Webhooks while somebody looks again and again."""
    sending = asyncio.create_task(_webhooks(stage, 2))
    try:
        while not sending.done():
            await look()
        return await sending
    finally:
        sending.cancel()


async def _webhooks(stage: Stage, seconds: int) -> Result:
    """Webhooks that change nothing else: each is one tiny write."""
    return await send(stage.job(UNLISTENED, most=_PACE * seconds, rate=_PACE))


@asynccontextmanager
async def _reports(stage: Stage) -> AsyncIterator[None]:
    """Every report of the command line at once, for as long as the block lasts."""
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *report, cwd=stage.folder, env=stage.environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )
        for report in _REPORTS
    ]  # fmt: skip
    try:
        yield
    finally:
        for report in running:
            if report.returncode is None:
                report.kill()
            await report.wait()
