"""`python -m tests.bench.simulate`: what the rules of graduation do to kinds of case whose true rejection rate is known.

Three rules side by side: ours (bot/graduation), twenty approvals in a row, and a raw rate of 95 % over at least
20 cases; the two latter as they are found elsewhere, without spot checks. Every figure comes from --seed.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bot.graduation.score import STANDARDS, Standard
from polar.catalog import Risk
from tests.bench.simulate_case_kinds import (
    Rule,
    adversary,
    bet,
    graduates,
    graduates_drifting,
    graduates_restarting,
    in_a_row,
    live,
    raw_rate,
    slips,
)
from tests.bench.simulate_plot import picture

OTHERS: tuple[Rule, ...] = (in_a_row, raw_rate)
HORIZON = 2_000  # cases a kind of case is watched for while it tries to graduate
LONG = 20_000  # cases of a long run
RATES = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3)
PROMISED_SHARE = {Risk.R1: 0.015, Risk.R2: 0.008, Risk.R3: 0.002}
EVER = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a figure for each rule, and what ours promises of it (None: nothing)."""

    what: str
    risk: Risk
    ours: float
    others: tuple[float | None, ...]
    promised: float | None = None
    unit: str = "%"
    noise: float = 0.0  # what a promised mean may be missed by, from so many draws

    @property
    def kept(self) -> bool:
        """Whether the promise holds."""
        return self.promised is None or self.ours <= self.promised + self.noise


def share(outcomes: Iterable[bool]) -> float:
    """The share of what is true."""
    known = list(outcomes)
    return sum(known) / len(known)


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that is measured, for so many kinds of case from one seed."""

    seed: int
    case_kinds: int

    def chance(self, *names: object) -> Random:
        """A random source of its own for each figure, so that none moves when another is added."""
        name = "-".join(map(str, (self.seed, *names)))
        return Random(name)  # noqa: S311 - seeded, so that anybody gets the same figures

    def ever(self, name: str, one: Callable[[Random], bool]) -> float:
        """The share of the kinds of case for which `one` says yes."""
        chance = self.chance(name)
        return share(one(chance) for _ in range(self.case_kinds))

    def at_the_limit(self, risk: Risk, standard: Standard) -> Row:
        """A true rate of exactly the limit, forever."""
        ours, *others = (
            self.ever(
                f"limit {risk} {i}",
                lambda chance, rule=rule: graduates(rule, chance, standard.limit, HORIZON),
            )
            for i, rule in enumerate((bet(standard.limit, 0), *OTHERS))
        )
        what = f"graduated wrongly, ever: true rate at the limit, {standard.limit:.0%}"
        return Row(what, risk, ours, tuple(others), EVER)

    def drifting(self, risk: Risk, standard: Standard) -> Row:
        """A true rate that swings between the limit and half as much again."""

        def rate(n: int) -> float:
            return standard.limit * (1.25 + 0.25 * math.sin(n / 50))

        highest = 1.5 * standard.limit
        ours, *others = (
            self.ever(
                f"drift {risk} {i}",
                lambda chance, rule=rule: graduates_drifting(rule, chance, rate, highest, HORIZON),
            )
            for i, rule in enumerate((bet(standard.limit, 0), *OTHERS))
        )
        return Row("the same, drifting from the limit up to 1.5 times it", risk, ours, tuple(others), EVER)

    def retrying(self, risk: Risk, standard: Standard) -> Row:
        """An adversary at the limit who begins a new generation whenever the evidence turns against them."""
        worst = max(
            self.ever(
                f"retry {risk} {patience}",
                lambda chance, patience=patience: graduates_restarting(
                    standard.limit, chance, patience, HORIZON
                ),
            )
            for patience in (1, 3)
        )
        return Row(
            "the same, an adversary who starts a new generation after 1 or 3 rejections",
            risk,
            worst,
            (None, None),
            EVER,
        )

    def long_run(self, risk: Risk, standard: Standard) -> Row:
        """The share of all cases that were bad and ran on their own, at the worst constant rate."""
        lives = max(10, self.case_kinds // 250)
        worst, at = max((self._bad_share(standard, rate, lives), rate) for rate in RATES)
        others = tuple(max(self._unwatched(rule, rate, lives) for rate in RATES) for rule in OTHERS)
        what = f"bad automatic runs, share of all cases, worst constant rate (ours: {at:.1%})"
        return Row(what, risk, worst, others, PROMISED_SHARE[risk])

    def _bad_share(self, standard: Standard, rate: float, lives: int) -> float:
        chance = self.chance("long", standard, rate)
        return sum(live(standard, chance, rate, LONG).bad_alone for _ in range(lives)) / (lives * LONG)

    def _unwatched(self, rule: Rule, rate: float, lives: int) -> float:
        """Without spot checks all that is bad after graduation runs; the cases before it are soon outnumbered."""
        chance = self.chance("unwatched", rule.__name__, rate)
        return rate * share(graduates(rule, chance, rate, HORIZON) for _ in range(10 * lives))

    def sleeping(self, risk: Risk, standard: Standard) -> Row:
        """An adversary who is good until spot checks are rare and bad until caught, again and again."""
        odds = 1 / standard.spot_check_floor
        limit = (odds - 1) / (
            odds + bet(standard.limit, 0)(0, 0)
        )  # of CSP-1 against an adversary, Lieberman 1953
        lives = max(10, self.case_kinds // 50)
        chance = self.chance("sleeper", risk)
        worst = sum(adversary(standard, LONG, chance) for _ in range(lives)) / lives
        what = "the same, an adversary who is good until spot checks are rare, over and over"
        unseen = 1 - 20 / LONG  # after twenty good ones nobody looks again
        return Row(what, risk, worst, (unseen, unseen), limit)

    def sudden(self, risk: Risk, standard: Standard) -> tuple[Row, Row]:
        """Bad automatic runs before a spot check finds out that everything turned bad overnight."""
        counts = sorted(slips(standard, f"{self.seed}-{risk}-{i}") for i in range(self.case_kinds))
        mean, late = sum(counts) / len(counts), counts[int(0.95 * len(counts))]
        floor, never = standard.spot_check_floor, (math.inf, math.inf)
        decay = -math.log(1 - floor)
        mean_noise = 3 * math.sqrt((1 - floor) / len(counts)) / floor
        late_noise = 3 * math.sqrt(0.05 * 0.95 / len(counts)) / (0.05 * decay)
        what = "bad runs before it stops, if the rate jumps to 100 % overnight"
        return (
            Row(f"{what}: mean", risk, mean, never, (1 - floor) / floor, "", mean_noise),
            Row(f"{what}: 95th percentile", risk, late, never, -math.log(0.05) / decay, "", late_noise),
        )

    def asks_left(self, risk: Risk, standard: Standard, rate: float) -> Row:
        """What a person still sees of the first thousand cases."""
        chance, lives = self.chance("asks", risk, rate), max(50, self.case_kinds // 20)
        asked = sum(live(standard, chance, rate, 1_000).asked for _ in range(lives)) / (1_000 * lives)
        return Row(f"asked of the first 1,000 cases at a true rate of {rate:.1%}", risk, asked, (None, None))

    def rows(self) -> list[Row]:
        """The whole table."""
        every = list(STANDARDS.items())
        parts = (self.at_the_limit, self.drifting, self.retrying, self.long_run, self.sleeping)
        rows = [part(risk, standard) for part in parts for risk, standard in every]
        rows += [row for risk, standard in every for row in self.sudden(risk, standard)]
        rows += [
            self.asks_left(risk, standard, rate) for rate in (0, 0.005, 0.01) for risk, standard in every
        ]
        return rows


def figure(value: float | None, unit: str = "%") -> str:
    """A figure of the table."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "no end"
    return f"{100 * value:.2f} %" if unit == "%" else f"{value:.1f}"


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| what | class | ours | 20 in a row | raw ≥ 95 % of ≥ 20 | promised | kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        promised = "–" if row.promised is None else f"≤ {figure(row.promised, row.unit)}"
        cells = [
            row.what,
            row.risk,
            figure(row.ours, row.unit),
            *(figure(other, row.unit) for other in row.others),
        ]
        kept = "" if row.promised is None else "yes" if row.kept else "NO"
        lines.append(f"| {' | '.join([*cells, promised, kept])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--kinds", type=int, default=10_000)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the chart of the README as a PNG")
    arguments = parser.parse_args()
    begun = time.process_time()
    simulation = Simulation(arguments.seed, arguments.kinds)
    rows = simulation.rows()
    print(table(rows))
    spent = time.process_time() - begun
    print(f"\n{arguments.kinds:,} kinds of case, seed {arguments.seed}, {spent:.0f} s of processor time")
    if arguments.plot:
        picture(arguments.plot, case_kinds=arguments.kinds // 10, chance=simulation.chance("picture"))
    if broken := [row for row in rows if not row.kept]:
        raise SystemExit(f"{len(broken)} promises are not kept")


if __name__ == "__main__":
    main()
