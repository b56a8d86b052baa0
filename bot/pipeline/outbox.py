"""Messages that are no cards: results of proposals for their threads, digests and reminders."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from bot.config.rate_limits import POST
from bot.pipeline.upsert import pause_after
from bot.services import LEASE, Services, backoff, new_token
from bot.slack.client import SlackError, SlackRateLimited, SlackRefused
from bot.ui.thread_lines import outbox_message
from store.messages.cards import anything_waits
from store.messages.outbox import OutboxMessage, claim_outbox, outbox_is_due, outbox_sent, postpone_outbox

log = logging.getLogger(__name__)

_MOST_ATTEMPTS = 12  # refused so often, with growing pauses, it is a message that Slack will never take


@dataclass(frozen=True, slots=True)
class ClaimedNotice:
    """A message under our claim. `room`: Slack's rate limit has room for it."""

    notice: OutboxMessage
    token: str
    room: bool


async def claim(services: Services, limit: int) -> list[ClaimedNotice]:
    """Take messages whose time has come; none while a question waits for its card, which goes first."""
    limits, now = services.slack.limits, services.clock()
    room = min(limit, limits.free(POST, services.channel))
    if (
        not room
        or not await services.store.do(outbox_is_due, now)
        or await services.store.do(anything_waits, now)
    ):
        return []
    token = new_token()
    found = await services.store.do(claim_outbox, token=token, now=now, until=now + LEASE, limit=room)
    return [ClaimedNotice(one, token, bool(limits.take(POST, services.channel))) for one in found]


async def send(services: Services, claimed: ClaimedNotice) -> None:
    """Post one message: in the thread of the card it belongs to, else in the channel."""
    notice = claimed.notice
    message = outbox_message(notice.message)
    thread_ts = notice.message.get("thread_ts") or notice.card_ts
    try:
        ts = await services.slack.post(
            notice.channel or services.channel, message, thread_ts, room=claimed.room
        )
    except SlackError as error:
        await _not_taken(services, claimed, error)
        return
    await services.store.do(outbox_sent, notice.id, token=claimed.token, ts=ts, at=services.clock())


async def _not_taken(services: Services, claimed: ClaimedNotice, error: SlackError) -> None:
    notice, refused = claimed.notice, isinstance(error, SlackRefused)
    if refused and not isinstance(error, SlackRateLimited) and notice.attempts >= _MOST_ATTEMPTS:
        log.error("message %s is given up: %s", notice.id, error)
        await services.store.do(
            outbox_sent, notice.id, token=claimed.token, ts=None, at=services.clock(), note=str(error)
        )
        return
    log.warning("message %s is not sent: %s", notice.id, error)
    pause = pause_after(error)
    waits = pause if isinstance(error, SlackRateLimited) else max(pause, backoff(notice.attempts))
    await _postpone(services, claimed, waits, str(error))


async def _postpone(services: Services, claimed: ClaimedNotice, pause: timedelta, note: str) -> None:
    due_at = services.clock() + pause
    await services.store.do(postpone_outbox, claimed.notice.id, token=claimed.token, due_at=due_at, note=note)
