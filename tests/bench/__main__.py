"""`python -m tests.bench`: every measurement in one run on this machine, as a table and with --json FILE."""

import argparse
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.bench.accepting import accepting
from tests.bench.cards import cards
from tests.bench.gate import gate
from tests.bench.kills import kills
from tests.bench.report import Row, as_json, table
from tests.bench.taps import taps
from tests.bench.weight import weight

SECTIONS: dict[str, tuple[str, Callable[[int], Awaitable[list[Row]]]]] = {
    "accept": ("Signed webhooks of 4 KB, stored before the 202 (no rule listens)", accepting),
    "cards": ("From the webhook to the card in Slack (Slack's own pace of one a second aside)", cards),
    "taps": ("From the tap to Polar, over Socket Mode", taps),
    "gate": ("The gate of trust over a long history", gate),
    "weight": ("Memory and start", weight),
    "kills": ("Lost over three kills (SIGKILL) under load", kills),
}


async def measure(wanted: list[str], rounds: int) -> list[tuple[str, list[Row]]]:
    """Run the sections one after the other, saying which."""
    found = []
    for name in wanted:
        title, section = SECTIONS[name]
        print(f"… {name}", flush=True)
        found.append((title, await section(rounds)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default all"
    )
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--rounds", type=int, default=2, help="repeat and keep the best of so many (2)")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - SECTIONS.keys():
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    begun = time.perf_counter()
    sections = uvloop.run(measure(arguments.sections or list(SECTIONS), arguments.rounds))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    print(table(sections))
    print(f"\n{machine}; {time.perf_counter() - begun:.0f} s; best of {arguments.rounds} rounds")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "rows": as_json(sections)}, indent=1))


if __name__ == "__main__":
    main()
