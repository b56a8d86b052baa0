"""Where people's decisions arrive: whichever way in, the same checks, and an answer for whoever decides."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bot.approvals import approve, results
from bot.approvals.followups import Aftermath
from bot.approvals.results import Answer, Came
from bot.permissions import Authority
from bot.services import Queue, Services, new_token
from bot.slack.client import SlackError
from bot.slack.user import Person
from bot.ui import ephemeral
from bot.ui.card import copy_of
from store.engine.errors import StoreError
from store.models import Decision, Proposal, ProposalState, Verdict
from store.proposals import pending_approvals
from store.proposals.decisions import barred, decide, take_back
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

NO_REVISION = 0  # what a button says that names none we ever wrote: it decides nothing


@dataclass(frozen=True, slots=True)
class Click:
    """A button pressed: by whom, for which revision of which proposal, on which message.

    Only the ids are believed. `press` names this one press, however often Slack delivers it.
    """

    user_id: str
    team_id: str | None
    proposal_id: str
    revision: int
    channel: str | None
    message_ts: str | None
    press: str | None = None

    @property
    def person(self) -> Person:
        """Who tapped."""
        return Person(self.user_id, self.team_id)


class ApprovalService:
    """What a person can do. Buttons, bundles, threads and the command line all come through here."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.aftermath = Aftermath(services)

    @property
    def authority(self) -> Authority:
        """Who may decide."""
        return self._services.authority

    async def approve(
        self,
        person: Person,
        proposal_id: str,
        *,
        via: str,
        revision: int | None = None,
        reason: str | None = None,
        tap: str | None = None,
        channel: str | None = None,
        kept: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Approve a proposal, after another look at Polar; what came of it, and what to tell the person.

        `revision` is the one they saw; None is the one there is now. `tap` names one press that may decide
        many proposals: given again for the same one, nothing more happens. `channel` is where they are told
        should the program stop meanwhile; `kept` is called once the approval is on disk.
        """
        row = f"{tap}:{proposal_id}" if tap else new_token()
        at = self._services.clock()
        try:
            if revision is None:
                revision = await self._revision(proposal_id)
            kept_tap = pending_approvals.PendingApproval(
                row, proposal_id, revision, person.user_id, via, at, tap, reason, channel
            )
            return await approve.approve(self._services, kept_tap, person.team_id, kept)
        except StoreError as error:
            return Answer(Came.NOT_STORED, ephemeral.not_stored(str(error)))

    async def approve_all(
        self,
        person: Person,
        chosen: Sequence[Proposal],
        *,
        via: str,
        revision: int,
        tap: str,
        kept: Callable[[], None],
    ) -> list[tuple[Proposal, Answer]]:
        """Approve several by one press: all of them are on disk before any is seen to; what came of each."""
        at = self._services.clock()
        rows = [
            pending_approvals.PendingApproval(
                f"{tap}:{one.id}", one.id, revision, person.user_id, via, at, tap
            )
            for one in chosen
        ]
        try:
            came = await approve.approve_all(self._services, rows, person.team_id, kept)
        except StoreError as error:
            came = [Answer(Came.NOT_STORED, ephemeral.not_stored(str(error)))] * len(rows)
        return list(zip(chosen, came, strict=True))

    async def decline(
        self,
        person: Person,
        proposal_id: str,
        *,
        via: str,
        revision: int | None = None,
        reason: str | None = None,
        tap: str | None = None,
    ) -> Answer:
        """Decline a proposal; the arguments are those of `approve`."""
        try:
            answer = await self._declined(person, proposal_id, revision, via=via, reason=reason, tap=tap)
        except StoreError as error:
            answer = Answer(Came.NOT_STORED, ephemeral.not_stored(str(error)))
        log.info("decline by %s (%s) on %s: %s", person.user_id, via, proposal_id, answer.came)
        self._services.notify(Queue.ANNOUNCE)
        return answer

    async def _declined(
        self,
        person: Person,
        proposal_id: str,
        revision: int | None,
        *,
        via: str,
        reason: str | None,
        tap: str | None,
    ) -> Answer:
        proposal = await self._services.store.do(get_proposal, proposal_id)
        if proposal is None:
            return results.gone()
        refused = await approve.refusal(self._services, proposal, person.user_id, person.team_id, via=via)
        if refused is not None:
            return refused
        decision = Decision(
            proposal_id,
            person.user_id,
            Verdict.DECLINE,
            via,
            self._services.clock(),
            reason,
            proposal.revision if revision is None else revision,
            tap,
        )
        won, now = await self._services.store.do(decide, decision)
        if won or now is None:
            return Answer(Came.DECLINED, ephemeral.DECLINED, now) if won else results.gone()
        bar = barred(now, Verdict.DECLINE, decision.revision)
        return await approve.lost(self._services, now, bar, person.user_id)

    async def undo(self, person: Person, proposal_id: str, *, via: str) -> Answer:
        """Take back what was approved while nothing of it was sent, or undo what was done."""
        try:
            answer = await self._undone(person, proposal_id, via)
        except StoreError as error:
            answer = Answer(Came.NOT_STORED, ephemeral.not_stored(str(error)))
        log.info("undo by %s (%s) on %s: %s", person.user_id, via, proposal_id, answer.came)
        self._services.notify(Queue.ANNOUNCE)
        return answer

    async def _undone(self, person: Person, proposal_id: str, via: str) -> Answer:
        proposal = await self._services.store.do(get_proposal, proposal_id)
        if proposal is None:
            return results.gone()
        refused = await approve.refusal(self._services, proposal, person.user_id, person.team_id, via=via)
        if refused is not None:
            return refused
        if proposal.state != ProposalState.SUCCEEDED:
            at = self._services.clock()
            in_time, found = await self._services.store.do(
                take_back, proposal_id, actor=person.user_id, at=at
            )
            if in_time:
                return Answer(Came.UNDONE, ephemeral.UNDONE, found)
            proposal = proposal if found is None else found
        if proposal.state == ProposalState.SUCCEEDED:
            said = await self.aftermath.undo(person, proposal)
            came = {None: Came.UNDONE, ephemeral.UNDO_TAKES_TWO: Came.FIRST_YES}.get(said, Came.TOO_LATE)
            return Answer(came, said or ephemeral.UNDOING, proposal)
        return Answer(Came.TOO_LATE, ephemeral.too_late_to_undo(proposal), proposal)

    async def _revision(self, proposal_id: str) -> int:
        proposal = await self._services.store.do(get_proposal, proposal_id)
        return NO_REVISION if proposal is None else proposal.revision

    # --- Buttons ------------------------------------------------------------------------------------------

    async def decide(self, tap: Click, verdict: Verdict, kept: Callable[[], None] = lambda: None) -> None:
        """Approve or Decline was tapped: decide, and tell them what the card does not show."""
        if verdict == Verdict.APPROVE:
            answer = await self.approve(
                tap.person,
                tap.proposal_id,
                via="button",
                revision=tap.revision,
                tap=tap.press,
                channel=tap.channel,
                kept=kept,
            )
        else:
            answer = await self.decline(
                tap.person, tap.proposal_id, via="button", revision=tap.revision, tap=tap.press
            )
        await self._tell(tap, answer)

    async def take_back(self, tap: Click) -> None:
        """Undo was tapped."""
        await self._tell(tap, await self.undo(tap.person, tap.proposal_id, via="button"))

    async def _tell(self, tap: Click, answer: Answer) -> None:
        if not answer.shown or tap.message_ts is None:  # no card was tapped, so none shows them
            await self.whisper(tap, answer.text)
        if answer.proposal is not None and answer.came not in (Came.REFUSED, Came.UNTOLD):
            await self._mend_copy(tap, answer.proposal)

    async def _mend_copy(self, tap: Click, proposal: Proposal) -> None:
        """A card posted twice (a crash between posting and noting it): the copy points to the card."""
        copy, card = tap.message_ts, proposal.card_ts
        if tap.channel is None or copy is None or card is None or copy == card:
            return
        try:
            link = await self._services.slack.permalink(proposal.channel or self._services.channel, card)
            await self._services.slack.update(tap.channel, copy, copy_of(proposal, link))
        except SlackError as error:
            log.warning("a copy of the card of %s is not redrawn: %s", proposal.id, error)

    async def whisper(self, tap: Click, text: ephemeral.Whisper) -> None:
        """Tell one person something, where they tapped."""
        try:
            await self._services.slack.whisper(tap.channel or self._services.channel, tap.user_id, text)
        except SlackError as error:
            log.warning("%s could not be told that a tap did not count: %s", tap.user_id, error)
