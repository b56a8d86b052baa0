"""Step 4: every proposal has a card that shows where it stands, of its own or with others of its kind.

Cards leave no faster than Slack takes them. Room is taken first and a card is drawn from its proposal as it
is then: several changes of one card become the last one.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.config.rate_limits import POST, UPDATE
from bot.metrics import CARD_SECONDS
from bot.pipeline.card_view import view_of
from bot.pipeline.upsert import MessageRef, certainly_not_posted, pause_after, upsert
from bot.services import LEASE, Queue, Services, new_token
from bot.slack.client import SlackError
from bot.ui.bundle import bundle_card, bundle_line
from bot.ui.bundling import plan
from bot.ui.card import card, thread_line
from bot.ui.elements import Message
from bot.ui.states import approver_line
from store.messages.bundles import gathering, put_in_bundle
from store.messages.cards import (
    bundle_drawn,
    bundle_not_drawn,
    card_drawn,
    card_not_drawn,
    claim_outgoing,
    unannounced,
)
from store.models import Bundle, Proposal
from store.proposals.details import reasons_among

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimedCard:
    """A proposal or a bundle whose card is behind, under our claim, and what there is room for."""

    shown: Proposal | Bundle
    token: str
    room: str | None

    @property
    def ref(self) -> MessageRef:
        """The message that shows it."""
        one = self.shown
        named = "proposal_id" if isinstance(one, Proposal) else "bundle_id"
        return MessageRef(one.id, named, one.channel, one.card_ts, one.card_sent_at, self.room)


async def claim(services: Services, limit: int) -> list[ClaimedCard]:
    """Take as many cards as there is room for, those just decided first; what must wait is put together."""
    token, now, limits, channel = new_token(), services.clock(), services.slack.limits, services.channel
    redraws, posts = limits.free(UPDATE, channel), limits.free(POST, channel)
    room, until = min(limit, posts), now + LEASE
    redraws = min(limit, redraws)
    found = await services.store.do(
        claim_outgoing, token=token, now=now, until=until, redraws=redraws, posts=room
    )
    taken: list[Proposal | Bundle] = [*found.cards, *found.bundles]
    if found.joinable:  # more of a kind that is on one card already joins it, whatever room there is
        await gather(services)
        found = await services.store.do(
            claim_outgoing, token=token, now=now, until=until, redraws=0, posts=room, joined=True
        )
        taken += [*found.cards, *found.bundles]
    if found.waiting and posts <= sum(map(_is_new, taken)):  # Slack's rate limit is what they wait for
        await gather(services)
    return [_with_room(services, one, token) for one in taken]


def _is_new(one: Proposal | Bundle) -> bool:
    return one.card_ts is None


def _with_room(services: Services, one: Proposal | Bundle, token: str) -> ClaimedCard:
    """Without room (another queue was faster) Slack's client refuses; the card is drawn a little later."""
    method = POST if _is_new(one) else UPDATE
    return ClaimedCard(one, token, method if services.slack.limits.take(method, services.channel) else None)


async def announce(services: Services, claimed: ClaimedCard) -> None:
    """Post or update one card, and queue the messages about its results for its thread."""
    if isinstance(claimed.shown, Bundle):
        await _announce_bundle(services, claimed, claimed.shown)
    else:
        await _announce_card(services, claimed, claimed.shown)


async def _announce_card(services: Services, claimed: ClaimedCard, proposal: Proposal) -> None:
    try:
        channel, ts = await upsert(services, claimed.ref, card(proposal, await view_of(services, proposal)))
    except SlackError as error:
        log.warning("the card of %s is not drawn: %s", proposal.id, error)
        await services.store.do(
            card_not_drawn,
            proposal.id,
            token=claimed.token,
            due_at=services.clock() + pause_after(error),
            certainly_not_posted=certainly_not_posted(claimed.ref, error),
        )
        return
    news = (
        []
        if proposal.row_version == 1
        else await services.store.do(unannounced, proposal.id, proposal.row_version)
    )
    lines = {
        change.row_version: line for change in news if (line := thread_line(proposal, change)) is not None
    }
    first, at = _first_shown([proposal]), services.clock()
    arrivals = await services.store.do(
        card_drawn,
        proposal.id,
        token=claimed.token,
        version=proposal.row_version,
        revision=proposal.revision,
        channel=channel,
        ts=ts,
        at=at,
        announced=[change.row_version for change in news],
        lines={version: _content(line) for version, line in lines.items()},
        arrivals=[str(one.event_id) for one in first],
    )
    _time(services, first, arrivals, at)
    if lines:
        services.notify(Queue.OUTBOX)


async def _announce_bundle(services: Services, claimed: ClaimedCard, bundle: Bundle) -> None:
    now = services.clock()
    try:
        # Those of a bundle are of one rule and one class, so the same people decide each of them.
        deciders = approver_line(await services.authority.describe(next(iter(bundle.members), None)))
        reasons = await services.store.do(reasons_among, [one.id for one in bundle.members])
        message = bundle_card(bundle, deciders=deciders, now=now, reasons=reasons)
        channel, ts = await upsert(services, claimed.ref, message)
    except SlackError as error:
        log.warning("the card of bundle %s is not drawn: %s", bundle.id, error)
        await services.store.do(
            bundle_not_drawn,
            bundle.id,
            token=claimed.token,
            due_at=services.clock() + pause_after(error),
            certainly_not_posted=certainly_not_posted(claimed.ref, error),
        )
        return
    line = bundle_line(bundle)
    first, at = _first_shown(bundle.members), services.clock()
    arrivals = await services.store.do(
        bundle_drawn,
        bundle.id,
        token=claimed.token,
        version=bundle.row_version,
        channel=channel,
        ts=ts,
        at=now,
        shown=[proposal.id for proposal in bundle.members],
        line=None if line is None else _content(line) | {"thread_ts": ts},
        arrivals=[str(one.event_id) for one in first],
    )
    _time(services, first, arrivals, at)
    if line is not None:
        services.notify(Queue.OUTBOX)


def _first_shown(shown: Sequence[Proposal]) -> list[Proposal]:
    """The proposals of an event that no card has shown before."""
    return [one for one in shown if one.first_shown_at is None and one.revision == 1 and one.event_id]


def _time(
    services: Services, first: Sequence[Proposal], arrivals: Mapping[str, datetime] | None, at: datetime
) -> None:
    """Observe the seconds from event to card at `at`; none when the lease was lost: it is drawn again."""
    if arrivals is None:
        return
    for one in first:
        # A rule with a delay has waited on purpose; its proposal was made when the delay was over.
        delayed = one.rule in services.rules.delayed
        since = one.created_at if delayed else arrivals.get(str(one.event_id), one.created_at)
        CARD_SECONDS.observe(max((at - since).total_seconds(), 0))


def _content(message: Message) -> dict[str, object]:
    return {"text": message.text, "blocks": list(message.blocks)}


_LOOKED_AT = 500  # proposals at a time: what is beyond waits for the next look


async def gather(services: Services) -> None:
    """Put what waits for a card and is of one kind into bundles."""
    now = services.clock()
    found = await services.store.do(gathering, now, _LOOKED_AT)
    for put in plan(found.waiting, found.open, known=found.known, policy=services.rules.policy, now=now):
        bundle_id = put.bundle_id or f"b{secrets.token_hex(6)}"
        ids = [proposal.id for proposal in put.proposals]
        joined = await services.store.do(put_in_bundle, bundle_id, put.key, ids, now)
        log.info("put %d proposals into bundle %s (%s)", joined, bundle_id, put.key.split("|")[1])
