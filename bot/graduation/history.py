"""The course of one kind of case as points and events: what a picture shows, and what words say. Pure."""

from collections.abc import Sequence
from datetime import datetime

from bot.graduation import score
from store.models import CaseKindState
from store.models.graduation import Change, Course

MOST_POINTS = 400  # more than a picture of 800 dots can show

Point = tuple[datetime, float]


def points(course: Course) -> list[Point]:
    """The score after each counted case, thinned out where there are many; what ends an generation starts
    at 0.
    """
    tallies = {generation: list(counted) for generation, counted in course.before.items()}
    ends = [(change.at, change.generation) for change in course.changes if change.fell]
    kept: list[tuple[datetime, int, int, int]] = []
    every = max(len(course.points) // MOST_POINTS, 1)
    for number, (at, generation, bad) in enumerate(course.points):
        if any(fell_at <= at and generation < begun for fell_at, begun in ends):
            continue  # matured after its generation had ended
        tally = tallies.setdefault(generation, [0, 0])
        tally[0] += 1
        tally[1] += bad
        if bad or number % every == 0 or number == len(course.points) - 1:
            kept.append((at, tally[0], tally[1], generation))
    found = [(at, score.score(n, k, generation)) for at, n, k, generation in kept]
    return sorted([*found, *((at, 0.0) for at, _ in ends)], key=lambda point: point[0])


def events(course: Course) -> list[tuple[datetime, str]]:
    """What is marked: the first word decides how (`bot.graduation.plot`)."""
    changed = [(change.at, _marked(change)) for change in course.changes]
    return sorted([*changed, *((at, "audit") for at in course.audits)])


def in_words(found: Sequence[Point], most: int = 6) -> str:
    """The last points, for who gets no picture: `12 May 41.2, 19 May 62.0`."""
    return (
        ", ".join(f"{at.day} {at:%b} {value:.1f}" for at, value in found[-most:])
        or "no decision has counted yet"
    )


def _marked(change: Change) -> str:
    if change.to == CaseKindState.GRADUATED:
        return "graduated"
    if change.fell:
        return "demoted"
    return "paused" if change.to == CaseKindState.PAUSED else "turned off"
