"""Webhooks accepted per second with all rules on, beside a handler that only verifies."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from bot.demo.app_process import RUN_APP
from tests.bench.deliveries import LISTENED, UNLISTENED
from tests.bench.load import Result, send
from tests.bench.report import Row, amount, at_least, milliseconds
from tests.bench.stage import on_stage
from tests.bench.yardstick import Yardstick

AIMS = {64: 60.0, 16: 50.0, 1: 20.0}  # percent of the bare handler, by connections
_KINDS = {LISTENED: "a rule listens", UNLISTENED: "no rule listens"}
_SECONDS = 1.5
_MOST_A_SECOND = {64: 8_000, 16: 8_000, 1: 4_000}


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood over the bare handler, and at once the same over the program."""

    bare: Result
    app: Result

    @property
    def share(self) -> float:
        """Percent of the bare handler's rate."""
        return 100 * self.app.rate / self.bare.rate

    def row(self, name: str, aim: float) -> Row:
        """The share."""
        return at_least(name, self.share, "%", aim, f"verify-only {amount(self.bare.rate, '/s')}")


async def accepting(yardstick: Yardstick, rounds: int) -> AsyncGenerator[Row]:
    """Floods both by turns; the best of `rounds` counts. Each finds a program with an empty database."""
    for connections, aim in AIMS.items():
        for event_type, kind in _KINDS.items():
            made = [await flood(yardstick, connections, event_type) for _ in range(rounds)]
            best = max(made, key=lambda one: one.share)
            over = f"{connections} connection{'s' if connections > 1 else ''}"
            yield best.row(f"{over}, {kind}: share", aim)
            yield Row("    accepted", best.app.rate, "/s", f"verify-only {amount(best.bare.rate, '/s')}")
            for share in (0.5, 0.99):
                beside = f"verify-only {amount(milliseconds(best.bare.latencies, share), 'ms')}"
                name = f"    answered after, p{share * 100:.0f}"
                yield Row(name, milliseconds(best.app.latencies, share), "ms", beside)


async def flood(yardstick: Yardstick, connections: int, event_type: str) -> Flood:
    """The yardstick under the flood, and the program as operators run it."""
    most = int(_SECONDS * _MOST_A_SECOND[connections])
    async with on_stage(command=RUN_APP) as stage:
        await send(stage.job(event_type, most=10, rate=50))  # the first ones load code
        bare = await yardstick.flood(connections, most=most, seconds=_SECONDS)
        app = await send(stage.job(event_type, most=most, connections=connections, seconds=_SECONDS))
    if app.statuses.keys() != {202}:
        raise RuntimeError(f"Not every webhook was accepted: {dict(app.statuses)}")
    return Flood(bare, app)
