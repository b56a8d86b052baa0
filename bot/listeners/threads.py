"""Threads of cards: messages are stored, and `@polar …` does the same as the buttons."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

from slack_bolt.async_app import AsyncApp

from bot.approvals.actions import Actions
from bot.approvals.service import ApprovalService
from bot.listeners.acknowledge import Answer, Interaction, Place, listen, post_ephemeral
from bot.results import ON_THE_CARD, ActionResult, DecisionResult
from bot.services import LEASE, Queue, Services, new_token
from bot.slack.client import SlackUser, acting_user
from bot.ui import ephemeral, thread_lines
from bot.ui.elements import Text, text
from bot.ui.thread_lines import Notice
from store.engine.leases import Lease
from store.messages.outbox import add_to_outbox
from store.models import Proposal
from store.proposals.details import Thread, in_thread, keep_message, mend_message, revision_at
from store.proposals.proposals import get_proposal
from store.proposals.wishes import Wish, WishKind, close_wish, keep_wish

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
# For one person; for everybody in the thread; nothing.
Reply = Text | Notice | None
# Everything else a message may be: somebody joined, another bot's; and _EDITED.
_WRITTEN = frozenset({None, "thread_broadcast", "file_share", "me_message"})
_EDITED = frozenset({"message_changed", "message_deleted"})
_SHOWS = frozenset({"why", "who", "details"})  # only for readers; the other words check by themselves
_STOPS = {"decline": WishKind.DECLINE, "hold": WishKind.HOLD}


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """One message that mentions us in the thread of a card."""

    user: SlackUser
    channel: str
    ts: str
    root: str
    command: "ThreadCommand"
    thread: Thread

    @property
    def at(self) -> datetime:
        """The time of the message, by Slack's clock."""
        return datetime.fromtimestamp(float(self.ts), UTC)

    @property
    def interaction_id(self) -> str:
        """Names this message, however often Slack tells of it."""
        return f"{self.channel}.{self.ts}"


class Threads:
    """Slack tells of one message up to four times, as `message` and as `app_mention`: it counts once."""

    def __init__(self, services: Services, approvals: ApprovalService) -> None:
        self._services = services
        self._approvals = approvals
        self._actions = Actions(services)
        self._does: Mapping[str, Callable[[ThreadMessage, Proposal], Awaitable[Reply]]] = {
            "": self._help,
            "help": self._help,
            "why": self._why,
            "who": self._who,
            "details": self._details,
            "approve": self._approve,
            "decline": self._decline,
            "hold": self._hold,
            "release": partial(self._act, self._actions.release),
            "snooze": self._snooze,
            "assign": self._assign,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        for event in ("message", "app_mention"):
            listen(self._services, app.event(event), self._written, failed=_failed)

    async def _written(self, on: Interaction) -> None:
        event, bot = on.payload, on.bot
        at = self._services.clock()  # now: looks into the database may overtake one another
        if event.get("subtype") in _EDITED:
            await self._edited(event)
            return
        typed, user = str(event.get("text") or ""), str(event.get("user") or "")
        if event.get("subtype") not in _WRITTEN or event.get("bot_id") or not user or user == bot:
            return
        channel, ts, root = str(event.get("channel")), str(event.get("ts")), event.get("thread_ts")
        addressed = is_addressed(typed, bot)
        thread = await self._thread(channel, str(root)) if root and root != ts else None
        if thread is None:
            if addressed and event.get("type") == "app_mention":
                await post_ephemeral(self._services.slack, on.place, text(thread_lines.NO_CARD))
            return
        command = read(typed, bot) if addressed else ThreadCommand("")
        message = ThreadMessage(acting_user(event), channel, ts, str(root), command, thread)
        wish, lease = await self._wish(message, at), Lease(new_token(), at, at + LEASE)
        new = await self._services.store.do(
            keep_message,
            thread.ids,
            user,
            unescape(typed),
            at=at,
            channel=channel,
            ts=ts,
            then=None if wish is None else partial(keep_wish, wish=wish, lease=lease),
        )
        on.stored()
        if new and addressed:
            await self._answer(on.place, message)
            if wish is not None:  # it is done, or kept under a name of its own
                await self._services.store.do(close_wish, wish.id, token=lease.token)

    async def _wish(self, message: ThreadMessage, at: datetime) -> Wish | None:
        """The wish to stop something in a message, on disk with it: Slack tells of it only once."""
        kind = _STOPS.get(message.command.word)
        if kind is None or len(message.thread.ids) != 1:
            return None
        about = message.thread.ids[0]
        seen = await self._services.store.read(revision_at, about, message.at)
        own = Wish(f"thread:{message.interaction_id}", kind, message.user.id, "thread", at, about)
        reason = message.command.rest or None
        return replace(
            own,
            revision=seen,
            reason=reason,
            interaction_id=message.interaction_id,
            channel=message.channel,
        )

    async def _thread(self, channel: str, root: str) -> Thread | None:
        store = self._services.store
        found = await store.read(in_thread, channel, root)
        if found is None:
            # Slack shows a card a moment before its place is stored: what is being stored is waited for.
            await store.ping()
            found = await store.read(in_thread, channel, root)
        return found

    async def _edited(self, event: Payload) -> None:
        """A message that is stored was edited or deleted: what it asked for stays done.

        https://docs.slack.dev/reference/events/message/message_changed
        """
        now = event.get("message") or {}
        typed = unescape(str(now.get("text") or "")) if now and now.get("subtype") != "tombstone" else None
        ts = str(now.get("ts") or event.get("deleted_ts"))
        channel = str(event.get("channel"))
        await self._services.store.do(mend_message, typed, at=self._services.clock(), channel=channel, ts=ts)

    async def _answer(self, place: Place, message: ThreadMessage) -> None:
        word = message.command.word
        if message.thread.bundle_id is not None and len(message.thread.ids) != 1:
            help_ = thread_lines.help_line(WORDS) if word == "help" else thread_lines.IN_A_BUNDLE
            reply: Reply = text(help_)
        else:
            found = await self._services.store.read(get_proposal, message.thread.ids[0])
            if found is None:
                return
            reply = await self._unread(message) or await self._does[word](message, found)
        log.info("%s wrote %r in a thread", message.user.id, word or "something else")
        if isinstance(reply, Text):
            await post_ephemeral(self._services.slack, place, reply)
        elif reply is not None:  # a line in the thread, once for the message it answers
            await self._services.store.do(
                add_to_outbox,
                f"answer.{message.channel}.{message.ts}",
                kind="answer",
                message=reply,
                at=self._services.clock(),
                proposal_id=message.thread.ids[0],
            )
            self._services.notify(Queue.OUTBOX)

    async def _unread(self, message: ThreadMessage) -> Text | None:
        """The refusal when the command shows something and its author may not read."""
        if message.command.word not in _SHOWS:
            return None
        refused = await self._services.authority.refusal_to_read(message.user.id, message.user.team_id)
        return None if refused is None else ephemeral.refused(refused)

    # --- One method for each word -----------------------------------------------------------------------

    async def _help(self, message: ThreadMessage, _: Proposal) -> Reply:
        known = text(thread_lines.help_line(WORDS))
        return known if message.command.word == "help" else text(thread_lines.NOT_UNDERSTOOD) + known

    async def _why(self, _: ThreadMessage, found: Proposal) -> Reply:
        return thread_lines.why_answer(found)

    async def _who(self, _: ThreadMessage, found: Proposal) -> Reply:
        return thread_lines.who_answer(found, await self._services.authority.describe(found))

    async def _details(self, _: ThreadMessage, found: Proposal) -> Reply:
        return thread_lines.details_answer(found)

    async def _approve(self, message: ThreadMessage, found: Proposal) -> Reply:
        revision = await self._services.store.read(revision_at, found.id, message.at)
        result = await self._approvals.approve(
            message.user,
            found.id,
            via="thread",
            revision=revision,
            interaction_id=message.interaction_id,
            channel=message.channel,
        )
        return _unless_on_the_card(result)

    async def _decline(self, message: ThreadMessage, found: Proposal) -> Reply:
        revision = await self._services.store.read(revision_at, found.id, message.at)
        reason = message.command.rest or None
        result = await self._approvals.decline(
            message.user,
            found.id,
            via="thread",
            revision=revision,
            reason=reason,
            interaction_id=message.interaction_id,
            channel=message.channel,
        )
        if result.counts and reason:
            return _unless_done(await self._actions.reason(message.user, found.id, text=reason))
        return _unless_on_the_card(result)

    async def _hold(self, message: ThreadMessage, found: Proposal) -> Reply:
        return _unless_done(await self._actions.hold(message.user, found.id, channel=message.channel))

    async def _act(
        self, act: Callable[[SlackUser, str], Awaitable[ActionResult]], message: ThreadMessage, on: Proposal
    ) -> Reply:
        return _unless_done(await act(message.user, on.id))

    async def _snooze(self, message: ThreadMessage, found: Proposal) -> Reply:
        zone = self._services.rules.policy.schedule.timezone
        at = until(message.command.rest, self._services.clock(), zone)
        if at is None:
            return text(thread_lines.NO_TIME)
        return _unless_done(await self._actions.snooze(message.user, found.id, at))

    async def _assign(self, message: ThreadMessage, found: Proposal) -> Reply:
        rest = message.command.rest
        whom = message.user.id if rest == "me" else user_of(rest)
        if whom is None:
            return text(thread_lines.NOT_UNDERSTOOD) + text(thread_lines.help_line(WORDS))
        return _unless_done(await self._actions.assign(message.user, found.id, whom))


def _unless_on_the_card(result: DecisionResult) -> Reply:
    return None if result.status in ON_THE_CARD else ephemeral.decision(result)


def _unless_done(result: ActionResult) -> Reply:
    """The thread has a line about what was done."""
    return None if result.done else ephemeral.action(result)


# --- What `@polar …` means. Pure ----------------------------------------------------------------------------

_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True, slots=True)
class ThreadCommand:
    """A command: its word, and what belongs to it: a reason, a time, a user id. `word` "" is not known."""

    word: str
    rest: str = ""


def _rest(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


# No other text may follow a decision: "approve? no, wait" approves nothing.
_NOTHING = r"(?:please)?[.!]*(?P<rest>)"
# Each word, and what may follow it, in full.
WORDS: Mapping[str, re.Pattern[str]] = {
    "why": _rest(r"[?]*(?P<rest>)"),
    "details": _rest(r"[?.]*(?P<rest>)"),
    "approve": _rest(_NOTHING),
    "decline": _rest(rf"{_NOTHING}|(?:because|:)\s*(?P<reason>\S.*)"),
    "hold": _rest(_NOTHING),
    "release": _rest(_NOTHING),
    "snooze": _rest(r"(?P<rest>(?:for\s+|until\s+)?\S.{0,60})"),
    "assign": _rest(r"(?:to\s+)?(?P<rest><@[UW][A-Z0-9]+(?:\|[^>]*)?>|me)[.!]*"),
    "who": _rest(r"[?]*(?P<rest>)"),
    "help": _rest(r"[?.!]*(?P<rest>)"),
}


def _failed(on: Interaction) -> Answer | None:
    """A message that does not mention us gets no answer, even on a failure."""
    return None if is_addressed(str(on.payload.get("text") or ""), on.bot) else {}


def is_addressed(text: str, bot: str) -> bool:
    """Tell whether a message mentions us. `text` is in Slack's encoding."""
    return bool(bot) and any(one == bot for one in _MENTION.findall(text))


def read(text: str, bot: str) -> ThreadCommand:
    """The command in a message that mentions us; `word` is "" for what is none. Never raises."""
    said = " ".join(
        part for part in re.split(rf"<@{re.escape(bot)}(?:\|[^>]*)?>", text) if part.strip()
    ).strip()
    first, _, _ = said.partition(" ")
    name = re.split(r"[^a-zA-Z]", first, maxsplit=1)[0].lower()
    pattern = WORDS.get(name)
    match = pattern and pattern.fullmatch(said[len(name) :].strip())
    if not match:
        return ThreadCommand("")
    given = match.groupdict()
    return ThreadCommand(name, unescape((given.get("reason") or given.get("rest") or "").strip()))


def user_of(rest: str) -> str | None:
    """The user id of a mention; None for anything else."""
    found = _MENTION.fullmatch(rest)
    return found[1] if found else None


# --- Until when something is snoozed: in words, in the operator's time zone. Pure --------------------------

MORNING = time(9, 0)
LONGEST = timedelta(days=90)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,4})\s*(m|h|d|w)(?:in|ins|inutes?|ours?|ays?|eeks?)?")
_CLOCK = re.compile(r"(?:at\s+)?(\d{1,2}):(\d{2})")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def until(words: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment that "2h", "until tomorrow", "until monday 14:00" or "until 2026-12-01" means, in UTC.

    None when it cannot be read, has passed, or is further away than LONGEST.
    """
    said = " ".join(words.lower().replace(",", " ").split()).removesuffix(".")
    span = _SPAN.fullmatch(said.removeprefix("for "))
    try:
        found = now + timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else _named(said, now, zone)
    except (OverflowError, ValueError):
        return None
    return found if found is not None and now < found <= now + LONGEST else None


def _named(said: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    said = said.removeprefix("until ")
    local = now.astimezone(zone)
    if clock := _CLOCK.fullmatch(said):
        at = _at(local.date(), _time(clock), zone)
        return at if at > now else _at(local.date() + timedelta(days=1), _time(clock), zone)
    name, _, rest = said.partition(" ")
    clock = _CLOCK.fullmatch(rest)
    day = _day(name, local.date())
    if day is None or (rest and clock is None):
        return None
    return _at(day, _time(clock) if clock else MORNING, zone)


def _day(name: str, today: date) -> date | None:
    if name == "tomorrow":
        return today + timedelta(days=1)
    if name in _DAYS:
        return today + timedelta(days=(_DAYS.index(name) - today.weekday() - 1) % 7 + 1)
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


def _time(clock: re.Match[str]) -> time:
    return time(int(clock[1]), int(clock[2]))


def _at(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, zone).astimezone(UTC)


# What the menu offers, by key: the words on the option and the moment.
OFFERED: dict[str, tuple[str, Callable[[datetime, ZoneInfo], datetime | None]]] = {
    "1h": ("1 hour", lambda now, zone: until("1h", now, zone)),
    "4h": ("4 hours", lambda now, zone: until("4h", now, zone)),
    "tomorrow": ("Tomorrow 9:00", lambda now, zone: until("tomorrow", now, zone)),
    "monday": ("Monday 9:00", lambda now, zone: until("monday", now, zone)),
}
