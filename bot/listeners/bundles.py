"""The card for many: Approve all, Decline all, Review and Undo, each still a decision about each proposal."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.approvals.actions import Acting
from bot.approvals.results import Answer, Came
from bot.approvals.service import ApprovalService
from bot.listeners.acknowledge import done_or_kept
from bot.sanitize import clean
from bot.services import Queue, Services
from bot.slack.client import SlackError
from bot.slack.user import Person, person_of
from bot.ui import bundle as on_card
from bot.ui.bundle_review import (
    ALONE,
    BACK,
    NEXT,
    PAGE,
    REVIEWED,
    TICKED,
    Review,
    loaded,
    review_view,
    said_view,
)
from bot.ui.bundling import one_by_one
from bot.ui.decline_reasons import REASON_ALL
from bot.ui.ephemeral import gone
from bot.ui.text import escape
from store.engine.errors import StoreError
from store.messages.bundles import close_bundle, get_bundle, give_own_card
from store.models import Bundle, Proposal, ProposalState
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
VIA = "bundle"
# Seconds, for Slack waits three: until it is on disk, or decided; a modal shows its answer when that is soon.
_ACK_WITHIN, _ANSWER_WITHIN = 2.5, 2.0
_AT_ONCE = 32  # proposals: what Polar is asked about them keeps to its own pace
_LISTED = 5  # proposals by name for each reason why they were not decided
_NONE_WAITS = (
    "Nothing on this card waits for you any more. It shows what became of each. Nothing was changed."
)
_DRAWN_AGAIN = "This card was drawn again after what you saw. Nothing was changed; look at it and tap again."
_BROKE = "This went wrong and nothing more was decided. The card shows what was; close this and look at it."

Decide = Callable[[Proposal], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Pressed:
    """A button of a bundle's card: by whom, on which bundle, and when the card they saw was drawn (µs).

    `press` names this one press.
    """

    person: Person
    bundle_id: str
    seen: int
    press: str
    channel: str | None


class Bundles:
    """What people do with a bundle. Nothing of the message is believed but ids and when it was drawn."""

    def __init__(self, services: Services, approvals: ApprovalService) -> None:
        self._services, self._approvals, self._acting = services, approvals, Acting(services)

    def register(self, app: AsyncApp) -> None:
        """Attach the buttons of the card and the modal."""
        app.action(on_card.APPROVE_ALL)(self.approve_all)
        app.action(on_card.DECLINE_ALL)(self.decline_all)
        app.action(on_card.UNDO_ALL)(self.undo_all)
        app.action(on_card.REVIEW)(self.review)
        for way in (BACK, NEXT):
            app.action(f"{PAGE}.{way}")(self.turn)
        app.action(ALONE)(self.alone)
        app.action(REASON_ALL)(self.reason_all)
        app.action(TICKED)(self.ticked)
        app.view(REVIEWED)(self.reviewed)

    # --- The card -----------------------------------------------------------------------------------------

    async def approve_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Approve all was tapped: Slack is answered once every approval is on disk."""
        pressed, kept = _pressed(body, action), asyncio.Event()
        await self._answered(ack, pressed, self._approved(pressed, kept.set), kept)

    async def decline_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Decline all was tapped."""
        pressed = _pressed(body, action)
        await self._answered(ack, pressed, self._declined(pressed))

    async def undo_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Undo was tapped, while something approved still waits to run."""
        pressed = _pressed(body, action)
        await self._answered(ack, pressed, self._undone(pressed))

    async def _answered(
        self,
        ack: AsyncAck,
        pressed: Pressed,
        work: Awaitable[str | None],
        kept: asyncio.Event | None = None,
    ) -> None:
        working = asyncio.ensure_future(_told(work))
        await done_or_kept(working, kept or asyncio.Event(), _ACK_WITHIN)
        await ack()
        said = await working
        if said is not None:
            await self._whisper(pressed, said)

    async def _whisper(self, pressed: Pressed, text: str) -> None:
        try:
            await self._services.slack.whisper(
                pressed.channel or self._services.channel, pressed.person.user_id, text
            )
        except SlackError as error:
            log.warning("%s could not be told what came of a bundle: %s", pressed.person.user_id, error)

    async def _approved(self, pressed: Pressed, kept: Callable[[], None]) -> str | None:
        bundle = await self._closed(pressed.bundle_id)
        if bundle is None:
            return gone()
        if one_by_one(bundle.key):  # a forged button: the card has none
            return "These are gone through one by one: tap Review. Nothing was changed."
        return await self._approve(bundle, _shown(bundle, pressed.seen), pressed, kept)

    async def _approve(
        self, bundle: Bundle, chosen: Sequence[Proposal], pressed: Pressed, kept: Callable[[], None]
    ) -> str | None:
        # What a bundle shows is the first revision of each; what asks anything else has its own card.
        answers = await self._approvals.approve_all(
            pressed.person, chosen, via=VIA, revision=1, tap=pressed.press, kept=kept
        )
        return _summed("approved", bundle, pressed.seen, answers)

    async def _declined(self, pressed: Pressed) -> str | None:
        bundle = await self._closed(pressed.bundle_id)
        if bundle is None:
            return gone()

        async def one(proposal: Proposal) -> Answer:
            return await self._approvals.decline(
                pressed.person, proposal.id, via=VIA, revision=1, tap=pressed.press
            )

        answers = await _each(_shown(bundle, pressed.seen), one)
        return _summed("declined", bundle, pressed.seen, answers)

    async def _undone(self, pressed: Pressed) -> str | None:
        bundle = await self._services.store.do(get_bundle, pressed.bundle_id)
        if bundle is None:
            return gone()

        async def one(proposal: Proposal) -> Answer:
            return await self._approvals.undo(pressed.person, proposal.id, via=VIA)

        # Only what can still be taken back in time: what is done is undone on a card of its own.
        held = [
            p for p in bundle.members if p.state == ProposalState.APPROVED and p.cancellable_until is not None
        ]
        return _summed("undone", bundle, pressed.seen, await _each(held, one))

    async def reason_all(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Why all of it was declined: kept with each of them."""
        await ack()
        value = str((action.get("selected_option") or {}).get("value", ""))
        pressed = _pressed(body, {**action, "value": value.partition(":")[0]})
        said = await _told(self._reasoned(pressed, value.rpartition(":")[2]))
        if said is not None:
            await self._whisper(pressed, said)

    async def _reasoned(self, pressed: Pressed, preset: str) -> str | None:
        bundle = await self._services.store.do(get_bundle, pressed.bundle_id)
        if bundle is None:
            return gone()
        for proposal in bundle.members:
            if proposal.state == ProposalState.DECLINED and proposal.card_ts is None:
                acted = await self._acting.reason(pressed.person, proposal.id, preset=preset, silent=True)
                if not acted.done:
                    return escape(acted.said)
        return None

    async def _closed(self, bundle_id: str) -> Bundle | None:
        """The bundle, which nothing joins any more: somebody decides about it."""
        await self._services.store.do(close_bundle, bundle_id, self._services.clock())
        return await self._services.store.do(get_bundle, bundle_id)

    # --- The modal ----------------------------------------------------------------------------------------

    async def review(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Review was tapped."""
        await ack()
        pressed = _pressed(body, action)
        try:
            bundle = await self._services.store.do(get_bundle, pressed.bundle_id)
            who = pressed.person
            refused = await self._services.authority.outsider(who.user_id, who.team_id, "look at this")
            view = said_view(refused or gone())
            if bundle is not None and refused is None:
                view = _view(Review(bundle.id, pressed.seen, ticked=not one_by_one(bundle.key)), bundle)
            await self._services.slack.open_view(str(body.get("trigger_id", "")), view)
        except (SlackError, StoreError) as error:
            log.warning("bundle %s cannot be reviewed: %s", pressed.bundle_id, error)
            await self._whisper(pressed, "Review could not be opened. Nothing was changed; tap it again.")

    async def turn(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Back or Next: what is ticked on this page is kept."""
        await ack()
        step = 1 if action.get("value") == NEXT else -1
        await self._redrawn(body, lambda review: replace(review, page=review.page + step))

    async def ticked(self, ack: AsyncAck) -> None:
        """A box was ticked: the modal tells when it is turned or submitted."""
        await ack()

    async def alone(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """One of them is to have a card of its own."""
        await ack()
        person, view = person_of(body), body["view"]
        chosen = str((action.get("selected_option") or {}).get("value", ""))
        try:
            review = loaded(str(view.get("private_metadata", "")))
            member = await self._services.store.do(get_proposal, chosen)
            refused = await self._services.authority.refusal(person.user_id, person.team_id, member)
            if refused is None:
                now = self._services.clock()
                await self._services.store.do(give_own_card, review.bundle_id, chosen, now)
                self._services.notify(Queue.ANNOUNCE)
        except (StoreError, ValueError) as error:
            log.warning("no card of its own for %s: %s", chosen, error)
            refused = _BROKE
        await self._redrawn(body, lambda review: review, said=refused)

    async def _redrawn(
        self, body: Payload, change: Callable[[Review], Review], said: str | None = None
    ) -> None:
        view = body["view"]
        try:
            review = change(_read(view))
            bundle = await self._services.store.do(get_bundle, review.bundle_id)
            shown = said_view(said or gone()) if said or bundle is None else _view(review, bundle)
            await self._services.slack.update_view(str(view["id"]), shown)
        except (SlackError, StoreError, ValueError) as error:
            log.warning("a review is not redrawn: %s", error)

    async def reviewed(self, ack: AsyncAck, body: Payload, view: Payload) -> None:
        """Approve was pressed in the modal: the ticked ones. The answer stands in the modal."""
        kept = asyncio.Event()
        working = asyncio.ensure_future(_told(self._submitted(person_of(body), view, kept.set)))
        await asyncio.wait({working}, timeout=_ANSWER_WITHIN)
        await done_or_kept(working, kept, _ACK_WITHIN - _ANSWER_WITHIN)
        if working.done():
            await ack(response_action="update", view=said_view(*(await working or _NONE_WAITS).split("\n")))
            return
        await ack(response_action="update", view=said_view("Approving. What comes of it is shown here."))
        said = await working
        try:
            await self._services.slack.update_view(
                str(view["id"]), said_view(*(said or _NONE_WAITS).split("\n"))
            )
        except SlackError as error:
            log.info("what came of a review is not shown: %s", error)

    async def _submitted(self, person: Person, view: Payload, kept: Callable[[], None]) -> str:
        try:
            review = _read(view)
        except ValueError:
            return _BROKE
        bundle = await self._closed(review.bundle_id)
        if bundle is None:
            return gone()
        chosen = [p for p in _shown(bundle, review.seen) if review.approves(p.id)]
        if not chosen:
            return "Nothing was ticked, or nothing of it waits any more. Nothing was changed."
        # Pressed again in the same modal it is the same press.
        press = f"{view['id']}:{review.turn}"
        pressed = Pressed(person, bundle.id, review.seen, press, None)
        said = await self._approve(bundle, chosen, pressed, kept)
        return said or f"Approved: {len(chosen)}. The card shows what comes of them."


def _view(review: Review, bundle: Bundle) -> dict[str, Any]:
    waiting = _shown(bundle, review.seen)
    settled = [p for p in bundle.members if p.state != ProposalState.PENDING and p.card_ts is None]
    if waiting:
        return review_view(review, waiting, settled)
    later = any(p.state == ProposalState.PENDING and p.card_ts is None for p in bundle.members)
    if settled and not later:
        return review_view(review, [], settled)
    return said_view(_DRAWN_AGAIN if later else _NONE_WAITS)


def _shown(bundle: Bundle, seen: int) -> list[Proposal]:
    """What waits of that which the card showed when it was drawn, and has no card of its own."""
    return [
        p
        for p in bundle.members
        if p.state == ProposalState.PENDING
        and p.card_ts is None
        and p.revision == 1
        and p.first_shown_at is not None
        and on_card.stamp(p.first_shown_at) <= seen
    ]


def _read(view: Payload) -> Review:
    """The review a modal holds, with what is ticked on its page now. Raises ValueError."""
    review = loaded(str(view.get("private_metadata", "")))
    boxes = [block["element"] for block in view.get("blocks", []) if block.get("type") == "input"]
    shown = [str(option["value"]) for element in boxes for option in element.get("options", [])]
    typed = [each.get(TICKED, {}) for each in ((view.get("state") or {}).get("values") or {}).values()]
    ticked = [str(option["value"]) for each in typed for option in each.get("selected_options") or []]
    return review.with_page(shown, ticked)


async def _each(chosen: Sequence[Proposal], decide: Decide) -> list[tuple[Proposal, Answer]]:
    """Decide them side by side, so many at once; what came of each."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(proposal: Proposal) -> tuple[Proposal, Answer]:
        async with room:
            return proposal, await decide(proposal)

    return list(await asyncio.gather(*(one(proposal) for proposal in chosen)))


_AS_WANTED = frozenset({Came.REPEATED, Came.KEPT})


def _summed(verb: str, bundle: Bundle, seen: int, answers: Sequence[tuple[Proposal, Answer]]) -> str | None:
    """What the person is told: which were not decided and why; None when the card shows all there is."""
    later = sum(p.state == ProposalState.PENDING and p.card_ts is None for p in bundle.members) - len(
        _shown(bundle, seen)
    )
    joined = f"{later} joined after the card you saw was drawn: they still wait." if later > 0 else None
    if not answers:
        return joined or _NONE_WAITS
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for proposal, answer in answers:
        unasked = not answer.counts and answer.came not in _AS_WANTED
        if unasked or answer.came is Came.FIRST_YES:
            reasons[answer.text].append(proposal.title)
    missed = sum(map(len, reasons.values()))
    lines = [f"{len(answers) - missed} of {len(answers)} {verb}."] if missed else []
    for text, titles in reasons.items():
        more = f" and {len(titles) - _LISTED} more" if len(titles) > _LISTED else ""
        named = "; ".join(escape(clean(each, 100)) for each in titles[:_LISTED])
        lines.append(f"{text} ({named}{more})")
    return "\n".join([*lines, *([joined] if joined else [])])[:3_500] or None


def _pressed(body: Payload, action: Payload) -> Pressed:
    bundle_id, _, seen = str(action.get("value", "")).partition(":")
    container = body.get("container") or {}
    channel = container.get("channel_id") or (body.get("channel") or {}).get("id")
    person = person_of(body)
    press = f"{person.user_id}:{container.get('message_ts')}:{action.get('action_ts')}"
    known = seen.isascii() and seen.isdecimal() and len(seen) < 20
    return Pressed(person, bundle_id, int(seen) if known else 0, press, channel)


async def _told(work: Awaitable[str | None]) -> str | None:
    """What came of it, in words, whatever happens: Slack has been answered or will be."""
    try:
        return await work
    except StoreError as error:
        return f"Nothing more could be decided just now: {error} The card shows what was. Tap again."
    except Exception:
        log.exception("a bundle could not be decided")
        return _BROKE
