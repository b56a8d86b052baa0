"""The month's script names only what there is: scenes, verbs, cases and people."""

from dataclasses import fields

import pytest

from bot.demo.month.month import DAYS, SCRIPT, scene
from bot.demo.month.scenes import VERBS
from bot.demo.month.stage import Stage, Team
from bot.demo.story import CASES

STEPS = [(name, step) for name, steps in SCRIPT["scenes"].items() for step in steps]
PEOPLE = {f"${person.name}" for person in fields(Team)}


def words(written):
    if isinstance(written, str):
        return [written]
    inside = written.values() if isinstance(written, dict) else written if isinstance(written, list) else ()
    return [word for each in inside for word in words(each)]


def test_every_scene_of_the_thirty_days_can_be_played():
    assert [str(day) for day in range(1, DAYS + 1)] == list(SCRIPT["days"])
    assert DAYS == 30
    assert all(callable(scene(name)) for names in SCRIPT["days"].values() for name in names)
    assert SCRIPT["scenes"].keys() <= {name for names in SCRIPT["days"].values() for name in names}


@pytest.mark.parametrize(("name", "step"), STEPS)
def test_every_step_has_a_verb_and_names_what_it_may(name, step):
    verb, *given = step
    verbs = [each for each, *_ in SCRIPT["scenes"][name]]
    assert verb == "tell" or verb in VERBS or callable(getattr(Stage, verb, None))
    assert verb != "case" or given[0] in CASES
    named = {word for word in words(given) if word.startswith("$")} - PEOPLE - {"$start"}
    earlier = {f"${each}" for each in verbs[: SCRIPT["scenes"][name].index(step)]}
    assert named <= earlier | ({"$case"} if name == "tomorrow" else set())
