"""Update a message in Slack; find it if it may have been posted; post it if it was not."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.config.rate_limits import POST, UPDATE
from bot.services import Services
from bot.slack.client import SlackError, SlackNoAnswer, SlackRateLimited, SlackRefused
from bot.ui.elements import Message

log = logging.getLogger(__name__)

# Slack's answers to an update that no later try can change: the card is gone or can no longer be edited.
# https://docs.slack.dev/reference/methods/chat.update
_CARD_LOST = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
_AGAIN_AFTER = timedelta(seconds=2)
_REFUSED_AGAIN_AFTER = timedelta(seconds=60)  # a person has to fix it (invite the bot, fix the token)
_CLOCKS_DIFFER = 60.0  # seconds between Slack's clock and ours, at most


@dataclass(frozen=True, slots=True)
class MessageRef:
    """A message in Slack. `identity` is what its metadata says under `named`.

    `sent_at` without a `ts`: it was to be posted then, and may have been. `room`: the method for which room
    was taken under Slack's rate limit.
    """

    identity: str
    named: str
    channel: str | None
    ts: str | None
    sent_at: datetime | None
    room: str | None = None


async def upsert(services: Services, ref: MessageRef, message: Message) -> tuple[str, str]:
    """Bring it up to date; its channel and ts. Raises SlackError."""
    channel, ts = ref.channel or services.channel, ref.ts
    if ts is None and ref.sent_at is not None:
        # An earlier try may have posted it: better found than asked twice.
        ts = await _find(services, ref, ref.sent_at)
    if ts is not None:
        try:
            await services.slack.update(channel, ts, message, room=ref.room == UPDATE)
        except SlackRefused as error:
            if error.code not in _CARD_LOST:
                raise
        else:
            return channel, ts
    ts = await services.slack.post(services.channel, message, room=ref.room == POST)
    log.info("posted the card of %s", ref.identity)
    return services.channel, ts


async def _find(services: Services, ref: MessageRef, sent_at: datetime) -> str | None:
    since = sent_at.timestamp() - _CLOCKS_DIFFER
    try:
        return await services.slack.find_card(services.channel, ref.identity, since, named=ref.named)
    except SlackRateLimited:
        raise
    except SlackRefused as error:
        # Without channels:history the card is posted again: a lost question is worse than a repeated one.
        log.warning("cannot look for the card of %s: %s", ref.identity, error)
        return None


def pause_after(error: SlackError) -> timedelta:
    """The pause before the next try of a message that Slack did not take."""
    if isinstance(error, SlackRateLimited):
        return timedelta(seconds=error.retry_after)
    return _REFUSED_AGAIN_AFTER if isinstance(error, SlackRefused) else _AGAIN_AFTER


def certainly_not_posted(ref: MessageRef, error: SlackError) -> bool:
    """True if no message can be in the channel whose `ts` is not stored."""
    # An earlier try that may have posted it stays noted until the card is found.
    return ref.sent_at is None and not isinstance(error, SlackNoAnswer)
