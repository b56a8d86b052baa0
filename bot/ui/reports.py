"""Reports of the program: its status, pauses, its removal from Slack. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.results import PauseResult, PauseStatus
from bot.ui.elements import (
    Element,
    Message,
    bullet_list,
    context,
    escape,
    filled,
    glue,
    joined,
    line,
    person,
    rich,
    text,
    when,
    words,
)
from bot.ui.ephemeral import KEPT, refused
from bot.ui.reasons import because
from bot.ui.states import open_problems
from polar.text.words import clean
from store.models import ProposalState
from store.models.details import Backlog
from store.models.graduation import CountCheck, Paused, SetAside

_LISTED = 10
_SILENT = timedelta(days=1)
_ERRORS_SHOWN = 20


class Removal(StrEnum):
    """The way in which the app was removed from Slack."""

    UNINSTALLED = "uninstalled"
    REVOKED = "revoked"


_REMOVED: Mapping[Removal, str] = {
    Removal.UNINSTALLED: "The app was removed from Slack",
    Removal.REVOKED: "The app's token was revoked in Slack",
}


def removal_text(removal: Removal) -> str:
    """The text for an app removed from Slack: nothing can go on, and the next step."""
    return (
        f"{_REMOVED[removal]}: nothing can be posted or decided. Install it again, and restart this program "
        "with the new token."
    )


@dataclass(frozen=True, slots=True)
class Health:
    """All facts about possible problems. Times are in UTC, lengths in seconds; None is unknown.

    `counts` are the proposals by state. `socket` is True if Slack's socket is open (None: Slack calls over
    HTTP). `heard_at` is the time of its last message. `polar_left` of `polar_limit` calls are left in this
    minute.
    """

    version: str
    now: datetime
    backlog: Backlog
    counts: Mapping[str, int]
    writes: int = 0
    socket: bool | None = None
    heard_at: datetime | None = None
    removed: Removal | None = None
    slack_paused: tuple[tuple[str, float], ...] = ()
    polar_left: int = 0
    polar_limit: int = 0
    polar_paused: float = 0.0
    paused: Paused | None = None
    errors: Sequence[tuple[datetime, str, str]] = ()
    set_aside: Sequence[SetAside] = ()
    count_check: CountCheck | None = None


def status_message(health: Health) -> Message:
    """The answer to `/polar status`."""
    last = health.backlog.last
    newest = f"last webhook {ago(health.now - last.received_at)}" if last else "no webhook has come yet"
    problems = open_problems(health.counts)
    stuck = ", ".join(f"{there} (/polar queue {state})" for state, there in problems)
    rows = [
        ("Feed", _feed(health)),
        ("Failed webhooks", _failures(health)),
        ("Backlog", [words(_backlog(health))]),
        ("Slack", _slack(health)),
        ("Polar", [words(_polar(health))]),
        ("Proposals", [words(stuck or "none is stuck")]),
        ("Automatic runs", automatic(health.paused)),
        ("Learning", _learning(health)),
    ]
    items = [line(words(label, bold=True), glue("  "), *said) for label, said in rows]
    summary = "All is well" if is_well(health) else "Needs attention"
    blocks = [
        rich("status.head", line(words(summary, bold=True))),
        rich("status.rows", bullet_list(items)),
        *_errors(health.errors),
        context("status.version", f"Version {health.version}, as of {health.now:%d %b %Y %H:%M:%S} UTC"),
    ]
    text = f"{summary}: {newest}; {_backlog(health)}"
    return Message(escape(clean(text, 300)), tuple(blocks))


def is_well(health: Health) -> bool:
    """Tell whether no problem needs a person."""
    unknown, polar = health.counts.get(ProposalState.UNKNOWN), health.polar_paused
    ill = (health.backlog.failed, unknown, health.removed, health.slack_paused, polar, health.set_aside)
    return not any(ill) and health.socket is not False and health.backlog.last is not None


def feed_line(health: Health) -> list[Element]:
    """The state in one line for the Home tab."""
    parts: list[list[Element]] = [_feed(health, short=True)]
    if failed := health.backlog.failed:
        parts.append([words(f"{failed:,} webhooks could not be handled (/polar status)")])
    if health.removed:
        parts.append([words(removal_text(health.removed))])
    if health.socket is False:
        parts.append([glue("The socket to Slack is down")])
    if health.polar_paused:
        parts.append([words(f"Polar: {_polar(health)}")])
    return joined(parts, " · ")


def ago(age: timedelta) -> str:
    """An age in its largest unit: "just now", "3 minutes ago", "2 days ago"."""
    seconds = max(int(age.total_seconds()), 0)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _feed(health: Health, *, short: bool = False) -> list[Element]:
    last = health.backlog.last
    if last is None:
        more = [] if short else [glue("polar-approvals check says what to set at Polar.")]
        return [glue("No webhook has arrived yet. "), *more]
    age = health.now - last.received_at
    said = [glue("Last webhook "), words(last.type, 60), glue(f", {ago(age)}")]
    if short:
        return said
    quiet = " If Polar was busy since, look at its webhook endpoint: it may be disabled."
    return [*said, glue(" ("), when(last.received_at), glue(")."), *([glue(quiet)] if age > _SILENT else [])]


def _failures(health: Health) -> list[Element]:
    """The newest rules that failed on a webhook, with the reasons, and how to have them asked again."""
    failed, newest = health.backlog.failed, health.backlog.newest_failure
    if not failed or newest is None:
        return [glue("none")]
    said = [words(f"{failed:,}; the newest {ago(health.now - newest.received_at)}, "), words(newest.type, 60)]
    if not health.backlog.failures:  # an earlier version has kept no rules
        said += because(newest.reason, 200)
    for number, one in enumerate(health.backlog.failures):
        tried = "once" if one.match.attempts == 1 else f"{one.match.attempts} times"
        said += [glue(". " if number == 0 else "; "), words(one.match.rule, 60), glue(" on ")]
        said += [words(one.type, 60), glue(" "), words(one.match.event_id, 60), glue(f", tried {tried}")]
        said += because(one.match.reason, 200)
    return [*said, glue(". They are asked again when the rules change, and by /polar retry ID")]


RETRY_WHAT = "Say which webhook: /polar retry ID, or /polar retry all. /polar status shows the ids."


def retried_message(start: str, ids: Sequence[str]) -> Message:
    """The answer to a wish to ask failed rules again. No `start` means all webhooks."""
    if not ids:
        of = [glue(" that begins with “"), words(start, 100), glue("”")] if start else ""
        return text("No rule has failed on a webhook{of}. Nothing was changed.", of=of).message
    count = "1 webhook" if len(ids) == 1 else f"{len(ids):,} webhooks"
    return text(f"The rules that failed on {count} are asked again. See /polar status.").message


def _backlog(health: Health) -> str:
    waits = health.backlog
    counts = (
        (waits.unread, "webhooks to read"),
        (waits.runs, "approved and not finished"),
        (waits.cards, "cards to draw"),
        (waits.outbox, "notices to send"),
        (health.writes, "database writes"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing is behind"


def _slack(health: Health) -> list[Element]:
    if health.removed:
        return [words(removal_text(health.removed), 300)]
    said = [glue({None: "over HTTP", True: "socket open", False: "socket down"}[health.socket])]
    if health.heard_at is not None:
        said += [glue(f", last heard {ago(health.now - health.heard_at)}")]
    for method, seconds in health.slack_paused[:5]:
        said += [glue("; "), words(f"{method} paused by Slack for {seconds:.0f} s", 100)]
    return said


def _polar(health: Health) -> str:
    left = f"{health.polar_left:,} of {health.polar_limit:,} calls left in this minute"
    return f"{left}; paused by Polar for {health.polar_paused:.0f} s" if health.polar_paused else left


def automatic(paused: Paused | None) -> list[Element]:
    """The line on automatic runs: allowed, or paused."""
    if paused is None:
        return [glue("not paused")]
    why = [glue(": "), words(paused.why, 300)] if paused.why else []
    return [glue("Paused by "), person(paused.by), glue(" since "), when(paused.at), *why]


def _learning(health: Health) -> list[Element]:
    """The kinds of case that are set aside with what to do about them, and the newest check of the counts."""
    said: list[Element] = []
    for one in health.set_aside[:_LISTED]:
        said += [words(one.label, 80), glue(f" ({one.case_kind[:8]}) asks since "), when(one.at)]
        said += [glue(", its cases could not be counted"), *because(one.reason, 100), glue("; next try ")]
        said += [when(one.retry_at), glue(". ")]
    if more := len(health.set_aside) - _LISTED:
        said += [glue(f"And {more:,} more. ")] if more > 0 else []
    if health.set_aside:
        said += [glue("A restart tries at once. If it fails again, report this line: the rest goes on. ")]
    return [*said, *_count_check(health)]


def _count_check(health: Health) -> list[Element]:
    check = health.count_check
    if check is None:
        return [glue("The counts have not been checked yet.")]
    said = [glue(f"The counts of {check.kinds:,} kinds were checked {ago(health.now - check.at)}: ")]
    for one in check.wrong[:_LISTED]:
        state = "corrected" if one.mended else "wrong, and corrected in the next check"
        said += [words(one.label, 80), glue(f" ({one.case_kind[:8]}) was {state}. ")]
    return [*said, glue(f"{len(check.wrong):,} were wrong." if check.wrong else "all are right.")]


def _errors(errors: Sequence[tuple[datetime, str, str]]) -> list[dict[str, object]]:
    if not errors:
        return [rich("status.errors", line(glue("No warning or error since the start.")))]
    items = [
        line(when(at), glue("  "), words(level.lower(), 20, bold=True), glue("  "), words(said, 120))
        for at, level, said in errors[:_ERRORS_SHOWN]
    ]
    lead = line(glue("Last warnings and errors, newest first:"))
    return [rich("status.errors", lead, bullet_list(items))]


def paused_message(pause: Paused, *, already: bool = False) -> Message:
    """The message to the channel, and to the person who paused, that nothing runs on its own."""
    head = "Paused already" if already else "Paused"
    what = (
        ". Nothing runs automatically. A case that would have run becomes a card. "
        "/polar resume ends the pause."
    )
    shown = rich("paused", line(*automatic(pause), glue(what)))
    return Message(f"{head}: nothing runs automatically until somebody resumes it", (shown,))


def resumed_message(by: str, before: Paused) -> Message:
    """The message to the channel, and to the person who resumed, that trusted cases run again."""
    said = "{who} resumed the automatic runs. It was paused by {before} since {at}."
    shown = line(*filled(said, who=person(by), before=person(before.by), at=when(before.at)))
    return Message("Resumed: trusted cases run automatically again", (rich("resumed", shown),))


def pause_ended_message(paused: Paused) -> Message:
    """The message to the channel that a pause ends because whoever made it may not decide."""
    said = "{who} may not decide here, so the pause of the automatic runs since {at} ends."
    shown = line(*filled(said, who=person(paused.by), at=when(paused.at)))
    return Message(
        "Resumed: whoever paused the automatic runs may not decide here", (rich("resumed", shown),)
    )


def pause_result(result: PauseResult) -> Message:
    """The answer to whoever paused or resumed."""
    if result.refusal is not None:
        return refused(result.refusal).message
    if result.status is PauseStatus.KEPT:
        return text(KEPT).message
    if result.pause is None:
        return nothing_to_resume()
    if result.status is PauseStatus.RESUMED:
        return resumed_message(result.by, result.pause)
    return paused_message(result.pause, already=result.status is PauseStatus.PAUSED_ALREADY)


def nothing_to_resume() -> Message:
    """The answer to a resume without a pause."""
    said = "Nothing is paused. Trusted cases run automatically; /polar pause stops that."
    return Message(said, (rich("resumed", line(glue(said))),))
