"""The buttons of cards, and forms: a click or a submit becomes a call, its result a text for one person."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.approvals.service import ApprovalService, Click
from bot.forms.modal import CALLBACK
from bot.forms.service import Proposing
from bot.listeners.acknowledge import Answer, Place, Registrar, acknowledge, place_of, post_ephemeral, show
from bot.results import DecisionResult, DecisionStatus, FollowupResult, FollowupStatus
from bot.services import Services
from bot.slack.client import Slack, SlackError, SlackUser, acting_user
from bot.ui import ephemeral
from bot.ui.card import APPROVE, CHECK, DECLINE, MARK_DONE, MARK_NOT_DONE, RETRY, UNDO, copy_of
from bot.ui.elements import NO_REVISION, ButtonValue, notice
from store.engine.errors import StoreError
from store.models import Proposal, Verdict

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
Followup = Callable[[SlackUser, str], Awaitable[FollowupResult]]
_VERDICTS = {APPROVE: Verdict.APPROVE, DECLINE: Verdict.DECLINE}
_IN_A_FORM = re.compile(rf"{CALLBACK}\.")
_WHO_UNKNOWN = frozenset({DecisionStatus.REFUSED, DecisionStatus.UNCHECKED})


def register(
    app: AsyncApp,
    services: Services,
    approvals: ApprovalService,
    proposing: Proposing,
    *registrars: Registrar,
) -> None:
    """Attach every listener to the Bolt app; both transports share them.

    The `registrars` come first: before the buttons of cards, which the Home tab has too, and before what
    catches every other button.
    """
    for registrar in registrars:
        registrar.register(app)
    Forms(services.slack, proposing).register(app)
    Buttons(services, approvals).register(app)


class Forms:
    """The form of `/polar propose` and of Edit."""

    def __init__(self, slack: Slack, proposing: Proposing) -> None:
        self._slack, self._proposing = slack, proposing

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.action(_IN_A_FORM)(self.clicked)
        app.options(_IN_A_FORM)(self.options)
        app.view(CALLBACK)(self.submitted)

    async def clicked(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something was chosen in a form."""
        await acknowledge(
            self._slack,
            ack,
            body,
            lambda _: self._proposing.clicked(acting_user(body), body["view"], action),
        )

    async def options(self, ack: AsyncAck, body: Payload, payload: Payload) -> None:
        """Somebody types into a select of a form."""
        nothing: Answer = {"options": []}
        await acknowledge(
            self._slack,
            ack,
            body,
            lambda _: self._proposing.suggest(acting_user(body), payload),
            meanwhile=nothing,
            failed=nothing,
        )

    async def submitted(self, ack: AsyncAck, body: Payload, view: Payload) -> None:
        """Next or Propose was clicked: the acknowledgement says what the form shows then."""

        async def later(answer: Answer) -> None:
            if "view" in answer:
                await show(self._slack, str(view["id"]), answer["view"])

        await acknowledge(
            self._slack,
            ack,
            body,
            lambda stored: self._proposing.submit(acting_user(body), view, stored.set),
            meanwhile={"response_action": "update", "view": notice("Propose", ephemeral.FORM_SLOW)},
            failed={"response_action": "update", "view": notice("Propose", ephemeral.FORM_FAILED)},
            later=later,
        )


class Buttons:
    """The buttons of a card. The person who clicked is told any result that the card does not show."""

    def __init__(self, services: Services, approvals: ApprovalService) -> None:
        self._services, self._approvals = services, approvals
        followups = approvals.followups
        self._followups: Mapping[str, Followup] = {
            RETRY: followups.retry,
            CHECK: followups.check,
            MARK_DONE: followups.mark_done,
            MARK_NOT_DONE: followups.mark_not_done,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners, the one for unknown buttons last."""
        for action_id in _VERDICTS:
            app.action(action_id)(self.decide)
        app.action(UNDO)(self.undo)
        for action_id in self._followups:
            app.action(action_id)(self.follow_up)
        app.action({"type": "block_actions", "action_id": re.compile(".*")})(self.out_of_date)

    async def decide(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Approve or Decline was clicked.

        Slack is answered once the approval or the decision is on disk, so that a click Slack has taken is not
        lost. A Decline is on disk once it is known who declines: while Slack does not say that in time, it
        may be lost in a crash, and else the person is told the result.
        """
        click = click_of(body, action)
        verdict = _VERDICTS[action["action_id"]]
        await acknowledge(
            self._services.slack,
            ack,
            body,
            lambda stored: self._tell(body, click, self._approvals.decide(click, verdict, stored.set)),
        )

    async def undo(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Undo was clicked: in time, or after it was done."""
        click = click_of(body, action)
        undoing = self._approvals.undo(click.user, click.proposal_id, via="button")
        await acknowledge(self._services.slack, ack, body, lambda _: self._tell(body, click, undoing))

    async def follow_up(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Retry, Check again, Was done or Not done was clicked."""
        await acknowledge(self._services.slack, ack, body, lambda _: self._followed_up(body, action))

    async def out_of_date(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something was clicked that this version does not know, so an older or newer card."""

        async def tell() -> None:
            if not action.get("url"):  # Slack also reports a click on a link: there is nothing to do
                await self._post(place_of(body), ephemeral.NOT_FOUND)

        await acknowledge(self._services.slack, ack, body, lambda _: tell())

    async def _tell(self, body: Payload, click: Click, deciding: Awaitable[DecisionResult]) -> None:
        result = await deciding
        if not result.on_the_card or click.message_ts is None:  # no card was clicked, so none shows it
            await self._post(place_of(body), ephemeral.decision(result).mrkdwn)
        if result.proposal is not None and result.status not in _WHO_UNKNOWN:
            await self._mend_copy(click, result.proposal)

    async def _followed_up(self, body: Payload, action: Payload) -> None:
        place, value = place_of(body), ButtonValue.parse(action.get("value"))
        try:
            result = await self._followups[action["action_id"]](place.user, value.id)
        except StoreError as error:
            result = FollowupResult(FollowupStatus.NOT_STORED, error=str(error))
        if not result.on_the_card:
            await self._post(place, ephemeral.followup(result).mrkdwn)

    async def _post(self, place: Place, text: str) -> None:
        await post_ephemeral(self._services.slack, place, text, self._services.channel)

    async def _mend_copy(self, click: Click, proposal: Proposal) -> None:
        """A card posted twice (a crash between posting and noting it): the copy points to the card."""
        copy, card = click.message_ts, proposal.card_ts
        if click.channel is None or copy is None or card is None or copy == card:
            return
        try:
            link = await self._services.slack.permalink(proposal.channel or self._services.channel, card)
            await self._services.slack.update(click.channel, copy, copy_of(proposal, link))
        except SlackError as error:
            log.warning("a copy of the card of %s is not redrawn: %s", proposal.id, error)


def click_of(body: Payload, action: Payload) -> Click:
    """The click in a payload: the user, the button and the message."""
    place, clicked_at = place_of(body), str(action.get("action_ts") or "")
    value = ButtonValue.parse(action.get("value"))
    return Click(
        user_id=place.user.id,
        team_id=place.user.team_id,
        proposal_id=value.id,
        revision=NO_REVISION if value.detail else value.revision,  # no button of a card has a detail
        channel=place.channel,
        message_ts=place.message_ts,
        interaction_id=f"{place.user.id}.{clicked_at}"[:80] if clicked_at else None,
    )
