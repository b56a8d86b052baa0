"""Webhooks accepted per second, beside a bare handler that only verifies."""

from tests.bench.bare import bare_handler
from tests.bench.deliveries import LISTENED, UNLISTENED
from tests.bench.load import Job, Result, send
from tests.bench.report import Row, at_least, milliseconds
from tests.bench.stage import Stage, on_stage

CONNECTIONS = (1, 16, 64)
_SECONDS = 2.0
_MOST_A_SECOND = {1: 3_000, 16: 8_000, 64: 8_000}
_AIM = 60.0  # percent of the bare handler


async def accepting(rounds: int) -> list[Row]:
    """Floods both by turns, over 1, 16 and 64 connections; the best of `rounds` counts for each."""
    best: dict[tuple[str, int], Result] = {}
    async with on_stage() as stage, bare_handler(stage.demo.polar.webhook_secret) as bare:
        for _ in range(rounds):
            for connections in CONNECTIONS:
                app = stage.job(
                    UNLISTENED,
                    connections=connections,
                    most=int(_SECONDS * _MOST_A_SECOND[connections]),
                    seconds=_SECONDS,
                )
                for name, job in (("bare", _elsewhere(app, bare)), ("app", app)):
                    result = await send(job)
                    _all_accepted(result)
                    _keep(best, (name, connections), result)
                await stage.settled()
        burst = await _burst(stage)
    return [*_rows(best), *burst]


def _elsewhere(job: Job, port: int) -> Job:
    return Job(port, job.secret, job.event_type, job.connections, job.most, job.seconds)


def _all_accepted(result: Result) -> None:
    if result.statuses.keys() != {202}:
        raise RuntimeError(f"Not every webhook was accepted: {dict(result.statuses)}")


def _keep(best: dict[tuple[str, int], Result], key: tuple[str, int], result: Result) -> None:
    if key not in best or _rate(best[key]) < _rate(result):
        best[key] = result


def _rate(result: Result) -> float:
    return result.accepted / result.seconds


def _rows(best: dict[tuple[str, int], Result]) -> list[Row]:
    rows = []
    for connections in CONNECTIONS:
        bare, app = best["bare", connections], best["app", connections]
        rows += [
            Row(f"{connections:>2} connections: bare handler", _rate(bare), "/s"),
            Row(f"{connections:>2} connections: the app", _rate(app), "/s"),
            at_least("                the app, share of bare", 100 * _rate(app) / _rate(bare), "%", _AIM),
            Row("                the app, p50", milliseconds(app.latencies, 0.5), "ms"),
            Row("                the app, p99", milliseconds(app.latencies, 0.99), "ms"),
            Row("                load generator busy (bare)", 100 * bare.busy, "%"),
        ]
    return rows


async def _burst(stage: Stage) -> list[Row]:
    """What a flood does whose every event becomes a card."""
    count = 1_000
    result = await send(stage.job(LISTENED, most=count, connections=64))
    _all_accepted(result)
    return [
        Row("1,000 that a rule listens to, 64 connections", _rate(result), "/s"),
        Row("                p50", milliseconds(result.latencies, 0.5), "ms"),
        Row("                p99", milliseconds(result.latencies, 0.99), "ms"),
    ]
