"""What Slack tells us: taps, forms, who has changed. Acknowledge first, then work; nothing escapes."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.approvals.followups import Aftermath, Told
from bot.approvals.service import ApprovalService, Click
from bot.forms.modal import CALLBACK, notice
from bot.forms.service import FORM_BROKE, Proposing
from bot.listeners.acknowledge import _ACK_WITHIN, Registrar, _answered, _safely, asked, done_or_kept
from bot.services import Services
from bot.slack.client import SlackError
from bot.slack.user import Person, person_of
from bot.ui import ephemeral
from bot.ui.card_buttons import APPROVE, CHECK, DECLINE, MARK_DONE, MARK_NOT_DONE, RETRY, UNDO
from store.engine.errors import StoreError
from store.models import Verdict

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_VERDICTS = {APPROVE: Verdict.APPROVE, DECLINE: Verdict.DECLINE}
_IN_A_FORM = re.compile(rf"{CALLBACK}\.")

# Subscribed for later use.
_IGNORED = ("channel_archive",)


def register(app: AsyncApp, approvals: ApprovalService, proposing: Proposing, *registrars: Registrar) -> None:
    """Attach every listener to the Bolt app; both transports share them.

    The `registrars` come first: before the buttons of cards, which the Home tab has too, before what catches
    every other button, and before the events nobody reads.
    """
    for registrar in registrars:
        registrar.register(app)
    listeners = Listeners(approvals, proposing)
    app.action(_IN_A_FORM)(listeners.form_tapped)
    app.options(_IN_A_FORM)(listeners.form_options)
    app.view(CALLBACK)(listeners.form_submitted)
    app.action(APPROVE)(listeners.decide)
    app.action(DECLINE)(listeners.decide)
    app.action(UNDO)(listeners.undo)
    app.action({"type": "block_actions", "action_id": re.compile(".*")})(listeners.out_of_date)
    app.event("user_change")(listeners.changed_user)
    app.event("subteam_members_changed")(listeners.changed_group)
    for name in _IGNORED:
        app.event(name)(listeners.ignore)


class Listeners:
    """One method for each thing Slack may tell us."""

    def __init__(self, approvals: ApprovalService, proposing: Proposing) -> None:
        self._approvals = approvals
        self._proposing = proposing

    async def decide(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Approve or Decline was tapped.

        Slack is answered once the approval or the decision is on disk, so that a tap Slack has taken is not
        lost. A Decline is on disk once it is known who declines: while Slack does not say that in time, it
        may be lost in a crash, and else the person is told what came of it.
        """
        verdict, kept = _VERDICTS[action["action_id"]], asyncio.Event()
        tap = _tap(body, action)
        await self._answered(ack, tap, self._approvals.decide(tap, verdict, kept.set), kept)

    async def undo(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Undo was tapped: in time, or after it was done."""
        tap = _tap(body, action)
        await self._answered(ack, tap, self._approvals.take_back(tap), asyncio.Event())

    async def _answered(self, ack: AsyncAck, tap: Click, work: Awaitable[None], kept: asyncio.Event) -> None:
        deciding = asyncio.ensure_future(work)
        await done_or_kept(deciding, kept, _ACK_WITHIN)
        await ack()
        try:
            await deciding
        except Exception:  # Slack has been answered: Bolt must not turn this into a second answer
            log.exception("a listener failed after it had acknowledged")
            await self._approvals.whisper(tap, ephemeral.BROKE)

    async def out_of_date(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something was tapped that this version does not know, so an older or newer card."""
        await ack()
        if not action.get("url"):  # of a link Slack tells us too, and there is nothing to do
            await _safely(self._approvals.whisper(_tap(body, action), ephemeral.gone()))

    async def form_tapped(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something was chosen in a form."""
        await ack()
        await _safely(self._proposing.tapped(person_of(body), body["view"], action))

    async def form_options(self, ack: AsyncAck, body: Payload, payload: Payload) -> None:
        """Somebody types into a select of a form."""
        await ack(**await _answered(self._proposing.suggest(person_of(body), payload), {"options": []}))

    async def form_submitted(self, ack: AsyncAck, body: Payload, view: Payload) -> None:
        """Next or Propose was pressed. The answer goes into the acknowledgement, so it comes first."""
        broken = {"response_action": "update", "view": notice(FORM_BROKE)}
        await ack(**await _answered(self._proposing.submit(person_of(body), view), broken))

    async def changed_user(self, event: Payload) -> None:
        """Somebody was deactivated, became a guest, changed their name."""
        self._approvals.authority.forget(event.get("user", {}).get("id"))

    async def changed_group(self) -> None:
        """A user group has other members."""
        self._approvals.authority.forget()

    async def ignore(self) -> None:
        """See _IGNORED."""


def _tap(body: Payload, action: Payload) -> Click:
    person, container = person_of(body), body.get("container") or {}
    clicked_at = str(action.get("action_ts") or "")
    proposal_id, revision = asked(str(action.get("value", "")))
    return Click(
        user_id=person.user_id,
        team_id=person.team_id,
        proposal_id=proposal_id,
        revision=revision,
        channel=container.get("channel_id") or (body.get("channel") or {}).get("id"),
        message_ts=None if container.get("is_ephemeral") else container.get("message_ts"),
        press=f"{person.user_id}.{clicked_at}"[:80] if clicked_at else None,
    )


Press = Callable[[Person, str], Awaitable[Told]]


class AftermathButtons:
    """Each is done, then acknowledged; what the card does not show is whispered."""

    def __init__(self, services: Services, aftermath: Aftermath) -> None:
        self._services = services
        self._presses: Mapping[str, Press] = {
            RETRY: aftermath.retry,
            CHECK: aftermath.check,
            MARK_DONE: aftermath.mark_done,
            MARK_NOT_DONE: aftermath.mark_not_done,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach them. Undo comes from the approvals, which knows whether it is still in time."""
        for action_id in self._presses:
            app.action(action_id)(self.pressed)

    async def pressed(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """One of them was tapped: Slack is answered once it is done, or shortly before it gives up."""
        container, person = body.get("container") or {}, person_of(body)
        pressing = asyncio.ensure_future(self._press(person, action))
        await asyncio.wait({pressing}, timeout=_ACK_WITHIN)
        await ack()
        told = await pressing
        if told is None:
            return
        channel = container.get("channel_id") or self._services.channel
        try:
            await self._services.slack.whisper(channel, person.user_id, told)
        except SlackError as error:
            log.warning("%s could not be told what came of a tap: %s", person.user_id, error)

    async def _press(self, person: Person, action: Payload) -> Told:
        press = self._presses[action["action_id"]]
        try:
            return await press(person, str(action.get("value", "")).partition(":")[0])
        except StoreError as error:
            return ephemeral.not_stored(str(error))
        except Exception:  # Bolt must not turn this into a second answer
            log.exception("a button failed")
            return ephemeral.BROKE
