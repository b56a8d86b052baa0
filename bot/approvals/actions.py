"""What people do with a proposal beside deciding it, from the menu or the thread alike: may they, then do."""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.services import Queue, Services
from bot.slack.user import Person
from bot.ui import card_modals
from bot.ui.decline_reasons import presets
from bot.ui.ephemeral import gone
from store.engine.errors import StoreError
from store.models import Proposal, ProposalState
from store.proposals.actions import (
    Act,
    Came,
    NewRevision,
    ask,
    assign,
    due_snoozes,
    edit,
    give_reason,
    hold,
    release,
    snooze,
)
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

CHANGED = "This changed since you looked at it, so nothing was done. Look at the card and choose again."
_NOT_OPEN = "It no longer waits for a decision, so nothing was done. The card shows what became of it."
_NOT_DECLINED = "Only what was declined can be given a reason, so nothing was kept. Look at the card."
_TOO_LATE = "It closes on {ends:%d %b %Y %H:%M} UTC; choose an earlier time. Nothing was done."
_IN_THE_PAST = "That moment has passed, so nothing was done. Choose a later one."
_THEIR_OWN = (
    "They proposed or changed this themselves, so somebody else must approve it, and it was not assigned to "
    "them. Choose somebody else."
)
_BACK = "Back from snooze."
_HELD = "It is on hold already."
_NOT_HELD = "It is not on hold."
_NOTHING_TO_HOLD = "There is nothing to hold: it is not waiting and not about to run. Nothing was changed."

_OPEN = frozenset({ProposalState.PENDING})
_CAN_BE_HELD = frozenset({ProposalState.PENDING, ProposalState.APPROVED})


@dataclass(frozen=True, slots=True)
class Acted:
    """Whether it was done, and in words what was, or why not."""

    done: bool
    said: str


class Acting:
    """Every act looks first at who acts and at what they looked at; `revision` None is what is there now."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def snooze(
        self, person: Person, proposal_id: str, until: datetime, *, revision: int | None = None
    ) -> Acted:
        """Put a proposal aside until then (UTC)."""
        found, refused = await self.may(person, proposal_id, revision)
        if found is None:
            return Acted(False, refused)
        ends = ending(found)
        if until <= self._services.clock():
            return Acted(False, _IN_THE_PAST)
        if ends is not None and until >= ends:
            return Acted(False, _TOO_LATE.format(ends=ends))
        said = f"Snoozed until {until:%d %b %Y %H:%M} UTC."
        act = self._said(person, found, said, card_modals.snoozed_line(person.user_id, until))
        return await self._result(self._services.store.do(snooze, act, until), said)

    async def assign(
        self, person: Person, proposal_id: str, assignee: str, *, revision: int | None = None
    ) -> Acted:
        """Ask one person, who must be one of those who may decide, to decide it."""
        found, refused = await self.may(person, proposal_id, revision)
        if found is None:
            return Acted(False, refused)
        if await self._services.authority.refusal(assignee, None, found) is not None:
            who = await self._services.authority.describe(found)
            return Acted(False, f"They may not decide this, so it was not assigned to them. {who}.")
        alone = await self._services.authority.is_only_approver(assignee, found)
        if assignee in (found.proposer, found.edited_by) and not alone:
            return Acted(False, _THEIR_OWN)
        line = card_modals.assigned_line(person.user_id, assignee, found)
        act = self._said(person, found, f"Assigned to {assignee}.", line)
        return await self._result(self._services.store.do(assign, act, assignee), "Assigned.")

    async def ask(self, person: Person, proposal_id: str, question: str, whom: str | None) -> Acted:
        """Put a question into the thread of its card. Everybody of the workspace may ask."""
        refused = await self._services.authority.outsider(person.user_id, person.team_id)
        if refused is not None:
            return Acted(False, f"{refused} Nothing was asked.")
        line = card_modals.asked_line(person.user_id, whom, question)
        act = Act(proposal_id, person.user_id, question, self._services.clock(), line)
        return await self._result(self._services.store.do(ask, act), "Asked.")

    async def hold(self, person: Person, proposal_id: str) -> Acted:
        """Let nobody approve it and nothing run until it is released."""
        found, refused = await self.may(person, proposal_id, None, states=_CAN_BE_HELD)
        if found is None or found.held_by is not None:
            return Acted(False, refused or _HELD)
        act = self._said(person, found, "Put on hold.", card_modals.held_line(person.user_id))
        return await self._result(self._services.store.do(hold, act), "On hold.")

    async def release(self, person: Person, proposal_id: str) -> Acted:
        """Take back a hold."""
        found, refused = await self.may(person, proposal_id, None, states=frozenset(ProposalState))
        if found is None or found.held_by is None:
            return Acted(False, refused or _NOT_HELD)
        line = card_modals.released_line(person.user_id, runs=found.state == ProposalState.APPROVED)
        act = self._said(person, found, "Released.", line)
        return await self._result(self._services.store.do(release, act), "Released.")

    async def reason(
        self,
        person: Person,
        proposal_id: str,
        *,
        preset: str | None = None,
        text: str = "",
        silent: bool = False,
    ) -> Acted:
        """Keep why it was declined: a preset's words or one's own; `silent`: no line in the thread."""
        found, refused = await self.may_say_why(person, proposal_id)
        if found is None:
            return Acted(False, refused)
        said = presets(found).get(preset, "") if preset else text.strip()
        if not said:
            return Acted(False, "No reason was given, so nothing was kept.")
        line = None if silent else card_modals.reason_line(person.user_id, said)
        act = self._said(person, found, said, line)
        return await self._result(self._services.store.do(give_reason, act, preset), "Kept.", _NOT_DECLINED)

    async def may_say_why(self, person: Person, proposal_id: str) -> tuple[Proposal | None, str]:
        """What was declined, for whoever did it and for everybody who may decide; or why not."""
        found = await self._services.store.do(get_proposal, proposal_id)
        if found is None or found.state != ProposalState.DECLINED:
            return None, gone() if found is None else _NOT_DECLINED
        refused = await self._services.authority.refusal(person.user_id, person.team_id, found)
        if refused is None or (found.decided_by == person.user_id and not await self._is_outside(person)):
            return found, ""
        return None, f"{refused} Nothing was kept. {await self._services.authority.describe(found)}."

    async def edit(self, person: Person, seen: Proposal, new: NewRevision) -> Acted:
        """Make it ask something else; `may_edit` has looked at who and what."""
        act = self._said(person, seen, _edited(new), card_modals.edited_line(person.user_id, new.changes))
        return await self._result(self._services.store.do(edit, act, new), "Edited.", CHANGED)

    async def _is_outside(self, person: Person) -> bool:
        return await self._services.authority.outsider(person.user_id, person.team_id) is not None

    # --- The way of every act -----------------------------------------------------------------------------

    async def may(
        self,
        person: Person,
        proposal_id: str,
        revision: int | None,
        *,
        states: frozenset[ProposalState] = _OPEN,
    ) -> tuple[Proposal | None, str]:
        """The proposal if this person may act on it, or why not."""
        found = await self._services.store.do(get_proposal, proposal_id)
        if found is None:
            return None, gone()
        refused = await self._services.authority.refusal(person.user_id, person.team_id, found)
        if refused is not None:
            who = await self._services.authority.describe(found)
            return None, f"{refused} Nothing was changed. {who}."
        if found.state not in states:
            return None, _NOT_OPEN if states is _OPEN else _NOTHING_TO_HOLD
        if revision is not None and revision != found.revision:
            return None, CHANGED
        return found, ""

    async def may_edit(self, person: Person, proposal_id: str, revision: int) -> tuple[Proposal | None, str]:
        """The proposal if this person may edit it as they saw it, or why not."""
        found, refused = await self.may(person, proposal_id, revision)
        if found is not None and found.approval_checking_by is not None:
            return None, "Somebody's approval is being checked right now, so it cannot be edited. Look again."
        return found, refused

    async def _result(self, doing: Awaitable[Came], said: str, late: str = _NOT_OPEN) -> Acted:
        try:
            came = await doing
        except StoreError as error:
            return Acted(False, f"It could not be stored, so nothing was done: {error} Try again.")
        if not came[0]:
            return Acted(False, gone() if came[1] is None else late)
        self._services.notify(Queue.ANNOUNCE, Queue.OUTBOX, Queue.EXECUTE, Queue.HOME)
        return Acted(True, said)

    def _said(self, person: Person, found: Proposal, said: str, line: dict[str, Any] | None) -> Act:
        return Act(found.id, person.user_id, said, self._services.clock(), line)


def _edited(new: NewRevision) -> str:
    """What was changed, for the record."""
    told = "; ".join(
        f"{label}: {before or 'nothing'} → {now or 'nothing'}" for label, before, now in new.changes
    )
    return f"Edited. {told}"


async def wake_snoozed(services: Services) -> None:
    """Bring back what was put aside until now, with a line in its thread."""
    woken = await services.store.do(due_snoozes, services.clock(), _BACK)
    if woken:
        log.info("%s proposals are back from snooze", len(woken))
        services.notify(Queue.ANNOUNCE, Queue.OUTBOX, Queue.HOME)


def ending(proposal: Proposal) -> datetime | None:
    """When a proposal closes undecided, at the earliest."""
    return min((at for at in (proposal.deadline, proposal.expires_at) if at is not None), default=None)
