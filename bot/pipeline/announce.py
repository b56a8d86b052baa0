"""Step 4: every proposal has one card that shows where it stands; what came of it goes into the thread."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from bot.cards import card, thread_line
from bot.pipeline.parts import LEASE, Parts, new_token
from bot.slack import SlackError, SlackNoAnswer, SlackRateLimited, SlackRefused
from store.models import Proposal
from store.proposals import card_drawn, card_not_drawn, card_posted, claim_cards, line_told, untold

log = logging.getLogger(__name__)

# Slack's answers to an update that no later try can mend: the card is gone or can no longer be edited.
# https://docs.slack.dev/reference/methods/chat.update
_CARD_LOST = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
_AGAIN_AFTER = timedelta(seconds=2)
_REFUSED_AGAIN_AFTER = timedelta(seconds=60)  # a person has to mend it (invite the bot, fix the token)
_CLOCKS_DIFFER = 60.0  # seconds between Slack's clock and ours, at most


@dataclass(frozen=True, slots=True)
class ClaimedCard:
    """A proposal whose card is behind, under our claim."""

    proposal: Proposal
    token: str


async def claim(parts: Parts, limit: int) -> list[ClaimedCard]:
    """Take proposals whose card is behind, those just decided first."""
    token, now = new_token(), parts.clock()
    found = await parts.store.do(claim_cards, token=token, now=now, until=now + LEASE, limit=limit)
    return [ClaimedCard(proposal, token) for proposal in found]


async def announce(parts: Parts, claimed: ClaimedCard) -> None:
    """Post or redraw one card, then say in its thread what has come of it since."""
    proposal, token = claimed.proposal, claimed.token
    try:
        channel, ts = await _draw(parts, proposal)
        if proposal.version > 1:
            # Noted before anything else can fail: a card posted anew must not be posted again.
            await parts.store.do(card_posted, proposal.id, token=token, channel=channel, ts=ts)
        told = await _tell(parts, proposal, channel, ts)
    except SlackError as error:
        await _try_later(parts, claimed, error)
        return
    await parts.store.do(
        card_drawn, proposal.id, token=token, version=proposal.version, channel=channel, ts=ts, told=told
    )


async def _draw(parts: Parts, proposal: Proposal) -> tuple[str, str]:
    """Bring the card up to date; its channel and ts. Raises SlackError."""
    message = card(proposal, await parts.authority.describe())
    channel, ts = proposal.channel or parts.channel, proposal.card_ts
    if ts is None and proposal.card_sent_at is not None:
        # An earlier try may have posted it: better found than asked twice.
        ts = await _find(parts, proposal)
    if ts is not None:
        try:
            await parts.slack.update(channel, ts, message)
        except SlackRefused as error:
            if error.code not in _CARD_LOST:
                raise
        else:
            return channel, ts
    ts = await parts.slack.post(parts.channel, message)
    log.info("posted the card of %s (rule %s)", proposal.id, proposal.rule)
    return parts.channel, ts


async def _find(parts: Parts, proposal: Proposal) -> str | None:
    assert proposal.card_sent_at is not None  # noqa: S101 - the caller has looked
    since = proposal.card_sent_at.timestamp() - _CLOCKS_DIFFER
    try:
        return await parts.slack.find_card(parts.channel, proposal.id, since)
    except SlackRateLimited:
        raise
    except SlackRefused as error:
        # Without channels:history the card is posted again: a lost question is worse than a repeated one.
        log.warning("cannot look for the card of %s: %s", proposal.id, error)
        return None


async def _tell(parts: Parts, proposal: Proposal, channel: str, ts: str) -> list[int]:
    """Post the lines the thread lacks; the versions that need no more telling. Raises SlackError."""
    if proposal.version == 1:
        return []
    told = []
    for change in await parts.store.do(untold, proposal.id):
        line = thread_line(proposal, change)
        if line is not None:
            await parts.slack.post(channel, line, thread_ts=ts)
            await parts.store.do(line_told, proposal.id, change.version)
        told.append(change.version)
    return told


async def _try_later(parts: Parts, claimed: ClaimedCard, error: SlackError) -> None:
    wait = _AGAIN_AFTER
    if isinstance(error, SlackRateLimited):
        wait = timedelta(seconds=error.retry_after)
    elif isinstance(error, SlackRefused):
        wait = _REFUSED_AGAIN_AFTER
    log.warning("the card of %s is not drawn: %s", claimed.proposal.id, error)
    await parts.store.do(
        card_not_drawn,
        claimed.proposal.id,
        token=claimed.token,
        due_at=parts.clock() + wait,
        # An earlier try that may have posted it stays noted until the card is found.
        certainly_not_posted=claimed.proposal.card_sent_at is None and not isinstance(error, SlackNoAnswer),
    )
