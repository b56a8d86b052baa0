"""A small run of the simulation: the promises of graduation hold, and the rules of others break them."""

import pytest

from bot.graduation.score import STANDARDS
from polar.catalog import Risk
from tests.bench.simulate import Simulation, table

SMALL = Simulation(seed=5, case_kinds=500)
CLASSES = pytest.mark.parametrize(("risk", "standard"), STANDARDS.items(), ids=str)


@CLASSES
@pytest.mark.parametrize("part", ["at_the_limit", "drifting", "retrying"])
def test_at_most_one_in_twenty_ever_graduates_wrongly(part, risk, standard):
    row = getattr(SMALL, part)(risk, standard)
    assert 0 <= row.ours <= 0.05


def test_the_rules_of_others_graduate_what_ours_does_not():
    row = SMALL.at_the_limit(Risk.R2, STANDARDS[Risk.R2])
    assert min(row.others) > 0.9


@CLASSES
def test_bad_auto_runs_stay_within_the_promised_share_in_the_long_run(risk, standard):
    row = SMALL.long_run(risk, standard)
    assert row.kept, table([row])
    assert row.ours > row.promised / 10, "spot checks alone did not do this: the simulation lets nothing run"


@CLASSES
def test_as_many_slip_through_a_sudden_change_as_promised(risk, standard):
    mean, late = SMALL.sudden(risk, standard)
    assert mean.kept, table([mean])
    assert late.kept, table([late])
    assert abs(mean.ours - mean.promised) <= mean.noise


@CLASSES
def test_what_is_left_to_ask_of_good_cases_is_what_the_method_says(risk, standard):
    said = {Risk.R1: 0.15, Risk.R2: 0.21, Risk.R3: 0.43}[risk]
    assert abs(SMALL.asks_left(risk, standard, 0).ours - said) < 0.02


def test_the_same_seed_gives_the_same_figures():
    parts = [Simulation(9, 100).at_the_limit(Risk.R1, STANDARDS[Risk.R1]) for _ in range(2)]
    assert parts[0] == parts[1]
