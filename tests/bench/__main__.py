"""`python -m tests.bench`: every measurement in one run on this machine, each row printed when it is measured."""

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from tests.bench.accepting import accepting
from tests.bench.bursts import bursts
from tests.bench.cards import cards
from tests.bench.floors import Check, hold
from tests.bench.gate import gate
from tests.bench.history import history
from tests.bench.kills import kills
from tests.bench.quick import checks
from tests.bench.replicas import replicas
from tests.bench.report import Row, as_json, line, markdown
from tests.bench.taps import taps
from tests.bench.weight import weight
from tests.bench.yardstick import Yardstick, yardstick

T = TypeVar("T")
Section = Callable[[Yardstick, int], AsyncGenerator[Row]]
Floors = Callable[[], AbstractAsyncContextManager[Sequence[Check]]]
Say = Callable[[str], None]
Report = list[tuple[str, list[Row]]]
SECTIONS: dict[str, tuple[str, Section]] = {
    "accept": ("Signed webhooks of 4 KB, stored before the 202, all rules on", accepting),
    "burst": ("A burst whose every event becomes a card", bursts),
    "cards": ("From the webhook to the card, with a Slack that answers at once", cards),
    "taps": ("From the tap to Polar, over Socket Mode", taps),
    "weight": ("Memory and start", weight),
    "history": ("With a long past", history),
    "gate": ("The gate and learning over a long history", gate),
    "replicas": ("Replicas on one PostgreSQL (POSTGRES_URL, or through .ci/with-postgres)", replicas),
    "kills": ("Lost over three kills (SIGKILL) under load", kills),
}


async def _whole(wanted: Sequence[str], rounds: int, say: Say) -> tuple[Report, list[str]]:
    """Run the sections one after the other; the report, and the titles of those that broke off."""
    report: Report = []
    broken = []
    async with yardstick() as beside:
        for name in wanted:
            title, section = SECTIONS[name]
            rows: list[Row] = []
            report.append((title, rows))
            say(f"\n{title} ({name})")
            try:
                async with aclosing(section(beside, rounds)) as measured:
                    async for row in measured:
                        rows.append(row)
                        say(line(row))
            except Exception as error:  # noqa: BLE001 - the next section starts the program anew
                broken.append(f"{title}: {type(error).__name__} {error}")
                say(f"  broke off: {type(error).__name__} {error}")
    return report, broken


async def _quick(floors: Floors, say: Say) -> tuple[Report, list[str]]:
    """Hold the floors; the report, and the names of those that were missed twice."""
    async with floors() as found:
        rows, missed = await hold(found, lambda row: say(line(row)))
    return [("Floors, as multiples of the yardstick of this run", rows)], missed


def main(argv: Sequence[str] | None = None, floors: Floors = checks) -> int:
    """The exit code: 0, 1 when a floor was missed or a section broke off, 130 when it was interrupted."""
    asked = _arguments(argv)
    # With --markdown the standard output is the table alone.
    say = partial(print, flush=True, file=sys.stderr if asked.markdown else sys.stdout)
    begun = time.perf_counter()
    work = _quick(floors, say) if asked.quick else _whole(asked.sections or list(SECTIONS), asked.rounds, say)
    try:
        report, missed = uvloop.run(_ended_by_sigterm_too(work))
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    load, took = os.getloadavg()[0], time.perf_counter() - begun
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}, {took:.0f} s"
    say(f"\n{machine}")
    if asked.markdown:
        print(f"{machine}.\n\n{markdown(report)}")
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "rows": as_json(report)}, indent=1))
    for name in missed:
        say(f"MISSED: {name}")
    return 1 if missed else 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute's worth, with floors; 1 if one is missed"
    )
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--markdown", action="store_true", help="print the report as Markdown at the end")
    parser.add_argument("--rounds", type=int, default=2, help="repeat and keep the best of so many (2)")
    asked = parser.parse_args(argv)
    if unknown := set(asked.sections) - SECTIONS.keys():
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    return asked


async def _ended_by_sigterm_too(work: Coroutine[Any, Any, T]) -> T:
    """A SIGTERM ends it as Ctrl-C does: this task is cancelled, so that every child process ends with it."""
    before = signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        return await work
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
