"""Messages sent at set times: reminders, calls to named people, the numbers of the morning. Pure."""

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


def _count(waiting: Sequence[Proposal], still: str = "") -> str:
    return f"1 proposal{still} waits" if len(waiting) == 1 else f"{len(waiting)} proposals{still} wait"


def _listing(
    kind: str, lead: Sequence[Element], text: str, waiting: Sequence[Proposal], links: Mapping[str, str]
) -> Message:
    rows = [_row(proposal, links.get(proposal.id)) for proposal in waiting[:_LISTED]]
    if len(waiting) > _LISTED:
        rows.append(line(glue(f"and {len(waiting) - _LISTED} more: /polar queue")))
    shown = rich(kind, line(*lead, glue(f"{text}:")), bullet_list(rows))
    return Message(escape(f"{text}: {clean(waiting[0].title, 200)}"), (shown,))


def _row(proposal: Proposal, link: str | None) -> Element:
    due = [glue(", decide before "), when(proposal.deadline)] if proposal.deadline else []
    whose = [glue(", assigned to "), person(proposal.assignee)] if proposal.assignee else []
    since = [glue("  since "), when(proposal.created_at)]
    return line(words(proposal.title, 150), *since, *due, *whose, *opens(link))


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
        found.append(glue(f"\n{alone} ran on their own"))
    return found


def chart(days: Sequence[tuple[date, int]]) -> str:
    """One bar a day, in characters that every phone can show: "Mon ▃  4"."""
    most = max((decided for _, decided in days), default=0) or 1
    width = len(str(most))
    return "\n".join(f"{day:%a} {_bar(decided, most)} {decided:>{width}}" for day, decided in days)


def _bar(value: int, most: int) -> str:
    cells, eighths = divmod(round(value / most * 8 * 8), 8)
    return ("█" * cells + (_EIGHTHS[eighths] if eighths else "")).ljust(8)


def span(seconds: float) -> str:
    """A length of time in words: "40 s", "12 min", "3 h", "2 d"."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
