"""Questions that wait too long, calls nobody knows of, and the numbers of the morning, as messages. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date

from bot.ui.elements import (
    Block,
    Element,
    Message,
    bullet_list,
    context,
    escape,
    glue,
    line,
    mention,
    opens,
    person,
    preformatted,
    rich,
    when,
    words,
)
from bot.ui.states import counted
from polar.text.words import clean
from store.models import Actor, Proposal
from store.models.details import DailyStats

_LISTED = 10
_EIGHTHS = " ▏▎▍▌▋▊▉"  # eighths of a character cell, from the left


def reminder(waiting: Sequence[Proposal], links: Mapping[str, str]) -> Message:
    """One reminder for all waiting proposals, the most urgent first. It mentions nobody."""
    said = f"{_count(waiting, ' still')} for a decision"
    return _listing("reminder", [], said, waiting, links)


def escalation(waiting: Sequence[Proposal], people: Sequence[str], links: Mapping[str, str]) -> Message:
    """The call to named people (user and user group ids). It mentions them."""
    said = f"{_count(waiting)} too long for a decision"
    called = [element for one in people for element in (mention(one), glue(" "))]
    return _listing("escalation", called, said, waiting, links)


def doubt(found: Sequence[Proposal], people: Sequence[str], links: Mapping[str, str]) -> Message:
    """The reminder of calls whose result nobody knows, the most money first. It mentions `people`."""
    many = "1 proposal" if len(found) == 1 else f"{len(found)} proposals"
    said = f"Polar never answered {many}. Look in Polar, then tap Was done or Not done"
    called = [element for one in people for element in (mention(one), glue(" "))]
    return _listing("doubt", called, said, found, links, rest="/polar queue unknown")


def _count(waiting: Sequence[Proposal], still: str = "") -> str:
    return f"1 proposal{still} waits" if len(waiting) == 1 else f"{len(waiting)} proposals{still} wait"


def _listing(
    kind: str,
    lead: Sequence[Element],
    text: str,
    waiting: Sequence[Proposal],
    links: Mapping[str, str],
    *,
    rest: str = "/polar queue",
) -> Message:
    rows = []
    for p in waiting[:_LISTED]:
        due = [glue(", decide before "), when(p.deadline)] if p.deadline else []
        whose = [glue(", assigned to "), person(p.assignee)] if p.assignee else []
        since = [glue("  since "), when(p.created_at)]
        rows.append(line(words(p.title, 150), *since, *due, *whose, *opens(links.get(p.id))))
    if len(waiting) > _LISTED:
        rows.append(line(glue(f"and {len(waiting) - _LISTED} more: {rest}")))
    shown = rich(kind, line(*lead, glue(f"{text}:")), bullet_list(rows))
    return Message(escape(f"{text}: {clean(waiting[0].title, 200)}"), (shown,))


def digest(
    day: date,
    of_day: DailyStats,
    waiting: int,
    days: Sequence[tuple[date, int]],
    *,
    more: Sequence[Block] = (),
    seal: str = "",
) -> Message:
    """The numbers of `day` for the morning after, with a small chart of the days up to it: (day, decided).

    `waiting` are the proposals that waited at the end of the day and still wait. `more` are the automatic
    runs. `seal` is the newest row of the log; the channel keeps a copy of it.
    """
    text = f"{day:%A}: {of_day.asked} new, {of_day.decided} decided, {waiting} left over"
    blocks = [
        rich("digest.head", line(words(text, 200, bold=True))),
        rich("digest.numbers", line(*_numbers(of_day))),
        *([rich("digest.chart", preformatted(chart(days)))] if days else []),
        *more,
        *([context("digest.seal", f"Log: {seal}")] if seal else []),
    ]
    return Message(escape(text), tuple(blocks))


def _numbers(of_day: DailyStats) -> list[Element]:
    if not of_day.decided:
        return [glue("Nothing was decided.")]
    found: list[Element] = [glue(f"{counted(of_day.states)}.")]
    if of_day.seconds:
        middle = of_day.seconds[len(of_day.seconds) // 2]
        found.append(glue(f" Half were decided within {span(middle)}."))
    decided = {actor: count for actor, count in of_day.people.items() if actor != Actor.POLICY}
    for actor, count in sorted(decided.items(), key=lambda one: (-one[1], one[0]))[:5]:
        found += [glue("\n"), person(actor), glue(f" decided {count}")]
    if alone := of_day.people.get(Actor.POLICY, 0):
        found.append(glue(f"\n{alone} ran automatically"))
    return found


def chart(days: Sequence[tuple[date, int]]) -> str:
    """One bar a day, in characters that every phone can show: "Mon ▃  4"."""
    most = max((decided for _, decided in days), default=0) or 1
    rows = []
    for day, decided in days:
        cells, eighths = divmod(round(decided / most * 8 * 8), 8)
        bar = "█" * cells + (_EIGHTHS[eighths] if eighths else "")
        rows.append(f"{day:%a} {bar:<8} {decided:>{len(str(most))}}")
    return "\n".join(rows)


def span(seconds: float) -> str:
    """A length of time in words: "40 s", "12 min", "3 h", "2 d"."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
