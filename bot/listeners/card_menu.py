"""The menu of a card: Details, Edit, Snooze, Assign, Ask in thread; and the reasons of what was declined."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.approvals.actions import Acted, Acting, ending
from bot.forms.service import Proposing
from bot.forms.values import entry
from bot.listeners.snooze_times import OFFERED
from bot.services import Services
from bot.slack.client import SlackError
from bot.slack.permalinks import Links
from bot.slack.user import Person, person_of
from bot.ui import card_modals, details
from bot.ui.card_buttons import WHY
from bot.ui.decline_reasons import OTHER, REASON
from bot.ui.ephemeral import gone
from bot.ui.text import fitted
from store.models import Proposal
from store.proposals.details import dossier
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
View = dict[str, Any]
_WITHIN = 2.5  # seconds; Slack waits three for the answer to a submit
_SLOW = "This takes longer than Slack waits. What came of it is said here in a moment."
_BROKE = "Something went wrong here and nothing was done. Close this and choose again."
_HEADS = {True: "Done", False: "Nothing was done"}
_CHOOSE = "Choose somebody."
_PICK = "Choose a time here, or one of the spans above."
_TITLES = {"edit": "Edit", "snooze": "Snooze", "assign": "Assign", "ask": "Ask in thread"}


class CardMenu:
    """A modal opens at once, for its trigger lives three seconds; then it is filled, or says why not."""

    def __init__(self, services: Services, proposing: Proposing, links: Links) -> None:
        self._services = services
        self._proposing = proposing
        self._acting = Acting(services)
        self._links = links
        self._shows: Mapping[str, Callable[[Proposal], View]] = {
            "snooze": self._snooze_view,
            "assign": card_modals.assign_view,
            "ask": card_modals.ask_view,
        }
        self._submits: Mapping[str, Callable[[Person, str, int, Payload], Awaitable[Acted | View]]] = {
            card_modals.SNOOZE: self._snooze,
            card_modals.ASSIGN: self._assign,
            card_modals.ASK: self._ask,
            card_modals.SAY: self._say,
        }

    def register(self, app: AsyncApp) -> None:
        """Attach its listeners."""
        app.action(card_modals.MENU)(self.chosen)
        for action_id in (details.DETAILS, WHY):
            app.action(action_id)(self.details_tapped)
        app.action(details.BACK)(self.turned)
        app.action(details.NEXT)(self.turned)
        app.action(REASON)(self.reason_chosen)
        for callback in self._submits:
            app.view(callback)(self.submitted)

    # --- What is tapped ---------------------------------------------------------------------------------

    async def chosen(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Something of the menu was chosen: `NAME:ID:REVISION`."""
        await ack()
        name, _, about = str((action.get("selected_option") or {}).get("value", "")).partition(":")
        await self._safely(self._open(name, about, body))

    async def details_tapped(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """A button that opens the details; Why? of the question about trust is one."""
        await ack()
        await self._safely(self._open("details", str(action.get("value", "")), body))

    async def turned(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """Back or Next was tapped in the details."""
        await ack()
        proposal_id, page = named(str(action.get("value", "")))
        view_id = str((body.get("view") or {}).get("id", ""))
        await self._safely(self._show_details(person_of(body), view_id, proposal_id, page))

    async def reason_chosen(self, ack: AsyncAck, body: Payload, action: Payload) -> None:
        """A reason was chosen on a declined card: `ID:REVISION:KEY`; "Other…" opens a form."""
        await ack()
        value = str((action.get("selected_option") or action).get("value") or "")
        about, _, key = value.rpartition(":") if value.count(":") > 1 else (value, "", OTHER)
        if key == OTHER:
            await self._safely(self._open("reason", about, body))
        else:
            await self._safely(self._preset(body, about, key))

    async def submitted(self, ack: AsyncAck, body: Payload, view: Payload) -> None:
        """A form was sent. The answer goes into the acknowledgement, so it comes first."""
        person = person_of(body)
        doing = asyncio.ensure_future(self._submit(person, view))
        await asyncio.wait({doing}, timeout=_WITHIN)
        late = not doing.done()
        if late:  # what is being stored is not broken off: nobody could say whether it was
            await ack(**_updated("Please wait", _SLOW))
        try:
            came = await doing
        except Exception:
            log.exception("a form of the menu could not be answered")
            came = Acted(False, _BROKE)
        if late:
            await self._safely(self._told_late(person, str(view.get("id", "")), came))
        else:
            await ack(**_answer(came))

    async def _told_late(self, person: Person, view_id: str, came: Acted | View) -> None:
        """What came of a form that was slow: in its modal, or whispered when that is closed."""
        if not isinstance(came, Acted):  # the fields it speaks of are shown no longer
            came = Acted(False, " ".join(came["errors"].values()))
        try:
            await self._services.slack.update_view(
                view_id, card_modals.said_view(_HEADS[came.done], came.said)
            )
        except SlackError as error:
            log.info("a slow form cannot be answered in its modal: %s", error)
            if not came.done:
                text = f"Your form was slow, and nothing was done. {came.said}"
                await self._services.slack.whisper(
                    self._services.channel, person.user_id, fitted(text, 3_000)
                )

    # --- Opening ----------------------------------------------------------------------------------------

    async def _open(self, name: str, about: str, body: Payload) -> None:
        proposal_id, revision = named(about)
        person = person_of(body)
        try:
            view_id = await self._services.slack.open_view(str(body.get("trigger_id", "")), details.loading())
        except SlackError as error:
            log.warning("a modal of %s did not open: %s", proposal_id, error)
            await self._whisper(
                body, person, f"It could not be opened: {error}. Nothing was done. Try again."
            )
            return
        if name == "details":
            await self._show_details(person, view_id, proposal_id, 1)
        elif name == "edit":
            await self._show_edit(person, view_id, proposal_id, revision)
        else:
            await self._fill(view_id, await self._form(name, person, proposal_id, revision))

    async def _form(self, name: str, person: Person, proposal_id: str, revision: int) -> View:
        if name == "ask":
            refused = await self._services.authority.outsider(person.user_id, person.team_id)
            found = await self._services.store.do(get_proposal, proposal_id)
        elif name == "reason":
            found, refused = await self._acting.may_say_why(person, proposal_id)
        elif name in self._shows:
            found, refused = await self._acting.may(person, proposal_id, revision)
        else:
            found, refused = None, gone()
        if found is None or refused:
            return card_modals.said_view(_TITLES.get(name, "Out of date"), refused or gone())
        return card_modals.reason_view(found) if name == "reason" else self._shows[name](found)

    async def _show_edit(self, person: Person, view_id: str, proposal_id: str, revision: int) -> None:
        found, refused = await self._acting.may_edit(person, proposal_id, revision)
        if found is None:
            await self._fill(view_id, card_modals.said_view("Edit", refused))
        else:
            await self._proposing.edit(person, view_id, found)

    async def _show_details(self, person: Person, view_id: str, proposal_id: str, page: int) -> None:
        refused = await self._services.authority.outsider(person.user_id, person.team_id, "look at this")
        found = None if refused else await self._services.store.do(dossier, proposal_id)
        if found is None:
            await self._fill(view_id, card_modals.said_view("Details", refused or gone()))
            return
        who = await self._services.authority.describe(found.proposal)
        links = await self._links.of(found.earlier)
        await self._fill(view_id, details.details_view(found, who, links, page))

    async def _fill(self, view_id: str, view: View) -> None:
        try:
            await self._services.slack.update_view(view_id, view)
        except SlackError as error:  # not_found: closed meanwhile, and nobody looks at it
            log.info("a modal is not filled: %s", error)

    def _snooze_view(self, found: Proposal) -> View:
        now, zone, ends = self._services.clock(), self._services.rules.policy.schedule.timezone, ending(found)
        offered = {
            key: said
            for key, (said, at) in OFFERED.items()
            if (until := at(now, zone)) is not None and (ends is None or until < ends)
        }
        return card_modals.snooze_view(found, offered, ends)

    # --- Submitting -------------------------------------------------------------------------------------

    async def _submit(self, person: Person, view: Payload) -> Acted | View:
        """What came of it, or what is wrong with which field."""
        proposal_id, revision = named(str(view.get("private_metadata") or ""))
        values = (view.get("state") or {}).get("values") or {}
        return await self._submits[str(view.get("callback_id"))](person, proposal_id, revision, values)

    async def _snooze(self, person: Person, proposal_id: str, revision: int, values: Payload) -> Acted | View:
        own, span = (
            _held(values, card_modals.MOMENT),
            str((_held(values, card_modals.SPAN) or {}).get("value", "")),
        )
        if own is None and span not in OFFERED:
            return _errors({card_modals.MOMENT: _PICK})
        zone = self._services.rules.policy.schedule.timezone
        until = OFFERED[span][1](self._services.clock(), zone) if own is None else _moment(own)
        if until is None:
            return _errors({card_modals.MOMENT: _PICK})
        return await self._acting.snooze(person, proposal_id, until, revision=revision)

    async def _assign(self, person: Person, proposal_id: str, revision: int, values: Payload) -> Acted | View:
        whom = _held(values, card_modals.WHOM)
        if not whom:
            return _errors({card_modals.WHOM: _CHOOSE})
        return await self._acting.assign(person, proposal_id, str(whom), revision=revision)

    async def _ask(self, person: Person, proposal_id: str, _: int, values: Payload) -> Acted:
        whom, question = _held(values, card_modals.WHOM), str(_held(values, card_modals.TEXT) or "")
        return await self._acting.ask(person, proposal_id, question, str(whom) if whom else None)

    async def _say(self, person: Person, proposal_id: str, _: int, values: Payload) -> Acted:
        return await self._acting.reason(person, proposal_id, text=str(_held(values, card_modals.TEXT) or ""))

    async def _preset(self, body: Payload, about: str, key: str) -> None:
        person = person_of(body)
        acted = await self._acting.reason(person, named(about)[0], preset=key)
        if not acted.done:
            await self._whisper(body, person, acted.said)

    async def _whisper(self, body: Payload, person: Person, text: str) -> None:
        container = body.get("container") or {}
        channel = str(container.get("channel_id") or self._services.channel)
        await self._services.slack.whisper(channel, person.user_id, fitted(text, 3_000))

    async def _safely(self, work: Awaitable[None]) -> None:
        """Slack has been answered: what fails now is logged, and must not become a second answer."""
        try:
            await work
        except Exception:
            log.exception("the menu of a card failed after it had acknowledged")


def named(value: str) -> tuple[str, int]:
    """`ID:NUMBER`: the proposal, and the revision or page; 0, which there never is, for what is no number."""
    proposal_id, _, number = value.partition(":")
    return proposal_id, int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0


def _held(values: Payload, block_id: str) -> Any:
    state = (values.get(block_id) or {}).get(card_modals.VALUE) or {}
    return state.get("selected_user") or entry(state)


def _moment(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _answer(came: Acted | View) -> View:
    """What the acknowledgement of a form says: nothing closes it."""
    if not isinstance(came, Acted):
        return came
    return {} if came.done else _updated(_HEADS[False], came.said)


def _errors(found: Mapping[str, str]) -> View:
    return {"response_action": "errors", "errors": dict(found)}


def _updated(title: str, text: str) -> View:
    return {"response_action": "update", "view": card_modals.said_view(title, text)}
