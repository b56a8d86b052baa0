"""What Slack tells us: taps, the command, the Home tab. Acknowledge first, then work; nothing escapes."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot import cards
from bot.cards.card import APPROVE, DECLINE
from bot.cards.rules import RULES_BACK, RULES_ON
from bot.commands import read_command
from bot.desk import Desk, Tap
from bot.forms.blocks import CALLBACK, notice
from bot.proposing import FORM_BROKE, Person, Proposing
from store.errors import StoreError
from store.models import Verdict

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_ACK_WITHIN = 1.0  # seconds
_ANSWER_WITHIN = 2.0  # seconds
_VERDICTS = {APPROVE: Verdict.APPROVE, DECLINE: Verdict.DECLINE}
_IN_A_FORM = re.compile(rf"{CALLBACK}\.")

# Subscribed for later use: what is written in threads is not read yet.
_IGNORED = (
    "message",
    "app_mention",
    "member_joined_channel",
    "channel_archive",
    "app_uninstalled",
    "tokens_revoked",
)


def register(app: AsyncApp, desk: Desk, proposing: Proposing) -> None:
    """Attach every listener to the Bolt app; both transports share them."""
    listeners = Listeners(desk, proposing)
    app.action(_IN_A_FORM)(listeners.form_tapped)
    app.options(_IN_A_FORM)(listeners.form_options)
    app.view(CALLBACK)(listeners.form_submitted)
    app.action(APPROVE)(listeners.decide)
    app.action(DECLINE)(listeners.decide)
    for way in (RULES_BACK, RULES_ON):
        app.action(way)(listeners.turn_rules)
    app.action({"type": "block_actions", "action_id": re.compile(".*")})(listeners.out_of_date)
    app.command("/polar")(listeners.command)
    app.event("app_home_opened")(listeners.home)
    app.event("user_change")(listeners.changed_user)
    app.event("subteam_members_changed")(listeners.changed_group)
    for name in _IGNORED:
        app.event(name)(listeners.ignore)


class Listeners:
    """One method for each thing Slack may tell us."""

    def __init__(self, desk: Desk, proposing: Proposing) -> None:
        self._desk = desk
        self._proposing = proposing

    async def decide(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Approve or Decline was tapped.

        Slack is answered once the decision is on disk, so that a tap Slack has taken is never lost; but
        within a second in any case, for Slack waits three.
        """
        verdict = _VERDICTS[action["action_id"]]
        deciding = asyncio.ensure_future(_safely(self._desk.decide(_tap(body, action), verdict)))
        await asyncio.wait({deciding}, timeout=_ACK_WITHIN)
        await ack()
        await deciding

    async def out_of_date(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something was tapped that this version does not know, so an older or newer card."""
        await ack()
        if not action.get("url"):  # of a link Slack tells us too, and there is nothing to do
            await _safely(self._desk.whisper(_tap(body, action), cards.gone()))

    async def command(self, ack: AsyncAck, body: Payload, respond: AsyncRespond) -> None:
        """`/polar`: see COMMANDS. What opens a form is acknowledged first, what is shown comes with it."""
        asked = read_command(str(body.get("text") or ""))
        if asked.command.answer is None:
            await ack()
            await _safely(self._propose(body, asked.rest, respond))
        else:
            answering = asyncio.ensure_future(_told(asked.command.answer(self._desk, asked)))
            await asyncio.wait({answering}, timeout=_ANSWER_WITHIN)
            said = None if answering.done() else respond
            if said is not None:
                await ack()  # Slack waits three seconds; the answer comes after
            message = await answering
            reply = said or ack
            await reply(text=message.text, blocks=list(message.blocks), response_type="ephemeral")

    async def turn_rules(self, ack: AsyncAck, action: Payload, respond: AsyncRespond) -> None:
        """Back or Next was tapped below the rules."""
        await ack()
        await _safely(self._show_rules(str(action.get("value", "")), respond))

    async def _show_rules(self, page: str, respond: AsyncRespond) -> None:
        message = await self._desk.rules(int(page) if page.isdecimal() else 1)
        await respond(text=message.text, blocks=list(message.blocks), replace_original=True)

    async def _propose(self, body: Payload, words: str, respond: AsyncRespond) -> None:
        async def tell(text: str) -> None:
            await respond(text=text, response_type="ephemeral")

        person = Person(str(body.get("user_id", "")), body.get("team_id"))
        trigger_id = str(body.get("trigger_id", ""))
        await self._proposing.open(person, trigger_id=trigger_id, words=words, tell=tell)

    async def form_tapped(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something was chosen in a form."""
        await ack()
        await _safely(self._proposing.tapped(_person(body), body["view"], action))

    async def form_options(self, ack: AsyncAck, body: Payload, payload: Payload) -> None:
        """Somebody types into a select of a form."""
        await ack(**await _answered(self._proposing.suggest(_person(body), payload), {"options": []}))

    async def form_submitted(self, ack: AsyncAck, body: Payload, view: Payload) -> None:
        """Next or Propose was pressed. The answer goes into the acknowledgement, so it comes first."""
        broken = {"response_action": "update", "view": notice(FORM_BROKE)}
        await ack(**await _answered(self._proposing.submit(_person(body), view), broken))

    async def home(self, event: Payload) -> None:
        """Somebody opened the Home tab."""
        if event.get("tab", "home") == "home":
            await _safely(self._desk.show_home(event["user"]))

    async def changed_user(self, event: Payload) -> None:
        """Somebody was deactivated, became a guest, changed their name."""
        self._desk.authority.forget(event.get("user", {}).get("id"))

    async def changed_group(self) -> None:
        """A user group has other members."""
        self._desk.authority.forget()

    async def ignore(self) -> None:
        """See _IGNORED."""


def _person(body: Payload) -> Person:
    user = body.get("user", {})
    return Person(str(user.get("id", "")), user.get("team_id") or (body.get("team") or {}).get("id"))


async def _answered(work: Awaitable[dict[str, Any]], otherwise: dict[str, Any]) -> dict[str, Any]:
    """What the acknowledgement says; when that fails it is logged, and Slack gets `otherwise`."""
    try:
        return await work
    except Exception:
        log.exception("a form could not be answered")
        return otherwise


def _tap(body: Payload, action: Payload) -> Tap:
    user, container = body.get("user") or {}, body.get("container") or {}
    return Tap(
        user_id=str(user.get("id", "")),
        team_id=user.get("team_id"),
        proposal_id=str(action.get("value", "")).partition(":")[0],
        channel=container.get("channel_id") or (body.get("channel") or {}).get("id"),
        message_ts=container.get("message_ts"),
    )


async def _told(answer: Awaitable[cards.Message]) -> cards.Message:
    """The answer to a command, or why there is none."""
    try:
        return await answer
    except StoreError as error:
        return cards.Message(f"Nothing can be shown just now: {error}", ())


async def _safely(work: Awaitable[None]) -> None:
    """Slack has been answered: what fails now is logged, and Bolt must not turn it into a second answer."""
    try:
        await work
    except Exception:
        log.exception("a listener failed after it had acknowledged")
