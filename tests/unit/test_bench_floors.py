"""The floors of `make bench QUICK=1`: a miss counts when it comes twice, and fails the run."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.bench.__main__ import SECTIONS, main
from tests.bench.child import ROOT
from tests.bench.floors import times
from tests.bench.report import Row, amount, at_least, at_most, line, markdown


class Measured:
    """A check that measures these values, one each time."""

    def __init__(self, *values: float, name: str = "accepted") -> None:
        self.values, self.name, self.runs = list(values), name, 0

    async def __call__(self) -> Sequence[Row]:
        self.runs += 1
        return [at_least(self.name, self.values.pop(0), "%", 25), at_most("always met", 1, "", 10)]


def run(*checks: Measured) -> int:
    @asynccontextmanager
    async def floors() -> AsyncIterator[Sequence[Measured]]:
        yield checks

    return main(["--quick"], floors)


def test_a_floor_that_is_held_is_measured_once_and_the_run_ends_with_0():
    check = Measured(30)
    assert run(check) == 0
    assert check.runs == 1


def test_a_floor_that_is_missed_twice_makes_the_exit_code_1_and_is_named(capsys):
    check, other = Measured(20, 24), Measured(26, name="another")
    assert run(check, other) == 1
    assert (check.runs, other.runs) == (2, 1)
    assert capsys.readouterr().out.splitlines()[-1] == "MISSED: accepted"


def test_a_floor_that_is_missed_once_and_then_held_fails_nothing(capsys):
    check = Measured(20, 26)
    assert run(check) == 0
    assert check.runs == 2
    assert "20 %" in capsys.readouterr().out  # the first try is shown too


def test_a_row_that_was_met_keeps_its_first_value_when_another_of_its_check_is_tried_again():
    class Two(Measured):
        async def __call__(self) -> Sequence[Row]:
            self.runs += 1
            return [at_most("steady", self.runs, "", 1), at_most("shaky", 3 - self.runs, "", 1)]

    assert run(Two()) == 0


@pytest.mark.parametrize("slow", [1, 10, 1_000])
def test_a_latency_is_judged_as_a_multiple_of_its_yardstick_however_slow_the_machine(slow):
    assert times("card", 0.008 * slow, 0.001 * slow, 9).met
    assert not times("card", 0.010 * slow, 0.001 * slow, 9).met


def test_a_row_says_its_value_what_stood_beside_it_and_whether_the_aim_was_met():
    row = at_most("webhook to card, p50", 12.34, "ms", 10, "an answer 0.4 ms")
    assert line(row).split() == "webhook to card, p50 12.3 ms an answer 0.4 ms ≤ 10 MISSED".split()
    assert "| webhook to card, p50 | 12.3 ms | an answer 0.4 ms | ≤ 10 | MISSED |" in markdown([("T", [row])])


@pytest.mark.parametrize(
    ("value", "said"), [(0.456, "0.46 s"), (1, "1 s"), (9.99, "10.0 s"), (123.4, "123 s"), (4_976, "4,976 s")]
)
def test_a_value_has_no_more_digits_than_it_is_worth(value, said):
    assert amount(value, "s") == said


def test_the_readme_names_every_section():
    readme = (ROOT / "tests/bench/README.md").read_text(encoding="utf-8")
    rows = [each.split("`")[1] for each in readme.splitlines() if each.startswith("| `")]
    assert rows == list(SECTIONS)
