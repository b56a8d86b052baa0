"""Threads of cards: what people write there is kept, and `@polar …` does what the buttons do."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.approvals.actions import Acted, Acting
from bot.approvals.service import ApprovalService
from bot.listeners.snooze_times import until
from bot.listeners.thread_commands import Asked, help_line, is_addressed, plain_text, read, user_of
from bot.sanitize import clean
from bot.services import Queue, Services
from bot.slack.client import SlackError
from bot.slack.user import Person, writer_of
from bot.ui import details
from bot.ui.ephemeral import Whisper
from bot.ui.text import Element, bullets, escape, fitted, glue, line, rich, words
from store.messages.outbox import add_notice
from store.models import Proposal
from store.proposals.comments import keep_message, mend_message
from store.proposals.details import Thread, in_thread, revision_at
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Notice = dict[str, Any]
# Everything else a message may be: somebody joined, another bot's; and _MENDED.
_WRITTEN = frozenset({None, "thread_broadcast", "file_share", "me_message"})
_MENDED = frozenset({"message_changed", "message_deleted"})
_NO_CARD = "I answer in the thread of a card. Type /polar for what waits."
_IN_A_BUNDLE = (
    "This card is for several proposals, and here I could not tell which one you mean, so nothing was done. "
    "Use Review on the card."
)
_NO_TIME = (
    "I could not read that time, so nothing was put aside. Write snooze 2h, or snooze until tomorrow, "
    "monday 14:00, 2026-12-01 – at most 90 days ahead."
)
_NOT_UNDERSTOOD = "I did not understand that, so nothing was done. "


@dataclass(frozen=True, slots=True)
class Said:
    """One message that mentions us in the thread of a card."""

    person: Person
    channel: str
    ts: str
    root: str
    asked: Asked
    thread: Thread

    @property
    def at(self) -> datetime:
        """When it was written, by Slack's clock."""
        return datetime.fromtimestamp(float(self.ts), UTC)


# Told to one person when it was not done; the same, in Slack's markup already; a line for everybody; nothing.
Answer = Acted | Whisper | Notice | None


class Threads:
    """Slack tells of one message up to four times, as `message` and as `app_mention`: it counts once."""

    def __init__(self, services: Services, approvals: ApprovalService) -> None:
        self._services = services
        self._approvals = approvals
        self._acting = Acting(services)
        self._does: Mapping[str, Callable[[Said, Proposal], Awaitable[Answer]]] = {
            "": self._help,
            "help": self._help,
            "why": self._why,
            "who": self._who,
            "details": self._details,
            "approve": self._approve,
            "decline": self._decline,
            "hold": self._hold,
            "release": self._release,
            "snooze": self._snooze,
            "assign": self._assign,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.event("message")(self.written)
        app.event("app_mention")(self.written)

    async def written(self, event: Payload, context: AsyncBoltContext) -> None:
        """Somebody wrote something. Bolt has acknowledged it."""
        try:
            await self._written(event, str(context.bot_user_id or ""))
        except Exception:
            log.exception("a message in a thread could not be handled")

    async def _written(self, event: Payload, bot: str) -> None:
        if event.get("subtype") in _MENDED:
            await self._mended(event)
            return
        text, user = str(event.get("text") or ""), str(event.get("user") or "")
        if event.get("subtype") not in _WRITTEN or event.get("bot_id") or not user or user == bot:
            return
        channel, ts, root = str(event.get("channel")), str(event.get("ts")), event.get("thread_ts")
        addressed = is_addressed(text, bot)
        thread = await self._services.store.do(in_thread, channel, str(root)) if root and root != ts else None
        if thread is None:
            if addressed and event.get("type") == "app_mention":
                await self._whisper(channel, user, _NO_CARD, str(root) if root else None)
            return
        new = await self._services.store.do(
            keep_message,
            thread.ids,
            user,
            plain_text(text),
            at=self._services.clock(),
            channel=channel,
            ts=ts,
        )
        if new and addressed:
            await self._answer(Said(writer_of(event), channel, ts, str(root), read(text, bot), thread))

    async def _mended(self, event: Payload) -> None:
        """What was kept of a message is edited or deleted: what it asked for stays done.

        https://docs.slack.dev/reference/events/message/message_changed
        """
        now = event.get("message") or {}
        text = plain_text(str(now.get("text") or "")) if now and now.get("subtype") != "tombstone" else None
        ts = str(now.get("ts") or event.get("deleted_ts"))
        channel = str(event.get("channel"))
        await self._services.store.do(mend_message, text, at=self._services.clock(), channel=channel, ts=ts)

    async def _answer(self, said: Said) -> None:
        word = said.asked.word
        if said.thread.bundle_id is not None and len(said.thread.ids) != 1:
            answer: Answer = Acted(False, help_line() if word == "help" else _IN_A_BUNDLE)
        else:
            found = await self._services.store.do(get_proposal, said.thread.ids[0])
            if found is None:
                return
            answer = await self._does[word](said, found)
        log.info("%s wrote %r in a thread", said.person.user_id, word or "something else")
        if isinstance(answer, Acted):
            if not answer.done:
                await self._whisper(said.channel, said.person.user_id, answer.said, said.root)
        elif isinstance(answer, Whisper):
            await self._tell(said.channel, said.person.user_id, answer, said.root)
        elif answer is not None:
            await self._line(said, answer)

    # --- One method for each word -----------------------------------------------------------------------

    async def _help(self, said: Said, _: Proposal) -> Answer:
        lead = "" if said.asked.word == "help" else _NOT_UNDERSTOOD
        return Acted(False, lead + help_line())

    async def _why(self, _: Said, found: Proposal) -> Answer:
        made = f"Rule {found.rule} asks this." if found.rule else "It was proposed by hand."
        parts: list[Element] = [line(words(made, 200))]
        parts += [bullets(found.reasons[:8])] if found.reasons else []
        parts += [line(words(f"Always asks: {found.always_asks}", 200))] if found.always_asks else []
        return _told(found, "why", made, parts)

    async def _who(self, _: Said, found: Proposal) -> Answer:
        who = f"{await self._services.authority.describe(found)}."
        return _told(found, "who", who, [line(words(who, 600))])

    async def _details(self, _: Said, found: Proposal) -> Answer:
        button = {
            "type": "button",
            "action_id": details.DETAILS,
            "text": {"type": "plain_text", "text": "Details", "emoji": False},
            "value": f"{found.id}:{found.revision}",
        }
        told = _told(found, "details", "Everything about this:", [line(glue("Everything about this:"))])
        return told | {
            "blocks": [*told["blocks"], {"type": "actions", "block_id": "open", "elements": [button]}]
        }

    async def _approve(self, said: Said, found: Proposal) -> Answer:
        revision = await self._services.store.do(revision_at, found.id, said.at)
        answer = await self._approvals.approve(
            said.person, found.id, via="thread", revision=revision, tap=_press(said), channel=said.channel
        )
        return None if answer.shown else answer.text

    async def _decline(self, said: Said, found: Proposal) -> Answer:
        revision = await self._services.store.do(revision_at, found.id, said.at)
        reason = said.asked.rest or None
        answer = await self._approvals.decline(
            said.person, found.id, via="thread", revision=revision, reason=reason, tap=_press(said)
        )
        if answer.counts and reason:
            return await self._acting.reason(said.person, found.id, text=reason)
        return None if answer.shown else answer.text

    async def _hold(self, said: Said, found: Proposal) -> Answer:
        return await self._acting.hold(said.person, found.id)

    async def _release(self, said: Said, found: Proposal) -> Answer:
        return await self._acting.release(said.person, found.id)

    async def _snooze(self, said: Said, found: Proposal) -> Answer:
        at = until(said.asked.rest, self._services.clock(), self._services.rules.policy.schedule.timezone)
        return Acted(False, _NO_TIME) if at is None else await self._acting.snooze(said.person, found.id, at)

    async def _assign(self, said: Said, found: Proposal) -> Answer:
        whom = said.person.user_id if said.asked.rest == "me" else user_of(said.asked.rest)
        if whom is None:
            return Acted(False, _NOT_UNDERSTOOD + help_line())
        return await self._acting.assign(said.person, found.id, whom)

    # --- Saying -----------------------------------------------------------------------------------------

    async def _line(self, said: Said, message: Notice) -> None:
        """A line in the thread, once for the message it answers."""
        await self._services.store.do(
            add_notice,
            f"answer.{said.channel}.{said.ts}",
            kind="answer",
            message=message,
            at=self._services.clock(),
            proposal_id=said.thread.ids[0],
        )
        self._services.notify(Queue.OUTBOX)

    async def _whisper(self, channel: str, user: str, text: str, thread_ts: str | None) -> None:
        await self._tell(channel, user, fitted(text, 3_000), thread_ts)

    async def _tell(self, channel: str, user: str, text: Whisper, thread_ts: str | None) -> None:
        try:
            await self._services.slack.whisper(channel, user, text, thread_ts)
        except SlackError as error:
            log.warning("%s could not be answered in a thread: %s", user, error)


def _told(found: Proposal, name: str, text: str, parts: list[Element]) -> Notice:
    return {"text": escape(clean(text, 300)), "blocks": [rich(f"{name}.{found.id}", *parts)]}


def _press(said: Said) -> str:
    """Names this message, however often Slack tells of it."""
    return f"{said.channel}.{said.ts}"
