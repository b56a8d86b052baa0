"""The state of the program: the answer to `/polar status`, and its one line on the Home tab."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.sanitize import clean
from bot.ui.elements import Element, Message, context, escape, glue, line, person, rich, when, words
from bot.ui.reasons import elements as reason_elements
from bot.ui.states import phrase
from store.models import ProposalState
from store.models.reasons import Reason

_SILENT = timedelta(days=1)
_ERRORS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook. `reason` is its result."""

    type: str
    at: datetime
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of automatic runs: the person, the start and the reason."""

    by: str
    at: datetime
    why: str


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

    `socket` is True if Slack's socket is open (None: Slack calls over HTTP). `heard_at` is the time of its
    last message. `removed` is the way in which the app was removed from Slack. `polar_left` of `polar_limit`
    calls are left in this minute.
    """

    version: str
    now: datetime
    last: Webhook | None = None
    failed: int = 0
    newest_failure: Webhook | None = None
    unread: int = 0
    runs: int = 0
    cards: int = 0
    notices: int = 0
    writes: int = 0
    socket: bool | None = None
    heard_at: datetime | None = None
    removed: Removal | None = None
    slack_paused: tuple[tuple[str, float], ...] = ()
    polar_left: int = 0
    polar_limit: int = 0
    polar_paused: float = 0.0
    unknown: int = 0
    refused: int = 0
    paused: Pause | None = None
    errors: tuple[tuple[datetime, str, str], ...] = ()


def status_message(health: Health) -> Message:
    """The answer to `/polar status`."""
    rows = [
        ("Feed", _feed(health)),
        ("Failed webhooks", _failures(health)),
        ("Backlog", [words(_backlog(health))]),
        ("Slack", _slack(health)),
        ("Polar", [words(_polar(health))]),
        ("Proposals", [words(_stuck(health))]),
        ("On its own", automatic(health.paused)),
    ]
    items = [line(words(label, bold=True), glue("  "), *said) for label, said in rows]
    summary = "All is well" if is_well(health) else "Something needs a look"
    blocks = [
        rich("status.head", line(words(summary, bold=True))),
        rich("status.rows", {"type": "rich_text_list", "style": "bullet", "elements": items}),
        *_errors(health.errors),
        context("status.version", f"Version {health.version}, as of {health.now:%d %b %Y %H:%M:%S} UTC"),
    ]
    text = f"{summary}: {ago_of(health)}; {_backlog(health)}"
    return Message(escape(clean(text, 300)), tuple(blocks))


def is_well(health: Health) -> bool:
    """Tell whether no problem needs a person."""
    ill = (health.failed, health.unknown, health.removed, health.socket is False, health.slack_paused)
    return not any(ill) and not health.polar_paused and health.last is not None


def feed_line(health: Health) -> list[Element]:
    """The state in one line for the Home tab."""
    parts: list[list[Element]] = [_feed(health, short=True)]
    parts += [[words(f"{health.failed:,} webhooks could not be handled (/polar status)")]] * bool(
        health.failed
    )
    parts += [[words(removal_text(health.removed))]] if health.removed else []
    parts += [[glue("The socket to Slack is down")]] * (health.socket is False)
    parts += [[words(f"Polar: {_polar(health)}")]] * bool(health.polar_paused)
    return [element for n, part in enumerate(parts) for element in ([glue(" · ")] if n else []) + part]


def ago_of(health: Health) -> str:
    """The age of the last webhook."""
    return f"last webhook {ago(health.now - health.last.at)}" if health.last else "no webhook has come yet"


def ago(age: timedelta) -> str:
    """An age in its largest unit: "just now", "3 minutes ago", "2 days ago"."""
    seconds = max(int(age.total_seconds()), 0)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _feed(health: Health, *, short: bool = False) -> list[Element]:
    if health.last is None:
        return [
            glue("No webhook has arrived yet. "),
            *([] if short else [glue("polar-approvals check says what to set at Polar.")]),
        ]
    age = health.now - health.last.at
    said = [glue("Last webhook "), words(health.last.type, 60), glue(f", {ago(age)}")]
    if short:
        return said
    quiet = " If Polar was busy since, look at its webhook endpoint: it may be disabled."
    return [*said, glue(" ("), when(health.last.at), glue(")."), *([glue(quiet)] if age > _SILENT else [])]


def _failures(health: Health) -> list[Element]:
    newest = health.newest_failure
    if not health.failed or newest is None:
        return [glue("none")]
    why = [glue(": "), *reason_elements(newest.reason, 200)] if newest.reason else []
    return [
        words(f"{health.failed:,}; the newest {ago(health.now - newest.at)}, "),
        words(newest.type, 60),
        *why,
    ]


def _backlog(health: Health) -> str:
    counts = (
        (health.unread, "webhooks to read"),
        (health.runs, "approved and not finished"),
        (health.cards, "cards to draw"),
        (health.notices, "notices to send"),
        (health.writes, "database writes"),
    )
    return ", ".join(f"{count:,} {what}" for count, what in counts if count) or "nothing is behind"


def _slack(health: Health) -> list[Element]:
    if health.removed:
        return [words(removal_text(health.removed), 300)]
    said: list[Element] = [
        glue({None: "over HTTP", True: "socket open", False: "socket down"}[health.socket])
    ]
    if health.heard_at is not None:
        said += [glue(f", last heard {ago(health.now - health.heard_at)}")]
    for method, seconds in health.slack_paused[:5]:
        said += [glue("; "), words(f"{method} paused by Slack for {seconds:.0f} s", 100)]
    return said


def _polar(health: Health) -> str:
    left = f"{health.polar_left:,} of {health.polar_limit:,} calls left in this minute"
    return f"{left}; paused by Polar for {health.polar_paused:.0f} s" if health.polar_paused else left


def _stuck(health: Health) -> str:
    kinds = ((health.unknown, ProposalState.UNKNOWN), (health.refused, ProposalState.FAILED))
    said = [f"{count:,} {phrase(state)} (/polar queue {state})" for count, state in kinds if count]
    return ", ".join(said) or "none is stuck"


def automatic(paused: Pause | None) -> list[Element]:
    """The line on automatic runs: allowed, or paused."""
    if paused is None:
        return [glue("not paused")]
    why = [glue(": "), words(paused.why, 300)] if paused.why else []
    return [glue("Paused by "), person(paused.by), glue(" since "), when(paused.at), *why]


def _errors(errors: Sequence[tuple[datetime, str, str]]) -> list[dict[str, object]]:
    if not errors:
        return [rich("status.errors", line(glue("No warning or error since the start.")))]
    items = [
        line(when(at), glue("  "), words(level.lower(), 20, bold=True), glue("  "), words(said, 120))
        for at, level, said in errors[:_ERRORS_SHOWN]
    ]
    listed = {"type": "rich_text_list", "style": "bullet", "elements": items}
    return [rich("status.errors", line(glue("Last warnings and errors, newest first:")), listed)]


def paused_message(pause: Pause, *, already: bool = False) -> Message:
    """The message to the channel, and to the person who paused, that nothing runs on its own."""
    head = "Paused already" if already else "Paused"
    what = " Nothing runs on its own; what would have becomes a card. /polar resume ends this."
    return Message(
        f"{head}: nothing runs on its own until somebody resumes it",
        (rich("paused", line(*automatic(pause), glue("."), glue(what))),),
    )


def resumed_message(by: str, before: Pause) -> Message:
    """The message to the channel, and to the person who resumed, that trusted cases run again."""
    said = line(
        person(by),
        glue(" resumed what runs on its own. It was paused by "),
        person(before.by),
        glue(" since "),
        when(before.at),
        glue("."),
    )
    return Message("Resumed: trusted cases run on their own again", (rich("resumed", said),))


def nothing_to_resume() -> Message:
    """The answer to a resume without a pause."""
    said = "Nothing is paused. Trusted cases run on their own; /polar pause stops that."
    return Message(said, (rich("resumed", line(glue(said))),))


def refused_message(text: str) -> Message:
    """The refusal of a typed command. `text` is escaped already."""
    return Message(text, ())
