"""Actions on a proposal besides the decision, from the menu or the thread: check the permission, then act."""

import logging
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from bot.approvals.wishes import Kept, soon, without_word
from bot.results import ActionResult, ActionStatus, Purpose, Refusal, RefusalCode
from bot.services import Queue, Services
from bot.slack.client import SlackUser
from bot.ui import thread_lines
from bot.ui.card_modals import presets
from bot.ui.thread_lines import action_record
from store.engine.errors import StoreError
from store.models import Proposal, ProposalState
from store.proposals.actions import (
    Act,
    ActionOutcome,
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
from store.proposals.wishes import Wish, WishKind

log = logging.getLogger(__name__)

_S = ActionStatus
_OPEN = frozenset({ProposalState.PENDING})
_CAN_BE_HELD = frozenset({ProposalState.PENDING, ProposalState.APPROVED})


class Actions:
    """The actions. Each first checks the person and the revision they saw; None is the current revision."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def snooze(
        self, user: SlackUser, proposal_id: str, until: datetime, *, revision: int | None = None
    ) -> ActionResult:
        """Snooze a proposal until then (UTC)."""
        found = await self.may(user, proposal_id, revision)
        if isinstance(found, ActionResult):
            return found
        ends = ending(found)
        if until <= self._services.clock():
            return ActionResult(_S.IN_THE_PAST)
        if ends is not None and until >= ends:
            return ActionResult(_S.TOO_LATE, at=ends)
        line = thread_lines.snoozed_line(user.id, until)
        act = self._act(user, found, action_record(_S.SNOOZED, until=until), line)
        doing = self._services.store.do(snooze, act, until)
        return await self._result(doing, ActionResult(_S.SNOOZED, at=until))

    async def assign(
        self, user: SlackUser, proposal_id: str, assignee: str, *, revision: int | None = None
    ) -> ActionResult:
        """Ask one approver to decide it."""
        found = await self.may(user, proposal_id, revision)
        if isinstance(found, ActionResult):
            return found
        authority = self._services.authority
        if await authority.refusal(assignee, None, found) is not None:
            return ActionResult(_S.ASSIGNEE_REFUSED, approvers=await authority.describe(found))
        alone = await authority.everybody(found) == frozenset({assignee})
        if assignee in (found.proposer, found.edited_by) and not alone:
            return ActionResult(_S.ASSIGNEE_OWN)
        line = thread_lines.assigned_line(user.id, assignee, found)
        act = self._act(user, found, action_record(_S.ASSIGNED, assignee=assignee), line)
        return await self._result(self._services.store.do(assign, act, assignee), ActionResult(_S.ASSIGNED))

    async def ask(self, user: SlackUser, proposal_id: str, question: str, whom: str | None) -> ActionResult:
        """Put a question into the thread of its card. Whoever may read may ask."""
        refused = await self._services.authority.refusal_to_read(user.id, user.team_id, Purpose.ASK)
        if refused is not None:
            return ActionResult(_S.REFUSED, refused)
        line = thread_lines.asked_line(user.id, whom, question)
        act = Act(proposal_id, user.id, question, self._services.clock(), line)
        return await self._result(self._services.store.do(ask, act), ActionResult(_S.ASKED))

    async def hold(self, user: SlackUser, proposal_id: str, *, channel: str | None = None) -> ActionResult:
        """Put a proposal on hold: nobody can approve it and nothing runs until it is released.

        `channel` is where they are told the result once Slack has said who they are.
        """
        asking = self.may(user, proposal_id, None, states=_CAN_BE_HELD)
        found = await soon(asking, ActionResult(_S.REFUSED, Refusal(RefusalCode.USER_UNKNOWN)))
        unknown = isinstance(found, ActionResult) and found.refusal is not None and found.refusal.retryable
        proposal = await self._services.store.do(get_proposal, proposal_id) if unknown else found
        if not isinstance(proposal, Proposal):
            return found if isinstance(found, ActionResult) else ActionResult(_S.NOT_FOUND)
        if proposal.held_by is not None:
            return ActionResult(_S.ALREADY_HELD)
        act = self._act(user, proposal, action_record(_S.HELD), thread_lines.held_line(user.id))
        if isinstance(found, Proposal):
            return await self._result(self._services.store.do(hold, act), ActionResult(_S.HELD))
        try:
            return await self._hold_unchecked(act, proposal, channel, otherwise=found)
        except StoreError as error:
            return ActionResult(_S.NOT_STORED, error=str(error))

    async def _hold_unchecked(
        self, act: Act, proposal: Proposal, channel: str | None, *, otherwise: ActionResult
    ) -> ActionResult:
        id_ = f"{WishKind.HOLD}:{act.actor}:{proposal.id}"
        wish = Wish(id_, WishKind.HOLD, act.actor, "thread", act.at, proposal.id, channel=channel)
        named = await self._services.authority.named(proposal)
        kept, result = await without_word(self._services, wish, named, partial(hold, act=act))
        if kept is Kept.NOT_KEPT:
            return otherwise
        return ActionResult(_S.KEPT) if result is None else self._told(*result, ActionResult(_S.HELD))

    async def release(self, user: SlackUser, proposal_id: str) -> ActionResult:
        """End a hold."""
        found = await self.may(user, proposal_id, None, states=frozenset(ProposalState))
        if isinstance(found, ActionResult):
            return found
        if found.held_by is None:
            return ActionResult(_S.NOT_HELD)
        line = thread_lines.released_line(user.id, runs=found.state == ProposalState.APPROVED)
        act = self._act(user, found, action_record(_S.RELEASED), line)
        return await self._result(self._services.store.do(release, act), ActionResult(_S.RELEASED))

    async def reason(
        self,
        user: SlackUser,
        proposal_id: str,
        *,
        preset: str | None = None,
        text: str = "",
        silent: bool = False,
    ) -> ActionResult:
        """Store the reason for a decline: a preset or free text. `silent`: no line in the thread."""
        found = await self.may_give_reason(user, proposal_id)
        if isinstance(found, ActionResult):
            return found
        said = presets(found).get(preset, "") if preset else text.strip()
        if not said:
            return ActionResult(_S.NO_REASON)
        line = None if silent else thread_lines.reason_line(user.id, said)
        act = self._act(user, found, said, line)
        doing = self._services.store.do(give_reason, act, preset)
        return await self._result(doing, ActionResult(_S.REASON_STORED), _S.NOT_DECLINED)

    async def may_give_reason(self, user: SlackUser, proposal_id: str) -> Proposal | ActionResult:
        """The declined proposal if this person declined it or is an approver, else the reason why not."""
        found = await self._services.store.do(get_proposal, proposal_id)
        if found is None:
            return ActionResult(_S.NOT_FOUND)
        refused = await self._refused(user, found)
        if refused is not None and found.decided_by != user.id:
            return refused
        if found.state != ProposalState.DECLINED:
            return ActionResult(_S.NOT_DECLINED)
        if refused is None:
            return found
        unread = await self._services.authority.refusal_to_read(user.id, user.team_id, Purpose.DECIDE)
        return found if unread is None else refused

    async def edit(self, user: SlackUser, seen: Proposal, new: NewRevision) -> ActionResult:
        """Store a new revision. The caller has checked the person and the revision with `may_edit`."""
        record = action_record(_S.EDITED, changes=new.changes)
        act = self._act(user, seen, record, thread_lines.edited_line(user.id, new.changes))
        done = ActionResult(_S.EDITED, title=new.title)
        return await self._result(self._services.store.do(edit, act, new), done, _S.CHANGED)

    # --- Shared by all actions ----------------------------------------------------------------------------

    async def may(
        self,
        user: SlackUser,
        proposal_id: str,
        revision: int | None,
        *,
        states: frozenset[ProposalState] = _OPEN,
    ) -> Proposal | ActionResult:
        """The proposal if this person may act on it, or why not."""
        found = await self._services.store.do(get_proposal, proposal_id)
        if found is None:
            return ActionResult(_S.NOT_FOUND)
        refused = await self._refused(user, found)
        if refused is not None:
            return refused
        if found.state not in states:
            return ActionResult(_S.NOT_PENDING if states is _OPEN else _S.NOTHING_TO_HOLD)
        return found if revision in (None, found.revision) else ActionResult(_S.CHANGED)

    async def may_edit(self, user: SlackUser, proposal_id: str, revision: int) -> Proposal | ActionResult:
        """The proposal if this person may edit it as they saw it, or why not."""
        found = await self.may(user, proposal_id, revision)
        if isinstance(found, Proposal) and found.approval_checking_by is not None:
            return ActionResult(_S.BEING_APPROVED)
        return found

    async def _refused(self, user: SlackUser, found: Proposal) -> ActionResult | None:
        authority = self._services.authority
        refused = await authority.refusal(user.id, user.team_id, found)
        if refused is None:
            return None
        return ActionResult(_S.REFUSED, replace(refused, approvers=await authority.describe(found)))

    async def _result(
        self, doing: Awaitable[ActionOutcome], done: ActionResult, late: ActionStatus = _S.NOT_PENDING
    ) -> ActionResult:
        try:
            return self._told(*await doing, done, late)
        except StoreError as error:
            return ActionResult(_S.NOT_STORED, error=str(error))

    def _told(
        self, did: bool, found: Proposal | None, done: ActionResult, late: ActionStatus = _S.NOT_PENDING
    ) -> ActionResult:
        if not did:
            return ActionResult(_S.NOT_FOUND if found is None else late)
        self._services.notify(Queue.ANNOUNCE, Queue.OUTBOX, Queue.EXECUTE, Queue.HOME)
        return done

    def _act(self, user: SlackUser, found: Proposal, record: str, line: dict[str, Any] | None) -> Act:
        return Act(found.id, user.id, record, self._services.clock(), line)


async def wake_snoozed(services: Services) -> None:
    """Bring back the proposals whose snooze is over, with a line in the thread."""
    while woken := await services.store.do(due_snoozes, services.clock(), thread_lines.BACK):
        log.info("%s proposals are back from snooze", len(woken))
        services.notify(Queue.ANNOUNCE, Queue.OUTBOX, Queue.HOME)


def ending(proposal: Proposal) -> datetime | None:
    """The earliest time at which a proposal closes undecided."""
    return min((at for at in (proposal.deadline, proposal.expires_at) if at is not None), default=None)
