"""The history of the score of one kind of case, as points and events for a chart. Pure."""

from datetime import datetime
from enum import StrEnum

from bot.graduation import score
from store.models import CaseKindState
from store.models.graduation import Change, History

MOST_POINTS = 400  # more than a chart of 800 pixels can show

Point = tuple[datetime, float]


class Event(StrEnum):
    """An event that the chart marks."""

    GRADUATED = "graduated"
    DEMOTED = "demoted"
    PAUSED = "paused"
    TURNED_OFF = "turned_off"
    SPOT_CHECK = "spot_check"


def points(history: History) -> list[Point]:
    """The score after each counted case. Of many points some are left out. A generation ends at 0."""
    tallies = {generation: list(counted) for generation, counted in history.before.items()}
    ends = [(change.at, change.generation) for change in history.changes if change.demoted]
    kept: list[tuple[datetime, int, int, int]] = []
    every = max(len(history.points) // MOST_POINTS, 1)
    for number, (at, generation, rejected) in enumerate(history.points):
        if any(ended_at <= at and generation < begun for ended_at, begun in ends):
            continue  # it counted only after the end of its generation
        tally = tallies.setdefault(generation, [0, 0])
        tally[0] += 1
        tally[1] += rejected
        if rejected or number % every == 0 or number == len(history.points) - 1:
            kept.append((at, tally[0], tally[1], generation))
    found = [(at, score.score(n, k, generation)) for at, n, k, generation in kept]
    return sorted([*found, *((at, 0.0) for at, _ in ends)], key=lambda point: point[0])


def events(history: History) -> list[tuple[datetime, Event]]:
    """The marked events, oldest first."""
    changed = [(change.at, _marked(change)) for change in history.changes]
    return sorted([*changed, *((at, Event.SPOT_CHECK) for at in history.spot_checks)])


def _marked(change: Change) -> Event:
    if change.to == CaseKindState.GRADUATED:
        return Event.GRADUATED
    if change.demoted:
        return Event.DEMOTED
    return Event.PAUSED if change.to == CaseKindState.PAUSED else Event.TURNED_OFF
