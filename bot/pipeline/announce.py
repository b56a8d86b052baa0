"""Step 4: every proposal has a card that shows where it stands, and its thread and channel hear the rest.

Cards leave no faster than Slack takes them. Room is taken first and a card is drawn from its proposal as it
is then: several changes of one card become the last one.
"""

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.config.rate_limits import POST, UPDATE
from bot.metrics import CARD_SECONDS
from bot.permissions import Authority, requirements_of
from bot.proposals.own_calls import can_undo
from bot.proposals.reads import today
from bot.services import LEASE, Queue, Services, backoff, new_token
from bot.slack.client import SlackError, SlackNoAnswer, SlackRateLimited, SlackRefused
from bot.ui.bundle import bundle_card, bundle_line
from bot.ui.bundling import plan
from bot.ui.card import card, outbox_message, score_line, spot_check_line, thread_line
from bot.ui.elements import Message
from bot.ui.states import CardView, approver_line
from store.engine.leases import BUNDLE_CARDS, CARDS, OUTBOX, HeldRow
from store.messages.bundles import bundle_drawn, bundle_not_drawn, gathering, put_in_bundle
from store.messages.cards import (
    Beside,
    CardDrawn,
    Drawing,
    anything_waits,
    card_not_drawn,
    cards_drawn,
    claim_outgoing,
    read_beside,
)
from store.messages.outbox import OutboxMessage, claim_outbox, outbox_is_due, outbox_sent, postpone_outbox
from store.models import Proposal, ProposalKind, ProposalState, Transition
from store.models.details import Bundle
from store.proposals.details import reasons_among

log = logging.getLogger(__name__)

# Slack's answers to an update that no later try can change: the card is gone or can no longer be edited.
# https://docs.slack.dev/reference/methods/chat.update
_CARD_LOST = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "is_inactive"})
_AGAIN_AFTER = timedelta(seconds=2)
_REFUSED_AGAIN_AFTER = timedelta(seconds=60)  # a person has to fix it (invite the bot, fix the token)
_CLOCKS_DIFFER = 60.0  # seconds between Slack's clock and ours, at most
_LOOKED_AT = 500  # proposals at a time: what is beyond waits for the next look
_MOST_ATTEMPTS = 12  # refused so often, with growing pauses, it is a message that Slack will never take
_MONEY_AT_STAKE = frozenset({ProposalState.PENDING, ProposalState.APPROVED})


@dataclass(frozen=True, slots=True)
class ClaimedCard:
    """A proposal or a bundle whose card is behind, under our claim.

    `room`: the method of Slack's for which room was taken under its rate limit.
    """

    shown: Proposal | Bundle
    token: str
    room: str | None

    @property
    def held(self) -> HeldRow:
        """The card as a row that is worked on."""
        leases = CARDS if isinstance(self.shown, Proposal) else BUNDLE_CARDS
        return HeldRow.of(leases, self.token, self.shown)


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
    if found.waiting and posts <= sum(one.card_ts is None for one in taken):  # they wait for Slack's limit
        await gather(services)
    claimed = []
    for one in taken:
        # Without room (another queue was faster) Slack's client refuses; the card is drawn a little later.
        method = POST if one.card_ts is None else UPDATE
        claimed.append(ClaimedCard(one, token, method if limits.take(method, channel) else None))
    return claimed


async def gather(services: Services) -> None:
    """Put what waits for a card and is of one kind into bundles."""
    now = services.clock()
    found = await services.store.do(gathering, now, _LOOKED_AT)
    for put in plan(found.waiting, found.open, known=found.known, policy=services.rules.policy, now=now):
        bundle_id = put.bundle_id or f"b{secrets.token_hex(6)}"
        ids = [proposal.id for proposal in put.proposals]
        joined = await services.store.do(
            put_in_bundle, bundle_id, put.key, ids, now, one_by_one=put.one_by_one
        )
        log.info("put %d proposals into bundle %s (%s)", joined, bundle_id, put.rule)


async def announce(services: Services, claimed: ClaimedCard) -> None:
    """Post or update one card, and queue the messages about its results for its thread."""
    one, now = claimed.shown, services.clock()
    of_bundle = isinstance(one, Bundle)
    news: Sequence[Transition] = ()
    try:
        if isinstance(one, Bundle):
            message = await _bundle(services, one, now)
        else:
            drawing = await _drawing(services, one)
            beside = await services.store.do_together(read_beside, drawing)
            message, news = card(one, await _view(services, drawing, beside)), beside.news
        channel, ts = await _upsert(services, claimed, message)
    except SlackError as error:
        log.warning("the card of %s%s is not drawn: %s", "bundle " if of_bundle else "", one.id, error)
        await services.store.do(
            bundle_not_drawn if of_bundle else card_not_drawn,
            one.id,
            token=claimed.token,
            due_at=services.clock() + pause_after(error),
            # An earlier try that may have posted it stays noted until the card is found.
            certainly_not_posted=one.card_sent_at is None and not isinstance(error, SlackNoAnswer),
        )
        return
    if isinstance(one, Bundle):
        await _bundle_drawn(services, claimed.token, one, channel, ts, now=now)
    else:
        await _card_drawn(services, claimed.token, one, channel, ts, news=news)


async def _bundle(services: Services, bundle: Bundle, now: datetime) -> Message:
    # Those of a bundle are of one rule and one class, so the same people decide each of them.
    deciders = approver_line(await services.authority.describe(next(iter(bundle.members), None)))
    reasons = await services.store.do(reasons_among, [one.id for one in bundle.members])
    return bundle_card(bundle, deciders=deciders, now=now, reasons=reasons)


async def _card_drawn(
    services: Services, token: str, proposal: Proposal, channel: str, ts: str, *, news: Sequence[Transition]
) -> None:
    lines = {
        change.row_version: line.content
        for change in news
        if (line := thread_line(proposal, change)) is not None
    }
    first, at = _first_shown([proposal]), services.clock()
    drawn = CardDrawn(
        proposal.id,
        token,
        version=proposal.row_version,
        revision=proposal.revision,
        channel=channel,
        ts=ts,
        at=at,
        announced=[change.row_version for change in news],
        lines=lines,
        arrival=proposal.event_id if first else None,
    )
    noted = await services.store.do_together(cards_drawn, drawn)
    if noted is None:  # the lease was lost: another has drawn it, or will
        return
    _time(services, first, {} if noted.arrived_at is None else {str(drawn.arrival): noted.arrived_at}, at)
    if lines:
        services.notify(Queue.OUTBOX)
    if noted.behind:
        services.notify(Queue.ANNOUNCE)


async def _bundle_drawn(
    services: Services, token: str, bundle: Bundle, channel: str, ts: str, *, now: datetime
) -> None:
    line = bundle_line(bundle)
    first, at = _first_shown(bundle.members), services.clock()
    arrivals = await services.store.do(
        bundle_drawn,
        bundle.id,
        token=token,
        version=bundle.row_version,
        channel=channel,
        ts=ts,
        at=now,
        shown=[proposal.id for proposal in bundle.members],
        line=None if line is None else line.content | {"thread_ts": ts},
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


# --- What a card shows beside its proposal ----------------------------------------------------------------


async def view_of(services: Services, proposal: Proposal) -> CardView:
    """Everything that the card of a proposal shows beside it, as the proposal stands."""
    drawing = await _drawing(services, proposal)
    [beside] = await services.store.read(read_beside, [drawing])
    return await _view(services, drawing, beside)


async def _drawing(services: Services, proposal: Proposal) -> Drawing:
    if proposal.kind != ProposalKind.CALLS:
        return Drawing(proposal)
    required = await requirements_of(services.store, services.rules.policy, proposal)
    return Drawing(proposal, needs_two=required.people > 1)


async def _view(services: Services, drawing: Drawing, beside: Beside) -> CardView:
    proposal, two, policy, now = drawing.proposal, drawing.needs_two, services.rules.policy, services.clock()
    is_case = proposal.kind == ProposalKind.CALLS
    return CardView(
        deciders=await _deciders(services.authority, proposal, two=two),
        approvals=beside.approvals,
        needs_two=two,
        decline_reasons=beside.decline_reasons,
        undo=can_undo(proposal),
        undone=beside.undo,
        today=await today(services, proposal) if proposal.state in _MONEY_AT_STAKE else (),
        score=score_line(proposal, beside.case_kind, policy.graduation, now) if is_case else None,
        spot_check=spot_check_line(proposal, beside.case_kind) if is_case else None,
        now=now,
    )


async def _deciders(authority: Authority, proposal: Proposal, *, two: bool) -> str:
    """The approvers of this proposal, and a note when two are needed and there are too few."""
    approvers = await authority.describe(proposal)
    if not two or proposal.state != ProposalState.PENDING:
        return approver_line(approvers)
    return approver_line(approvers, too_few=len(await authority.everybody(proposal) or ()) == 1)


# --- A message in Slack -----------------------------------------------------------------------------------


async def _upsert(services: Services, claimed: ClaimedCard, message: Message) -> tuple[str, str]:
    """Update it; find it if it may have been posted; post it if it was not. Its channel and ts.

    Raises SlackError.
    """
    one, slack, home = claimed.shown, services.slack, services.channel
    channel, ts = one.channel or home, one.card_ts
    if ts is None and one.card_sent_at is not None:
        # An earlier try was to post it then, and may have: better found than asked twice.
        ts = await _find(services, one, one.card_sent_at)
    if ts is not None:
        try:
            await slack.update(channel, ts, message.content, room=claimed.room == UPDATE)
        except SlackRefused as error:
            if error.code not in _CARD_LOST:
                raise
        else:
            return channel, ts
    ts = await slack.post(home, message.content, room=claimed.room == POST)
    log.info("posted the card of %s", one.id)
    return home, ts


async def _find(services: Services, one: Proposal | Bundle, sent_at: datetime) -> str | None:
    named = "proposal_id" if isinstance(one, Proposal) else "bundle_id"
    since = sent_at.timestamp() - _CLOCKS_DIFFER
    try:
        return await services.slack.find_card(services.channel, one.id, since, named=named)
    except SlackRateLimited:
        raise
    except SlackRefused as error:
        # Without channels:history the card is posted again: a lost question is worse than a repeated one.
        log.warning("cannot look for the card of %s: %s", one.id, error)
        return None


def pause_after(error: SlackError) -> timedelta:
    """The pause before the next try of a message that Slack did not take."""
    if isinstance(error, SlackRateLimited):
        return timedelta(seconds=error.retry_after)
    return _REFUSED_AGAIN_AFTER if isinstance(error, SlackRefused) else _AGAIN_AFTER


# --- Messages that are no cards: results of proposals for their threads, digests and reminders ------------


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message under our claim. `room`: Slack's rate limit has room for it."""

    notice: OutboxMessage
    token: str
    room: bool

    @property
    def held(self) -> HeldRow:
        """The message as a row that is worked on."""
        return HeldRow.of(OUTBOX, self.token, self.notice)


async def claim_messages(services: Services, limit: int) -> list[ClaimedMessage]:
    """Take messages whose time has come; none while a question waits for its card, which goes first."""
    limits, now, store = services.slack.limits, services.clock(), services.store
    room = min(limit, limits.free(POST, services.channel))
    if not room or not await store.do(outbox_is_due, now) or await store.do(anything_waits, now):
        return []
    token = new_token()
    found = await store.do(claim_outbox, token=token, now=now, until=now + LEASE, limit=room)
    return [ClaimedMessage(one, token, limits.take(POST, services.channel)) for one in found]


async def send(services: Services, claimed: ClaimedMessage) -> None:
    """Post one message: in the thread of the card it belongs to, else in the channel."""
    notice, token, store = claimed.notice, claimed.token, services.store
    message, thread_ts = outbox_message(notice.message), notice.message.get("thread_ts") or notice.card_ts
    channel = notice.channel or services.channel
    try:
        ts = await services.slack.post(channel, message.content, thread_ts, room=claimed.room)
    except SlackError as error:
        limited, said, now = isinstance(error, SlackRateLimited), str(error), services.clock()
        if isinstance(error, SlackRefused) and not limited and notice.attempts >= _MOST_ATTEMPTS:
            log.error("message %s is given up: %s", notice.id, error)
            await store.do(outbox_sent, notice.id, token=token, ts=None, at=now, note=said)
            return
        log.warning("message %s is not sent: %s", notice.id, error)
        pause = pause_after(error) if limited else max(pause_after(error), backoff(notice.attempts))
        await store.do(postpone_outbox, notice.id, token=token, due_at=now + pause, note=said)
    else:
        await store.do(outbox_sent, notice.id, token=token, ts=ts, at=services.clock())
