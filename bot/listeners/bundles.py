"""The card for many: Approve all, Decline all, Review and Undo, each still a decision about each proposal."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.approvals.actions import Actions
from bot.approvals.service import ApprovalService
from bot.listeners.acknowledge import Answer, Interaction, listen, nothing
from bot.results import DecisionResult, DecisionStatus
from bot.services import Queue, Services
from bot.slack.client import SlackError
from bot.ui import bundle as on_card
from bot.ui import ephemeral
from bot.ui.bundle import ALONE, BACK, NEXT, PAGE, REVIEWED, TICKED, TITLE, Review, loaded, review_view
from bot.ui.card_modals import REASON_ALL
from bot.ui.elements import Text, notice, paragraphs, text
from store.messages.bundles import close_bundle, give_own_card
from store.messages.cards import get_bundle
from store.models import Proposal, ProposalState
from store.models.details import Bundle
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Texts = Sequence[Text]  # paragraphs for one person; none when the card shows the whole result
Work = Callable[[Interaction, Bundle], Awaitable[Texts]]
Decide = Callable[[Proposal], Awaitable[DecisionResult]]
VIA = "bundle"
_AT_ONCE = 32  # proposals; the calls to Polar keep to their own rate limit
_NOT_FOUND = (text(ephemeral.NOT_FOUND),)


class Bundles:
    """The actions on a bundle. Of the message, only the ids and the time of rendering are trusted."""

    def __init__(self, services: Services, approvals: ApprovalService) -> None:
        self._services, self._approvals, self._actions = services, approvals, Actions(services)

    def register(self, app: AsyncApp) -> None:
        """Attach the buttons of the card and the modal."""
        services = self._services
        deciding = {
            on_card.APPROVE_ALL: self._approved,
            on_card.DECLINE_ALL: self._declined,
            on_card.UNDO_ALL: self._undone,
            REASON_ALL: self._reasoned,
        }
        for action_id, work in deciding.items():
            listen(services, app.action(action_id), partial(self._carry_out, work))
        listen(services, app.action(on_card.REVIEW), self._open)
        for way in (BACK, NEXT):
            listen(services, app.action(f"{PAGE}.{way}"), self._turn)
        listen(services, app.action(ALONE), self._own_card)
        listen(services, app.action(TICKED), nothing)  # the modal tells when it is turned or submitted
        listen(
            services,
            app.view(REVIEWED),
            self._submitted,
            meanwhile=_updated(text(ephemeral.SLOW)),
            failed=_updated(text(ephemeral.FAILED)),
            later=Interaction.show_answer,
        )

    # --- The card -----------------------------------------------------------------------------------------

    async def _carry_out(self, work: Work, on: Interaction) -> None:
        """Do the work of a button, and tell whoever clicked what the card does not show."""
        decides = on.payload["action_id"] in (on_card.APPROVE_ALL, on_card.DECLINE_ALL)
        bundle = await (self._closed if decides else self._found)(on.value.id)
        if texts := _NOT_FOUND if bundle is None else await work(on, bundle):
            await on.tell(paragraphs(texts))

    async def _approved(self, on: Interaction, bundle: Bundle) -> Texts:
        """Approve all was clicked: Slack is answered once every approval is on disk."""
        if bundle.one_by_one:  # a forged button: the card has none
            return (text(ephemeral.ONE_BY_ONE),)
        seen = on.value.number
        return await self._approve(on, bundle, _shown(bundle, seen), seen=seen, interaction_id=_name_of(on))

    async def _approve(
        self, on: Interaction, bundle: Bundle, chosen: Sequence[Proposal], *, seen: int, interaction_id: str
    ) -> Texts:
        """Approve what was `chosen` on a card, drawn at `seen` (µs)."""
        # A bundle shows the first revision of each proposal; an edited proposal has its own card.
        results = await self._approvals.approve_all(
            on.user, chosen, via=VIA, revision=1, interaction_id=interaction_id, stored=on.stored
        )
        return await self._told(on, DecisionStatus.APPROVED, results, _later(bundle, seen))

    async def _declined(self, on: Interaction, bundle: Bundle) -> Texts:
        """Decline all was clicked."""
        results = await _each(
            _shown(bundle, on.value.number),
            lambda proposal: self._approvals.decline(
                on.user,
                proposal.id,
                via=VIA,
                revision=1,
                interaction_id=_name_of(on),
                channel=on.place.channel,
            ),
        )
        on.stored()  # each of them
        return await self._told(on, DecisionStatus.DECLINED, results, _later(bundle, on.value.number))

    async def _undone(self, on: Interaction, bundle: Bundle) -> Texts:
        """Undo was clicked, while something approved still waits to run."""
        # Only those that can still be cancelled in time: a done proposal is undone on its own card.
        held = [
            p for p in bundle.members if p.state == ProposalState.APPROVED and p.cancellable_until is not None
        ]
        channel = on.place.channel
        results = await _each(
            held, lambda proposal: self._approvals.undo(on.user, proposal.id, via=VIA, channel=channel)
        )
        on.stored()
        return await self._told(on, DecisionStatus.UNDONE, results, _later(bundle, on.value.number))

    async def _reasoned(self, on: Interaction, bundle: Bundle) -> Texts:
        """Store the reason for a decline of all proposals with each of them."""
        for proposal in bundle.members:
            if proposal.state == ProposalState.DECLINED and proposal.card_ts is None:
                result = await self._actions.reason(on.user, proposal.id, preset=on.value.detail, silent=True)
                if not result.done:
                    return (ephemeral.action(result),)
        return ()

    async def _told(
        self,
        on: Interaction,
        wanted: DecisionStatus,
        results: Sequence[tuple[Proposal, DecisionResult]],
        later: int,
    ) -> Texts:
        """The undecided proposals and the reasons. Of those who may not decide, readers alone see titles."""
        refused = any(result.refusal is not None for _, result in results)
        named = not refused or await self._unread(on) is None
        return ephemeral.several(wanted, results, later, named=named)

    async def _closed(self, bundle_id: str) -> Bundle | None:
        """The bundle, closed because somebody decides about it: no proposal joins it any more."""
        await self._services.store.do(close_bundle, bundle_id, self._services.clock())
        return await self._found(bundle_id)

    async def _found(self, bundle_id: str) -> Bundle | None:
        return await self._services.store.read(get_bundle, bundle_id)

    # --- The modal ----------------------------------------------------------------------------------------

    async def _open(self, on: Interaction) -> None:
        """Review was clicked."""
        bundle = await self._found(on.value.id)
        refused = await self._unread(on)
        if refused is not None:
            view = _said(refused)
        elif bundle is None:
            view = _said(*_NOT_FOUND)
        else:
            view = _view(Review(bundle.id, on.value.number, ticked=not bundle.one_by_one), bundle)
        try:
            await self._services.slack.open_view(on.trigger_id, view)
        except SlackError as error:
            log.warning("bundle %s cannot be reviewed: %s", on.value.id, error)
            await on.tell(text(ephemeral.REVIEW_NOT_OPENED))

    async def _turn(self, on: Interaction) -> None:
        """Back or Next: what is ticked on this page is kept."""
        step = 1 if on.payload.get("value") == NEXT else -1
        await self._redrawn(on, step)

    async def _own_card(self, on: Interaction) -> None:
        """One of them is to have a card of its own."""
        user, chosen = on.user, on.value.id
        review = loaded(str(on.view.get("private_metadata", "")))
        member = await self._services.store.read(get_proposal, chosen)
        refused = await self._services.authority.refusal(user.id, user.team_id, member)
        if refused is not None:
            await on.show(_said(ephemeral.refused(refused)))
            return
        await self._services.store.do(give_own_card, review.bundle_id, chosen, self._services.clock())
        self._services.notify(Queue.ANNOUNCE)
        await self._redrawn(on)

    async def _redrawn(self, on: Interaction, step: int = 0) -> None:
        """Draw the modal again, so many pages on."""
        review = _read(on.view)
        review = replace(review, page=review.page + step)
        bundle, refused = await self._found(review.bundle_id), await self._unread(on)
        if refused is not None:
            shown = _said(refused)
        else:
            shown = _said(*_NOT_FOUND) if bundle is None else _view(review, bundle)
        await on.show(shown)

    async def _unread(self, on: Interaction) -> Text | None:
        """The reason why this person may not read the bundle, in words."""
        refused = await self._services.authority.refusal_to_read(on.user.id, on.user.team_id)
        return None if refused is None else ephemeral.refused(refused)

    async def _submitted(self, on: Interaction) -> Answer:
        """Approve was clicked in the modal: the ticked ones. The result stands in the modal."""
        review = _read(on.view)
        bundle = await self._closed(review.bundle_id)
        if bundle is None:
            return _updated(*_NOT_FOUND)
        chosen = [p for p in _shown(bundle, review.seen) if review.approves(p.id)]
        if not chosen:
            return _updated(text(ephemeral.NOTHING_TICKED))
        # Clicked again in the same modal it is the same click.
        name = f"{on.view['id']}:{review.turn}"
        texts = await self._approve(on, bundle, chosen, seen=review.seen, interaction_id=name)
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


def _name_of(on: Interaction) -> str:
    """Names one click, however often Slack delivers it."""
    message_ts = (on.body.get("container") or {}).get("message_ts")
    return f"{on.user.id}:{message_ts}:{on.payload.get('action_ts')}"


def _said(*texts: Text) -> dict[str, Any]:
    return notice(TITLE, *(each.plain for each in texts))


def _updated(*texts: Text) -> Answer:
    return {"response_action": "update", "view": _said(*texts)}
