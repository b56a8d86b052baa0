"""Follow-ups of a call that was made: undo it, retry it, or settle an unknown result."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from bot.config.policy import ends
from bot.metrics import DECISIONS
from bot.permissions import requirements, requirements_of
from bot.proposals.build import with_hash
from bot.proposals.call_results import Seen, examine
from bot.proposals.own_calls import changed_since, inverses
from bot.proposals.reads import Reads
from bot.results import DecisionStatus, FollowupResult, FollowupStatus
from bot.services import LEASE, Claimed, Queue, Services, new_token
from bot.slack.client import SlackUser
from bot.ui.thread_lines import Followup, followup_record, undo_reason
from polar.catalog import Call, operations
from polar.errors import PolarError
from store.engine.leases import EXECUTION, HeldRow
from store.models import NewProposal, PlannedCall, Proposal, ProposalKind, ProposalState, Verdict
from store.models.reasons import AlwaysAsk
from store.proposals import actions
from store.proposals.actions import Act, ActionOutcome
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

_SEEN: Mapping[Seen, FollowupStatus] = {
    Seen.DONE: FollowupStatus.FOUND_DONE,
    Seen.NO_TRACE: FollowupStatus.NO_TRACE,
    Seen.CANNOT_TELL: FollowupStatus.CANNOT_TELL,
    Seen.UNREAD: FollowupStatus.NO_ANSWER,
    Seen.UNREADABLE: FollowupStatus.NO_READ,
}
_LOOK_WITHIN = 5.0  # seconds: somebody waits


class Followups:
    """The follow-ups of a proposal that is done, failed or unknown, for people who may decide it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    # --- Undo -----------------------------------------------------------------------------------------

    async def undo(
        self, user: SlackUser, proposal: Proposal, stored: Callable[[], None] = lambda: None
    ) -> DecisionStatus:
        """Undo a proposal with the calls that restore the former state.

        A call that needed two approvals needs two for its undo: then the undo waits. The caller has checked
        whether this person may. `stored` is called once the undo is on disk. Raises StoreError.
        """
        back = inverses(proposal)
        over = proposal.state != ProposalState.SUCCEEDED or proposal.undone_at is not None
        if proposal.kind != ProposalKind.CALLS or proposal.undo_of_id is not None or over or not back:
            return DecisionStatus.NOTHING_TO_UNDO
        if await self._changed_since(proposal):
            return DecisionStatus.CHANGED_SINCE
        people = requirements(self._services.rules.policy, proposal).people
        act = await self._act(user, proposal, Followup.UNDO if people == 1 else Followup.ASK_TO_UNDO)
        made = _proposal(proposal, act, back)
        made = replace(
            made, expires_at=ends(act.at, self._services.rules.policy.schedule.expires_after, None)
        )
        won, found = await self._services.store.do(actions.undo, act, made, people)
        stored()
        if won:
            DECISIONS.labels(Verdict.APPROVE, "undo").inc()
        if not won:
            taken = found is not None and found.undo_id is not None and found.undone_at is None
            return DecisionStatus.UNDO_UNDER_WAY if taken else DecisionStatus.NOTHING_TO_UNDO
        self._done(act)
        return DecisionStatus.UNDO_STARTED if people == 1 else DecisionStatus.UNDO_NEEDS_APPROVAL

    async def _changed_since(self, proposal: Proposal) -> bool:
        """Tell whether an undo would overwrite a newer state. If unread: no; it is checked again later."""
        try:
            return await changed_since(Reads(self._services.polar, within=_LOOK_WITHIN), proposal)
        except PolarError as error:
            log.info("what %s did is not looked at before its Undo: %s", proposal.id, error)
            return False

    # --- Retry, check, mark ---------------------------------------------------------------------------

    async def retry(self, user: SlackUser, proposal_id: str) -> FollowupResult:
        """Have the refused calls made again, after the wait that an approval has. Raises StoreError."""
        proposal = await self._may(user, proposal_id)
        if isinstance(proposal, FollowupResult):
            return proposal
        takes = await requirements_of(self._services.store, self._services.rules.policy, proposal)
        gone = await self._no_longer(proposal)
        how = partial(actions.retry, required=takes, without=gone)
        won, now = await self._carried(user, proposal, how, Followup.RETRY)
        if now is None or now.state != ProposalState.FAILED:
            return FollowupResult(FollowupStatus.RETRIED if won else FollowupStatus.NOTHING_TO_RETRY)
        if now.retry_by == user.id:
            return FollowupResult(FollowupStatus.FIRST_RETRY)
        not_theirs = user.id in actions.not_theirs(now)
        return FollowupResult(FollowupStatus.NOT_YOURS if not_theirs else FollowupStatus.NOTHING_TO_RETRY)

    async def _no_longer(self, proposal: Proposal) -> frozenset[str]:
        """The first of two who had it sent again, if they may no longer decide it; in doubt they may not."""
        first = proposal.retry_by
        if first is None or await self._services.authority.refusal(first, None, proposal) is None:
            return frozenset()
        return frozenset({first})

    async def check(self, user: SlackUser, proposal_id: str) -> FollowupResult:
        """Ask Polar now whether it was done. Raises StoreError."""
        proposal = await self._may(user, proposal_id)
        if isinstance(proposal, FollowupResult):
            return proposal
        if proposal.state != ProposalState.UNKNOWN:
            return FollowupResult(FollowupStatus.NOT_UNKNOWN)
        act, token = await self._act(user, proposal, Followup.CHECK), new_token()
        until = act.at + LEASE
        claimed = await self._services.store.do(actions.check, act, token=token, until=until)
        if claimed is None:
            return FollowupResult(FollowupStatus.BEING_CHECKED)
        mine = Claimed(claimed, token, HeldRow.of(EXECUTION, token, claimed))
        with self._services.held.working(mine.held):
            return FollowupResult(_SEEN[await examine(self._services, mine)])

    async def mark_done(self, user: SlackUser, proposal_id: str) -> FollowupResult:
        """Take this person's word that it was done. Raises StoreError."""
        return await self._mark(user, proposal_id, actions.mark_done, Followup.MARK_DONE)

    async def mark_not_done(self, user: SlackUser, proposal_id: str) -> FollowupResult:
        """Take this person's word that it was not done, once no answer can come. Raises StoreError."""
        return await self._mark(user, proposal_id, actions.mark_not_done, Followup.MARK_NOT_DONE)

    async def _mark(
        self, user: SlackUser, proposal_id: str, how: Callable[..., ActionOutcome], what: Followup
    ) -> FollowupResult:
        proposal = await self._may(user, proposal_id)
        if isinstance(proposal, FollowupResult):
            return proposal
        won, now = await self._carried(user, proposal, how, what)
        if won:
            return FollowupResult(FollowupStatus.MARKED)
        waits = now is not None and now.state == ProposalState.UNKNOWN
        return FollowupResult(FollowupStatus.IN_FLIGHT if waits else FollowupStatus.NOT_UNKNOWN)

    async def _carried(
        self, user: SlackUser, proposal: Proposal, how: Callable[..., ActionOutcome], what: Followup
    ) -> ActionOutcome:
        act = Act(proposal.id, user.id, followup_record(what), self._services.clock())
        won, now = await self._services.store.do(how, act)
        if won:
            self._done(act)
        return won, now

    async def _may(self, user: SlackUser, proposal_id: str) -> Proposal | FollowupResult:
        """The proposal; the result for a person who may not touch it."""
        proposal = await self._services.store.do(get_proposal, proposal_id)
        if proposal is None:
            return FollowupResult(FollowupStatus.NOT_FOUND)
        authority = self._services.authority
        refused = await authority.refusal(user.id, user.team_id, proposal)
        if refused is None:
            return proposal
        log.info("refused %s on %s: %s", user.id, proposal.id, refused.code)
        refused = replace(refused, approvers=await authority.describe(proposal))
        return FollowupResult(FollowupStatus.REFUSED, refusal=refused)

    async def _act(self, user: SlackUser, proposal: Proposal, what: Followup) -> Act:
        name = await self._services.authority.name(user.id)
        return Act(proposal.id, user.id, followup_record(what, name), self._services.clock())

    def _done(self, act: Act) -> None:
        log.info("%s on %s: %s", act.actor, act.proposal_id, act.said)
        self._services.notify(Queue.EXECUTE, Queue.ANNOUNCE, Queue.OUTBOX, Queue.HOME)


def _proposal(original: Proposal, act: Act, back: tuple[PlannedCall, ...]) -> NewProposal:
    """The proposal that undoes another one: made, decided and kept like any other."""
    risks = [operations()[call.operation].describe(Call.of(call)).risk.value for call in back]
    made = NewProposal(
        id="",  # given when it is stored, with its number among the undoings
        fact_key="",
        event_id=None,
        rule=None,
        rule_version=None,
        subject=original.subject,
        title=f"Undo: {original.title.rstrip('?')}",
        reasons=(undo_reason(act.said, original),),
        facts=original.facts,
        risk=max(risks),
        always_asks=AlwaysAsk.TAKES_BACK,
        calls=back,
        created_at=act.at,
        proposer=act.actor,
        customer_id=original.customer_id,
        customer=original.customer,
        undo_of_id=original.id,
    )
    return with_hash(made)
