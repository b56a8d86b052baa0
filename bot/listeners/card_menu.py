"""The menu of a card: Details, Edit, Snooze, Assign, Ask in thread; and the reasons for a decline."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from slack_bolt.async_app import AsyncApp

from bot.approvals.actions import Actions, ending
from bot.forms.service import Proposing
from bot.forms.values import entry
from bot.listeners.acknowledge import Answer, Interaction, listen, show
from bot.listeners.threads import OFFERED
from bot.results import LATE, ActionResult, ActionStatus, Purpose
from bot.services import Services
from bot.slack.client import SlackError, SlackUser
from bot.slack.permalinks import Links
from bot.ui import card_modals, details, ephemeral
from bot.ui.card import ASK, ASSIGN, DETAILS, EDIT, SNOOZE, WHY
from bot.ui.card_modals import OTHER, REASON
from bot.ui.elements import ButtonValue, Text, notice, text
from bot.ui.states import approver_line
from store.models import Proposal
from store.proposals.details import proposal_details
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
View = dict[str, Any]
Errors = dict[str, str]  # what is wrong, by field
Submit = Callable[[SlackUser, ButtonValue, Payload], Awaitable[ActionResult | Errors]]


class CardMenu:
    """A modal opens at once, for its trigger lives three seconds; then it is filled, or says why not."""

    def __init__(self, services: Services, proposing: Proposing, links: Links) -> None:
        self._services = services
        self._proposing = proposing
        self._actions = Actions(services)
        self._links = links
        self._forms: Mapping[str, Callable[[Proposal], View]] = {
            SNOOZE: self._snooze_view,
            ASSIGN: card_modals.assign_view,
            ASK: card_modals.ask_view,
            REASON: card_modals.reason_view,
        }
        self._submits: Mapping[str, Submit] = {
            card_modals.SNOOZE: self._snooze,
            card_modals.ASSIGN: self._assign,
            card_modals.ASK: self._ask,
            card_modals.SAY: self._say,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        works = {
            card_modals.MENU: lambda on: self._open(on.value.detail, on),
            # Why? of the question about a kind of case opens the details too.
            **dict.fromkeys((DETAILS, WHY), lambda on: self._open(DETAILS, on)),
            **dict.fromkeys((details.BACK, details.NEXT), self._turn),
            REASON: self._choose_reason,
        }
        for action_id, work in works.items():
            listen(self._services, app.action(action_id), work)
        for callback in self._submits:
            listen(
                self._services,
                app.view(callback),
                self._submitted,
                meanwhile=_updated(notice(card_modals.WAIT, ephemeral.SLOW)),
                failed=_updated(notice(card_modals.NOT_DONE, ephemeral.FAILED)),
                later=_answer_late,
            )

    # --- Clicks -----------------------------------------------------------------------------------------

    async def _turn(self, on: Interaction) -> None:
        """Back or Next was clicked in the details."""
        await self._show_details(on.user, str(on.view.get("id", "")), on.value.id, on.value.number)

    async def _choose_reason(self, on: Interaction) -> None:
        """A reason was chosen on a declined card; "Other…" opens a form."""
        if on.value.detail in ("", OTHER):
            await self._open(REASON, on)
            return
        result = await self._actions.reason(on.user, on.value.id, preset=on.value.detail)
        if not result.done:
            await on.tell(ephemeral.action(result))

    async def _submitted(self, on: Interaction) -> Answer:
        """A form was sent: the acknowledgement closes it, or says what is wrong."""
        value = ButtonValue.parse(on.view.get("private_metadata"))
        values = (on.view.get("state") or {}).get("values") or {}
        result = await self._submits[str(on.view.get("callback_id"))](on.user, value, values)
        return _answer(result) | {LATE: result}

    # --- Opening ----------------------------------------------------------------------------------------

    async def _open(self, name: str, on: Interaction) -> None:
        user, value = on.user, on.value
        try:
            view_id = await self._services.slack.open_view(on.trigger_id, details.loading())
        except SlackError as error:
            log.warning("a modal of %s did not open: %s", value.id, error)
            await on.tell(ephemeral.not_opened(str(error)))
            return
        if name == DETAILS:
            await self._show_details(user, view_id, value.id, 1)
            return
        found = await self._asked(name, user, value)
        if found is None:
            view = notice(card_modals.OUT_OF_DATE, ephemeral.NOT_FOUND)
        elif isinstance(found, ActionResult):
            view = notice(card_modals.TITLES[name], ephemeral.action(found).plain)
        elif name == EDIT:
            await self._proposing.edit(user, view_id, found)
            return
        else:
            view = self._forms[name](found)
        await show(self._services.slack, view_id, view)

    async def _asked(self, name: str, user: SlackUser, value: ButtonValue) -> Proposal | ActionResult | None:
        """The subject of a form, if this person may use it; None for a form of another version."""
        if name == EDIT:
            return await self._actions.may_edit(user, value.id, value.revision)
        if name == REASON:
            return await self._actions.may_give_reason(user, value.id)
        if name != ASK:
            return await self._actions.may(user, value.id, value.revision) if name in self._forms else None
        refused = await self._services.authority.refusal_to_read(user.id, user.team_id, Purpose.ASK)
        if refused is not None:
            return ActionResult(ActionStatus.REFUSED, refused)
        found = await self._services.store.read(get_proposal, value.id)
        return ActionResult(ActionStatus.NOT_FOUND) if found is None else found

    async def _show_details(self, user: SlackUser, view_id: str, proposal_id: str, page: int) -> None:
        slack, authority = self._services.slack, self._services.authority
        refused = await authority.refusal_to_read(user.id, user.team_id)
        found = None if refused else await self._services.store.read(proposal_details, proposal_id)
        if found is None:
            why = ephemeral.NOT_FOUND if refused is None else ephemeral.refused(refused).plain
            await show(slack, view_id, notice(card_modals.TITLES[DETAILS], why))
            return
        who = approver_line(await authority.describe(found.proposal))
        links = await self._links.of(found.earlier)
        # A webhook may hold a megabyte, which takes a moment to draw.
        drawn = await asyncio.to_thread(details.details_view, found, who, links, page)
        await show(slack, view_id, drawn)

    def _snooze_view(self, found: Proposal) -> View:
        now, zone, ends = self._services.clock(), self._services.rules.policy.schedule.timezone, ending(found)
        offered = {
            key: label
            for key, (label, at) in OFFERED.items()
            if (until := at(now, zone)) is not None and (ends is None or until < ends)
        }
        return card_modals.snooze_view(found, offered, ends)

    # --- Submitting -------------------------------------------------------------------------------------

    async def _snooze(self, user: SlackUser, value: ButtonValue, values: Payload) -> ActionResult | Errors:
        own = _held(values, card_modals.MOMENT)
        span = str((_held(values, card_modals.SPAN) or {}).get("value", ""))
        until = _moment(own) if own is not None else None
        if own is None and span in OFFERED:
            zone = self._services.rules.policy.schedule.timezone
            until = OFFERED[span][1](self._services.clock(), zone)
        if until is None:
            return {card_modals.MOMENT: card_modals.CHOOSE_A_TIME}
        return await self._actions.snooze(user, value.id, until, revision=value.revision)

    async def _assign(self, user: SlackUser, value: ButtonValue, values: Payload) -> ActionResult | Errors:
        whom = _held(values, card_modals.WHOM)
        if not whom:
            return {card_modals.WHOM: card_modals.CHOOSE_SOMEBODY}
        return await self._actions.assign(user, value.id, str(whom), revision=value.revision)

    async def _ask(self, user: SlackUser, value: ButtonValue, values: Payload) -> ActionResult:
        whom, question = _held(values, card_modals.WHOM), str(_held(values, card_modals.TEXT) or "")
        return await self._actions.ask(user, value.id, question, str(whom) if whom else None)

    async def _say(self, user: SlackUser, value: ButtonValue, values: Payload) -> ActionResult:
        text = str(_held(values, card_modals.TEXT) or "")
        return await self._actions.reason(user, value.id, text=text)


def _held(values: Payload, block_id: str) -> Any:
    state = (values.get(block_id) or {}).get(card_modals.VALUE) or {}
    return state.get("selected_user") or entry(state)


def _moment(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(result: ActionResult | Errors) -> Text:
    if isinstance(result, ActionResult):
        return ephemeral.action(result)
    return text(" ".join(result.values()))


def _answer(result: ActionResult | Errors) -> Answer:
    """The content of the acknowledgement of a form; an empty one closes the form."""
    if not isinstance(result, ActionResult):
        return {"response_action": "errors", "errors": result}
    return {} if result.done else _updated(notice(card_modals.NOT_DONE, _text(result).plain))


def _updated(view: View) -> Answer:
    return {"response_action": "update", "view": view}


async def _answer_late(on: Interaction, answer: Answer) -> None:
    """The result of a slow form: in its modal, or as an ephemeral message when that is closed."""
    result: ActionResult | Errors | None = answer.get(LATE)
    if result is None:  # it failed
        await on.show(answer["view"])
        return
    said = _text(result)  # of errors too: their fields are shown no longer
    done = isinstance(result, ActionResult) and result.done
    title = card_modals.DONE if done else card_modals.NOT_DONE
    if not await on.show(notice(title, said.plain)) and not done:
        await on.tell(text(ephemeral.FORM_WAS_SLOW) + said)
