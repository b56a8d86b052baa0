"""The card for many: Approve all, Decline all, Review and Undo, each still a decision about each proposal."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.approvals.actions import Actions
from bot.approvals.service import ApprovalService
from bot.listeners.acknowledge import Answer, Place, acknowledge, place_of, post_ephemeral, show
from bot.results import DecisionResult, DecisionStatus, Purpose
from bot.services import Queue, Services
from bot.slack.client import SlackError, SlackUser, acting_user
from bot.ui import bundle as on_card
from bot.ui import ephemeral
from bot.ui.bundle_review import ALONE, BACK, NEXT, PAGE, REVIEWED, TICKED, TITLE, Review, loaded, review_view
from bot.ui.bundling import one_by_one
from bot.ui.decline_reasons import REASON_ALL
from bot.ui.elements import ButtonValue, notice
from bot.ui.ephemeral import Text, text
from store.messages.bundles import close_bundle, give_own_card
from store.messages.cards import get_bundle
from store.models import Bundle, Proposal, ProposalState
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Texts = Sequence[Text]  # paragraphs for one person; none when the card shows the whole result
Decide = Callable[[Proposal], Awaitable[DecisionResult]]
VIA = "bundle"
_AT_ONCE = 32  # proposals; the calls to Polar keep to their own rate limit
_NOT_FOUND = (text(ephemeral.NOT_FOUND),)


@dataclass(frozen=True, slots=True)
class BundleClick:
    """A button of a bundle's card: by whom, on which bundle, and when the card they saw was drawn (µs).

    `interaction_id` names this one click.
    """

    place: Place
    bundle_id: str
    seen: int
    interaction_id: str

    @property
    def user(self) -> SlackUser:
        """The user who clicked."""
        return self.place.user


class Bundles:
    """The actions on a bundle. Of the message, only the ids and the time of rendering are trusted."""

    def __init__(self, services: Services, approvals: ApprovalService) -> None:
        self._services, self._approvals, self._actions = services, approvals, Actions(services)

    def register(self, app: AsyncApp) -> None:
        """Attach the buttons of the card and the modal."""
        app.action(on_card.APPROVE_ALL)(self.approve_all)
        app.action(on_card.DECLINE_ALL)(self.decline_all)
        app.action(on_card.UNDO_ALL)(self.undo)
        app.action(on_card.REVIEW)(self.review)
        for way in (BACK, NEXT):
            app.action(f"{PAGE}.{way}")(self.turn)
        app.action(ALONE)(self.alone)
        app.action(REASON_ALL)(self.reason_all)
        app.action(TICKED)(self.ticked)
        app.view(REVIEWED)(self.reviewed)

    # --- The card -----------------------------------------------------------------------------------------

    async def approve_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Approve all was clicked: Slack is answered once every approval is on disk."""
        click = _click_of(body, action)
        await acknowledge(
            self._services.slack,
            ack,
            body,
            lambda stored: self._told(click, self._approved(click, stored.set)),
        )

    async def decline_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Decline all was clicked."""
        click = _click_of(body, action)
        telling = self._told(click, self._declined(click))
        await acknowledge(self._services.slack, ack, body, lambda _: telling)

    async def undo(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Undo was clicked, while something approved still waits to run."""
        click = _click_of(body, action)
        telling = self._told(click, self._undone(click))
        await acknowledge(self._services.slack, ack, body, lambda _: telling)

    async def reason_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Store the reason for a decline of all proposals with each of them."""
        selected = action.get("selected_option") or {}
        click = _click_of(body, {**action, "value": selected.get("value")})
        preset = ButtonValue.parse(selected.get("value")).detail
        telling = self._told(click, self._reasoned(click, preset))
        await acknowledge(self._services.slack, ack, body, lambda _: telling)

    async def _told(self, click: BundleClick, work: Awaitable[Texts]) -> None:
        texts = await work
        if texts:
            message = "\n".join(each.mrkdwn for each in texts)
            await post_ephemeral(self._services.slack, click.place, message, self._services.channel)

    async def _approved(self, click: BundleClick, stored: Callable[[], None]) -> Texts:
        bundle = await self._closed(click.bundle_id)
        if bundle is None:
            return _NOT_FOUND
        if one_by_one(bundle.key):  # a forged button: the card has none
            return (text(ephemeral.ONE_BY_ONE),)
        return await self._approve(click, bundle, _shown(bundle, click.seen), stored)

    async def _approve(
        self, click: BundleClick, bundle: Bundle, chosen: Sequence[Proposal], stored: Callable[[], None]
    ) -> Texts:
        # A bundle shows the first revision of each proposal; an edited proposal has its own card.
        results = await self._approvals.approve_all(
            click.user, chosen, via=VIA, revision=1, interaction_id=click.interaction_id, stored=stored
        )
        return ephemeral.several(DecisionStatus.APPROVED, results, _later(bundle, click.seen))

    async def _declined(self, click: BundleClick) -> Texts:
        bundle = await self._closed(click.bundle_id)
        if bundle is None:
            return _NOT_FOUND

        async def one(proposal: Proposal) -> DecisionResult:
            return await self._approvals.decline(
                click.user, proposal.id, via=VIA, revision=1, interaction_id=click.interaction_id
            )

        results = await _each(_shown(bundle, click.seen), one)
        return ephemeral.several(DecisionStatus.DECLINED, results, _later(bundle, click.seen))

    async def _undone(self, click: BundleClick) -> Texts:
        bundle = await self._services.store.do(get_bundle, click.bundle_id)
        if bundle is None:
            return _NOT_FOUND

        async def one(proposal: Proposal) -> DecisionResult:
            return await self._approvals.undo(click.user, proposal.id, via=VIA)

        # Only those that can still be cancelled in time: a done proposal is undone on its own card.
        held = [
            p for p in bundle.members if p.state == ProposalState.APPROVED and p.cancellable_until is not None
        ]
        results = await _each(held, one)
        return ephemeral.several(DecisionStatus.UNDONE, results, _later(bundle, click.seen))

    async def _reasoned(self, click: BundleClick, preset: str) -> Texts:
        bundle = await self._services.store.do(get_bundle, click.bundle_id)
        if bundle is None:
            return _NOT_FOUND
        for proposal in bundle.members:
            if proposal.state == ProposalState.DECLINED and proposal.card_ts is None:
                result = await self._actions.reason(click.user, proposal.id, preset=preset, silent=True)
                if not result.done:
                    return (ephemeral.action(result),)
        return ()

    async def _closed(self, bundle_id: str) -> Bundle | None:
        """The bundle, closed because somebody decides about it: no proposal joins it any more."""
        await self._services.store.do(close_bundle, bundle_id, self._services.clock())
        return await self._services.store.do(get_bundle, bundle_id)

    # --- The modal ----------------------------------------------------------------------------------------

    async def review(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Review was clicked."""
        opening = self._open(_click_of(body, action), str(body.get("trigger_id", "")))
        await acknowledge(self._services.slack, ack, body, lambda _: opening)

    async def _open(self, click: BundleClick, trigger_id: str) -> None:
        bundle = await self._services.store.do(get_bundle, click.bundle_id)
        user = click.user
        refused = await self._services.authority.outsider(user.id, user.team_id, Purpose.VIEW)
        if refused is not None:
            view = _said(ephemeral.refused(refused))
        elif bundle is None:
            view = _said(*_NOT_FOUND)
        else:
            view = _view(Review(bundle.id, click.seen, ticked=not one_by_one(bundle.key)), bundle)
        try:
            await self._services.slack.open_view(trigger_id, view)
        except SlackError as error:
            log.warning("bundle %s cannot be reviewed: %s", click.bundle_id, error)
            said = ephemeral.REVIEW_NOT_OPENED
            await post_ephemeral(self._services.slack, click.place, said, self._services.channel)

    async def turn(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Back or Next: what is ticked on this page is kept."""
        step = 1 if action.get("value") == NEXT else -1
        turning = self._redrawn(body, lambda review: replace(review, page=review.page + step))
        await acknowledge(self._services.slack, ack, body, lambda _: turning)

    async def ticked(self, ack: AsyncAck) -> None:
        """A box was ticked: the modal tells when it is turned or submitted."""
        await ack()

    async def alone(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """One of them is to have a card of its own."""
        chosen = ButtonValue.parse((action.get("selected_option") or {}).get("value")).id
        moving = self._own_card(body, chosen)
        await acknowledge(self._services.slack, ack, body, lambda _: moving)

    async def _own_card(self, body: Payload, chosen: str) -> None:
        user = acting_user(body)
        review = loaded(str(body["view"].get("private_metadata", "")))
        member = await self._services.store.do(get_proposal, chosen)
        refused = await self._services.authority.refusal(user.id, user.team_id, member)
        if refused is not None:
            await show(self._services.slack, str(body["view"]["id"]), _said(ephemeral.refused(refused)))
            return
        await self._services.store.do(give_own_card, review.bundle_id, chosen, self._services.clock())
        self._services.notify(Queue.ANNOUNCE)
        await self._redrawn(body, lambda review: review)

    async def _redrawn(self, body: Payload, change: Callable[[Review], Review]) -> None:
        view = body["view"]
        review = change(_read(view))
        bundle = await self._services.store.do(get_bundle, review.bundle_id)
        shown = _said(*_NOT_FOUND) if bundle is None else _view(review, bundle)
        await show(self._services.slack, str(view["id"]), shown)

    async def reviewed(self, ack: AsyncAck, body: Payload, view: Payload) -> None:
        """Approve was clicked in the modal: the ticked ones. The result stands in the modal."""

        async def later(answer: Answer) -> None:
            await show(self._services.slack, str(view["id"]), answer["view"])

        await acknowledge(
            self._services.slack,
            ack,
            body,
            lambda stored: self._submitted(body, view, stored.set),
            meanwhile=_updated(text(ephemeral.SLOW)),
            failed=_updated(text(ephemeral.FAILED)),
            later=later,
        )

    async def _submitted(self, body: Payload, view: Payload, stored: Callable[[], None]) -> Answer:
        review = _read(view)
        bundle = await self._closed(review.bundle_id)
        if bundle is None:
            return _updated(*_NOT_FOUND)
        chosen = [p for p in _shown(bundle, review.seen) if review.approves(p.id)]
        if not chosen:
            return _updated(text(ephemeral.NOTHING_TICKED))
        # Clicked again in the same modal it is the same click.
        click = BundleClick(place_of(body), bundle.id, review.seen, f"{view['id']}:{review.turn}")
        texts = await self._approve(click, bundle, chosen, stored)
        return _updated(*(texts or (ephemeral.all_approved(len(chosen)),)))


def _view(review: Review, bundle: Bundle) -> dict[str, Any]:
    waiting = _shown(bundle, review.seen)
    settled = [p for p in bundle.members if p.state != ProposalState.PENDING and p.card_ts is None]
    if waiting:
        return review_view(review, waiting, settled)
    later = any(p.state == ProposalState.PENDING and p.card_ts is None for p in bundle.members)
    if settled and not later:
        return review_view(review, [], settled)
    return _said(text(ephemeral.REDRAWN if later else ephemeral.NONE_WAITS))


def _shown(bundle: Bundle, seen: int) -> list[Proposal]:
    """The proposals that the card showed when it was rendered, still wait, and have no card of their own."""
    return [
        p
        for p in bundle.members
        if p.state == ProposalState.PENDING
        and p.card_ts is None
        and p.revision == 1
        and p.first_shown_at is not None
        and on_card.stamp(p.first_shown_at) <= seen
    ]


def _later(bundle: Bundle, seen: int) -> int:
    """The number of proposals that joined after the card was rendered."""
    waiting = sum(p.state == ProposalState.PENDING and p.card_ts is None for p in bundle.members)
    return waiting - len(_shown(bundle, seen))


def _read(view: Payload) -> Review:
    """The review a modal holds, with what is ticked on its page now. Raises ValueError."""
    review = loaded(str(view.get("private_metadata", "")))
    boxes = [block["element"] for block in view.get("blocks", []) if block.get("type") == "input"]
    shown = [str(option["value"]) for element in boxes for option in element.get("options", [])]
    typed = [each.get(TICKED, {}) for each in ((view.get("state") or {}).get("values") or {}).values()]
    ticked = [str(option["value"]) for each in typed for option in each.get("selected_options") or []]
    return review.with_page(shown, ticked)


async def _each(chosen: Sequence[Proposal], decide: Decide) -> list[tuple[Proposal, DecisionResult]]:
    """Decide them concurrently, a limited number at once."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(proposal: Proposal) -> tuple[Proposal, DecisionResult]:
        async with room:
            return proposal, await decide(proposal)

    return list(await asyncio.gather(*(one(proposal) for proposal in chosen)))


def _click_of(body: Payload, action: Payload) -> BundleClick:
    value, place = ButtonValue.parse(action.get("value")), place_of(body)
    message_ts = (body.get("container") or {}).get("message_ts")
    interaction_id = f"{place.user.id}:{message_ts}:{action.get('action_ts')}"
    return BundleClick(place, value.id, value.number, interaction_id)


def _said(*texts: Text) -> dict[str, Any]:
    return notice(TITLE, *(each.plain for each in texts))


def _updated(*texts: Text) -> Answer:
    return {"response_action": "update", "view": _said(*texts)}
