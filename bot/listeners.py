"""What Slack tells us: taps, the command, the Home tab. Acknowledge first, then work; nothing escapes."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot import cards
from bot.cards.card import APPROVE, DECLINE
from bot.desk import Desk, Tap
from store.models import Verdict

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
_ACK_WITHIN = 1.0  # seconds
_VERDICTS = {APPROVE: Verdict.APPROVE, DECLINE: Verdict.DECLINE}


# Subscribed for later use: what is written in threads is not read yet.
_IGNORED = (
    "message",
    "app_mention",
    "member_joined_channel",
    "channel_archive",
    "app_uninstalled",
    "tokens_revoked",
)


def register(app: AsyncApp, desk: Desk) -> None:
    """Attach every listener to the Bolt app; both transports share them."""
    listeners = Listeners(desk)
    app.action(APPROVE)(listeners.decide)
    app.action(DECLINE)(listeners.decide)
    app.action({"type": "block_actions", "action_id": re.compile(".*")})(listeners.out_of_date)
    app.command("/polar")(listeners.command)
    app.event("app_home_opened")(listeners.home)
    app.event("user_change")(listeners.changed_user)
    app.event("subteam_members_changed")(listeners.changed_group)
    for name in _IGNORED:
        app.event(name)(listeners.ignore)


class Listeners:
    """One method for each thing Slack may tell us."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

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

    async def command(self, ack: AsyncAck) -> None:
        """`/polar`: what waits."""
        message = await self._desk.queue()
        await ack(text=message.text, blocks=list(message.blocks), response_type="ephemeral")

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


def _tap(body: Payload, action: Payload) -> Tap:
    user, container = body.get("user") or {}, body.get("container") or {}
    return Tap(
        user_id=str(user.get("id", "")),
        team_id=user.get("team_id"),
        proposal_id=str(action.get("value", "")).partition(":")[0],
        channel=container.get("channel_id") or (body.get("channel") or {}).get("id"),
        message_ts=container.get("message_ts"),
    )


async def _safely(work: Awaitable[None]) -> None:
    """Slack has been answered: what fails now is logged, and Bolt must not turn it into a second answer."""
    try:
        await work
    except Exception:
        log.exception("a listener failed after it had acknowledged")
