"""The buttons of cards, and forms: a click or a submit becomes a call, its result a text for one person."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping

from slack_bolt.async_app import AsyncApp

from bot.approvals.service import ApprovalService, Click
from bot.forms.modal import CALLBACK
from bot.forms.service import Proposing
from bot.listeners.acknowledge import Answer, Interaction, Listener, Registrar, listen
from bot.results import LATE, ON_THE_CARD, DecisionResult, DecisionStatus, FollowupResult, FollowupStatus
from bot.services import Services
from bot.slack.client import SlackError, SlackUser
from bot.ui import ephemeral
from bot.ui.card import APPROVE, CHECK, DECLINE, MARK_DONE, MARK_NOT_DONE, RETRY, UNDO, copy_of
from bot.ui.elements import NO_REVISION, Text, notice, text, words
from store.engine.errors import StoreError
from store.models import Proposal, Verdict

log = logging.getLogger(__name__)

Followup = Callable[[SlackUser, str], Awaitable[FollowupResult]]
VERDICTS = {APPROVE: Verdict.APPROVE, DECLINE: Verdict.DECLINE}
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
    _listen_to_forms(app, services, proposing)
    Buttons(services, approvals).register(app)


def _listen_to_forms(app: AsyncApp, services: Services, proposing: Proposing) -> None:
    """The form of `/polar propose` and of Edit: choices in it, selects typed into, and Next or Propose."""
    nothing: Answer = {"options": []}

    listen(services, app.action(_IN_A_FORM), lambda on: proposing.clicked(on.user, on.view, on.payload))
    listen(
        services,
        app.options(_IN_A_FORM),
        lambda on: proposing.suggest(on.user, on.payload),
        meanwhile=nothing,
        failed=nothing,
    )
    listen(
        services,
        app.view(CALLBACK),
        lambda on: proposing.submit(on.user, on.view, on.stored),
        meanwhile={"response_action": "update", "view": notice("Propose", ephemeral.FORM_SLOW)},
        failed={"response_action": "update", "view": notice("Propose", ephemeral.FORM_FAILED)},
        later=_show_form_late,
    )


async def _show_form_late(on: Interaction, answer: Answer) -> None:
    """Show the result of a slow form in its modal, or tell it when the modal is closed."""
    view = answer.get(LATE) or answer["view"]
    if await on.show(view) or ("submit" in view and LATE not in answer):  # closed before its next page
        return
    said = [block["text"]["text"] for block in view["blocks"] if block["type"] == "section"]
    await on.tell(Text((words(" ".join(said)),)))


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
        works: dict[str | re.Pattern[str], Listener] = {
            **dict.fromkeys(VERDICTS, self._decide),
            UNDO: self._undo,
            **dict.fromkeys(self._followups, self._follow_up),
            re.compile(".*"): self._out_of_date,
        }
        for action_id, work in works.items():
            listen(self._services, app.action({"type": "block_actions", "action_id": action_id}), work)

    async def _decide(self, on: Interaction) -> None:
        """Approve or Decline was clicked.

        Slack is answered once the approval or the decision is on disk, so that a click Slack has taken is not
        lost: a Decline also when Slack has not said yet who declines.
        """
        click = click_of(on)
        await self._tell(
            on, click, await self._approvals.decide(click, VERDICTS[on.payload["action_id"]], on.stored)
        )

    async def _undo(self, on: Interaction) -> None:
        """Undo was clicked: in time, or after it was done."""
        click = click_of(on)
        undone = await self._approvals.undo(
            click.user, click.proposal_id, via="button", channel=click.channel, stored=on.stored
        )
        await self._tell(on, click, undone)

    async def _follow_up(self, on: Interaction) -> None:
        """Retry, Check again, Was done or Not done was clicked."""
        try:
            result = await self._followups[on.payload["action_id"]](on.user, on.value.id)
        except StoreError as error:
            result = FollowupResult(FollowupStatus.NOT_STORED, error=str(error))
        if result.status not in ON_THE_CARD:
            await on.tell(ephemeral.followup(result))

    async def _out_of_date(self, on: Interaction) -> None:
        """Something was clicked that this version does not know, so an older or newer card."""
        if not on.payload.get("url"):  # Slack also reports a click on a link: there is nothing to do
            await on.tell(text(ephemeral.NOT_FOUND))

    async def _tell(self, on: Interaction, click: Click, result: DecisionResult) -> None:
        # Without a message no card was clicked, so none shows it.
        if result.status not in ON_THE_CARD or click.message_ts is None:
            await on.tell(ephemeral.decision(result))
        if result.proposal is not None and result.status not in _WHO_UNKNOWN:
            await self._mend_copy(click, result.proposal)

    async def _mend_copy(self, click: Click, proposal: Proposal) -> None:
        """A card posted twice (a crash between posting and noting it): the copy points to the card."""
        copy, card = click.message_ts, proposal.card_ts
        if click.channel is None or copy is None or card is None or copy == card:
            return
        try:
            link = await self._services.slack.permalink(proposal.channel or self._services.channel, card)
            await self._services.slack.update(click.channel, copy, copy_of(proposal, link).content)
        except SlackError as error:
            log.warning("a copy of the card of %s is not redrawn: %s", proposal.id, error)


def click_of(on: Interaction) -> Click:
    """The click on a button of a proposal."""
    place, value, clicked_at = on.place, on.value, str(on.payload.get("action_ts") or "")
    return Click(
        user=place.user,
        proposal_id=value.id,
        revision=NO_REVISION if value.detail else value.revision,  # no button of a card has a detail
        channel=place.channel,
        message_ts=place.message_ts,
        interaction_id=f"{place.user.id}.{clicked_at}"[:80] if clicked_at else None,
    )
