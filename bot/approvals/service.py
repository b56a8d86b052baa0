"""Approve, decline and undo a proposal: for buttons, bundles, threads, the Home tab and the command line."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bot.approvals import approve
from bot.approvals.followups import Followups
from bot.approvals.wishes import PATIENCE, Kept, Work, soon, without_word
from bot.metrics import DECISIONS
from bot.results import DecisionResult, DecisionStatus, Refusal, RefusalCode
from bot.services import Queue, Services, new_token
from bot.slack.client import SlackUser
from bot.ui.elements import NO_REVISION
from store.engine.errors import StoreError
from store.models import Decision, Proposal, ProposalState, Verdict
from store.proposals.decisions import PendingApproval, cancel_approved, decide, decision_error
from store.proposals.proposals import get_proposal
from store.proposals.wishes import Wish, WishKind

log = logging.getLogger(__name__)

Run = Callable[[Work[Proposal | None]], Awaitable[tuple[bool, Proposal | None]]]
# What is done to a proposal; without a `Run` Slack has said that the person may.
Act = Callable[[Proposal, Run | None], Awaitable[DecisionResult]]
_BEING_SENT = frozenset({ProposalState.APPROVED, ProposalState.EXECUTING})


@dataclass(frozen=True, slots=True)
class Click:
    """A button clicked: by whom, for which revision of which proposal, on which message.

    Only the ids are believed. `interaction_id` names this one click, however often Slack delivers it.
    """

    user: SlackUser
    proposal_id: str
    revision: int
    channel: str | None
    message_ts: str | None
    interaction_id: str | None = None


class ApprovalService:
    """The actions of a person on a proposal: the same for every way in."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.followups = Followups(services)

    async def decide(
        self, click: Click, verdict: Verdict, stored: Callable[[], None] = lambda: None
    ) -> DecisionResult:
        """Approve or decline what a button names; `stored` as in `approve`."""
        named = (click.user, click.proposal_id)
        if verdict == Verdict.DECLINE:
            return await self.decline(
                *named,
                via="button",
                revision=click.revision,
                interaction_id=click.interaction_id,
                channel=click.channel,
                stored=stored,
            )
        return await self.approve(
            *named,
            via="button",
            revision=click.revision,
            interaction_id=click.interaction_id,
            channel=click.channel,
            stored=stored,
        )

    async def approve(
        self,
        user: SlackUser,
        proposal_id: str,
        *,
        via: str,
        revision: int | None = None,
        reason: str | None = None,
        interaction_id: str | None = None,
        channel: str | None = None,
        stored: Callable[[], None] = lambda: None,
    ) -> DecisionResult:
        """Approve a proposal, after Polar was read again.

        `revision` is the one they saw; None is the current one. `interaction_id` names one click, which may
        decide many proposals: given again for the same proposal, nothing more happens. `channel` is where
        they are told the result if the program stops meanwhile. `stored` is called once the approval is
        on disk.
        """
        row = f"{interaction_id}:{proposal_id}" if interaction_id else new_token()
        at = self._services.clock()
        try:
            if revision is None:
                proposal = await self._services.store.do(get_proposal, proposal_id)
                revision = NO_REVISION if proposal is None else proposal.revision
            pending = PendingApproval(
                row, proposal_id, revision, user.id, via, at, interaction_id, reason, channel
            )
            [result] = await approve.approve_all(self._services, [pending], user.team_id, stored)
        except StoreError as error:
            return DecisionResult(DecisionStatus.NOT_STORED, error=str(error))
        return result

    async def approve_all(
        self,
        user: SlackUser,
        chosen: Sequence[Proposal],
        *,
        via: str,
        revision: int,
        interaction_id: str,
        stored: Callable[[], None],
    ) -> list[tuple[Proposal, DecisionResult]]:
        """Approve several by one click: all of them are stored before any is checked."""
        at = self._services.clock()
        rows = [
            PendingApproval(f"{interaction_id}:{one.id}", one.id, revision, user.id, via, at, interaction_id)
            for one in chosen
        ]
        try:
            results = await approve.approve_all(self._services, rows, user.team_id, stored)
        except StoreError as error:
            results = [DecisionResult(DecisionStatus.NOT_STORED, error=str(error))] * len(rows)
        return list(zip(chosen, results, strict=True))

    async def decline(
        self,
        user: SlackUser,
        proposal_id: str,
        *,
        via: str,
        revision: int | None = None,
        reason: str | None = None,
        interaction_id: str | None = None,
        channel: str | None = None,
        stored: Callable[[], None] = lambda: None,
    ) -> DecisionResult:
        """Decline a proposal; the arguments are those of `approve`."""

        async def declined(proposal: Proposal, run: Run | None) -> DecisionResult:
            seen, at = proposal.revision if revision is None else revision, self._services.clock()
            decision = Decision(proposal_id, user.id, Verdict.DECLINE, via, at, reason, seen, interaction_id)
            won, now = await (run or self._services.store.do)(partial(decide, decision=decision))
            stored()
            if won:
                DECISIONS.labels(decision.verdict, decision.via).inc()
            if now is None:
                return DecisionResult(DecisionStatus.NOT_FOUND)
            if won:
                return DecisionResult(DecisionStatus.DECLINED, now)
            error = decision_error(now, Verdict.DECLINE, seen)
            return await approve.lost(self._services, now, error, user.id)

        wish = self._wish(WishKind.DECLINE, user, proposal_id, via, channel)
        wish = replace(wish, revision=revision, reason=reason, interaction_id=interaction_id)
        return await self._done(wish, declined, user.team_id, stored)

    async def undo(
        self,
        user: SlackUser,
        proposal_id: str,
        *,
        via: str,
        channel: str | None = None,
        stored: Callable[[], None] = lambda: None,
    ) -> DecisionResult:
        """Undo what was approved: cancel it while nothing of it was sent, or take back what was done.

        `channel` and `stored` as in `approve`.
        """

        async def undone(proposal: Proposal, run: Run | None) -> DecisionResult:
            if proposal.state != ProposalState.SUCCEEDED:
                at = self._services.clock()
                cancel = partial(cancel_approved, proposal_id=proposal_id, actor=user.id, at=at)
                in_time, found = await (run or self._services.store.do)(cancel)
                if in_time:
                    stored()
                    return DecisionResult(DecisionStatus.UNDONE, found)
                proposal = proposal if found is None else found
            if proposal.state == ProposalState.SUCCEEDED and run is None:
                return DecisionResult(await self.followups.undo(user, proposal, stored), proposal)
            sent = proposal.state in (*_BEING_SENT, ProposalState.SUCCEEDED)
            return DecisionResult(
                DecisionStatus.TOO_LATE_TO_UNDO if sent else DecisionStatus.NOTHING_TO_UNDO, proposal
            )

        wish = self._wish(WishKind.UNDO, user, proposal_id, via, channel)
        return await self._done(wish, undone, user.team_id, stored)

    def _wish(self, kind: WishKind, user: SlackUser, proposal_id: str, via: str, channel: str | None) -> Wish:
        id_, at = f"{kind}:{user.id}:{proposal_id}", self._services.clock()
        return Wish(id_, kind, user.id, via, at, proposal_id, channel=channel)

    async def _done(
        self, wish: Wish, act: Act, team_id: str | None, stored: Callable[[], None]
    ) -> DecisionResult:
        """Let somebody who may decide a proposal act on it, and log what came of it."""
        proposal_id, via = wish.proposal_id or "", wish.via
        try:
            proposal = await self._services.store.do(get_proposal, proposal_id)
            if proposal is None:
                result = DecisionResult(DecisionStatus.NOT_FOUND)
            else:
                asking = approve.refusal(self._services.authority, proposal, wish.actor, team_id, via=via)
                unknown = approve.unchecked(proposal, Refusal(RefusalCode.USER_UNKNOWN))
                refused = await soon(asking, unknown, _patience(wish, proposal))
                if refused is None:
                    result = await act(proposal, None)
                elif refused.status is DecisionStatus.UNCHECKED:
                    result = await self._unchecked(wish, proposal, act, refused, stored)
                else:
                    result = refused
        except StoreError as error:
            result = DecisionResult(DecisionStatus.NOT_STORED, error=str(error))
        log.info("%s by %s (%s) on %s: %s", wish.kind, wish.actor, via, proposal_id, result.status)
        self._services.notify(Queue.ANNOUNCE)
        return result

    async def _unchecked(
        self, wish: Wish, proposal: Proposal, act: Act, otherwise: DecisionResult, stored: Callable[[], None]
    ) -> DecisionResult:
        """Act at once for somebody who is listed by id, and keep the wish of anybody who perhaps may."""
        named = await self._services.authority.named(proposal)
        wish = replace(wish, would_run_at=proposal.cancellable_until)
        # To undo what is done takes new calls, and these wait for Slack's word.
        calls = wish.kind is WishKind.UNDO and proposal.state == ProposalState.SUCCEEDED
        if wish.actor in named.users and not calls:

            async def run(work: Work[Proposal | None]) -> tuple[bool, Proposal | None]:
                _, result = await without_word(self._services, wish, named, work)
                return result or (False, None)

            return await act(proposal, run)
        kept, _ = await without_word(self._services, wish, named, None, stored)
        return otherwise if kept is Kept.NOT_KEPT else DecisionResult(DecisionStatus.KEPT, proposal)


def _patience(wish: Wish, proposal: Proposal) -> float | None:
    """The seconds to wait for Slack's word: an undo has to come before the call."""
    if wish.via == approve.CLI:  # nobody waits for an acknowledgement there
        return None
    if wish.kind is WishKind.UNDO and proposal.cancellable_until is not None:
        left = (proposal.cancellable_until - wish.at).total_seconds()
        return min(PATIENCE, max(left / 2, 0.0))
    return PATIENCE
