"""What a person can do once a call was made: take it back, try it again, or settle what nobody knows."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from bot.approvals.approve import requirements
from bot.config.policy import ends
from bot.proposals.fingerprint import digest_of_proposal
from bot.proposals.reads import Reads
from bot.proposals.undo import changed_since, inverses
from bot.proposals.verify_call import ClaimedDoubt, Seen, examine
from bot.services import LEASE, Queue, Services, new_token
from bot.slack.user import Person
from bot.ui import ephemeral
from bot.ui.effects import does
from polar.catalog import Call, operations
from polar.errors import PolarError
from store.models import NewProposal, PlannedCall, Proposal, ProposalKind, ProposalState
from store.proposals import followups
from store.proposals.actions import Act, Came
from store.proposals.proposals import get_proposal

log = logging.getLogger(__name__)

Told = str | None  # what only the person is told; None: the card says it

_SEEN: Mapping[Seen, str] = {
    Seen.DONE: "Polar shows that it was done. The card says where it stands now.",
    Seen.NO_TRACE: (
        "Polar shows no trace of it so far; it may still be on its way. Nothing was sent again. "
        "Check again in some minutes, or look in Polar and say which it is."
    ),
    Seen.UNREAD: "Polar could not be asked just now. Nothing was changed. Check again in a moment.",
    Seen.UNREADABLE: (
        "Polar has no read that shows whether it was done. Nothing was changed. "
        "Look in Polar and say which it is."
    ),
}
_LOOK_WITHIN = 5.0  # seconds: somebody waits
_LOOKING = "Polar is being asked just now. Nothing was changed. Look at the card in a moment."


class Aftermath:
    """What can be done about what is done, failed or in doubt, by whoever may decide the proposal."""

    def __init__(self, services: Services) -> None:
        self._services = services

    # --- What was done is taken back ------------------------------------------------------------------

    async def undo(self, person: Person, proposal: Proposal) -> Told:
        """Take back what a proposal has done, by the calls that restore what was; what the person is told.

        None: it runs, and the card shows it. What took two people takes two to take back: then it waits for
        the other one. The caller has asked whether this person may. Raises StoreError.
        """
        back = inverses(proposal)
        over = proposal.state != ProposalState.SUCCEEDED or proposal.undone_at is not None
        if proposal.kind != ProposalKind.CALLS or proposal.undo_of_id is not None or over or not back:
            return ephemeral.NOTHING_TO_UNDO
        if await self._changed_since(proposal):
            return ephemeral.CHANGED_SINCE
        people = requirements(self._services.rules.policy, proposal).people
        act = await self._act(person, proposal, "undid it" if people == 1 else "asks to undo it")
        made = _proposal(proposal, act, back)
        made = replace(
            made, expires_at=ends(act.at, self._services.rules.policy.schedule.expires_after, None)
        )
        won, found = await self._services.store.do(followups.undo, act, made, people)
        if not won:
            taken = found is not None and found.undo_id is not None and found.undone_at is None
            return ephemeral.BEING_UNDONE if taken else ephemeral.NOTHING_TO_UNDO
        self._done(act)
        return None if people == 1 else ephemeral.UNDO_TAKES_TWO

    async def _changed_since(self, proposal: Proposal) -> bool:
        """Whether undoing would overwrite a newer state. Unread: no; it is looked at once more."""
        try:
            return await changed_since(Reads(self._services.polar, within=_LOOK_WITHIN), proposal)
        except PolarError as error:
            log.info("what %s did is not looked at before its Undo: %s", proposal.id, error)
            return False

    # --- What Polar refused is tried again ------------------------------------------------------------

    async def retry(self, person: Person, proposal_id: str) -> Told:
        """Have the refused calls made again, after the wait that an approval has. Raises StoreError."""
        proposal, refused = await self._asked(person, proposal_id)
        if proposal is None:
            return refused
        how = partial(followups.retry, hold=requirements(self._services.rules.policy, proposal).hold)
        return await self._carried(person, proposal, how, "Retried it.", ephemeral.NOTHING_TO_RETRY)

    # --- What Polar never answered --------------------------------------------------------------------

    async def check(self, person: Person, proposal_id: str) -> Told:
        """Ask Polar now whether it was done. Raises StoreError."""
        proposal, refused = await self._asked(person, proposal_id)
        if proposal is None:
            return refused
        if proposal.state != ProposalState.UNKNOWN:
            return ephemeral.NOT_IN_DOUBT
        act, token = await self._act(person, proposal, "had Polar asked again"), new_token()
        until = act.at + LEASE
        claimed = await self._services.store.do(followups.check, act, token=token, until=until)
        if claimed is None:
            return _LOOKING
        return _SEEN[await examine(self._services, ClaimedDoubt(claimed, token))]

    async def mark_done(self, person: Person, proposal_id: str) -> Told:
        """Take this person's word that it was done. Raises StoreError."""
        return await self._settle(
            person, proposal_id, followups.mark_done, "Says that it was done.", ephemeral.NOT_IN_DOUBT
        )

    async def mark_not_done(self, person: Person, proposal_id: str) -> Told:
        """Take this person's word that it was not done. Raises StoreError."""
        return await self._settle(
            person, proposal_id, followups.mark_not_done, "Says that it was not done.", ephemeral.NOT_IN_DOUBT
        )

    async def _settle(
        self, person: Person, proposal_id: str, how: Callable[..., Came], said: str, late: str
    ) -> Told:
        proposal, refused = await self._asked(person, proposal_id)
        return refused if proposal is None else await self._carried(person, proposal, how, said, late)

    async def _carried(
        self, person: Person, proposal: Proposal, how: Callable[..., Came], said: str, late: str
    ) -> Told:
        act = Act(proposal.id, person.user_id, said, self._services.clock())
        won, _ = await self._services.store.do(how, act)
        if not won:
            return late
        self._done(act)
        return None

    async def _asked(self, person: Person, proposal_id: str) -> tuple[Proposal | None, Told]:
        """The proposal, or what to tell a person who may not touch it."""
        proposal = await self._services.store.do(get_proposal, proposal_id)
        if proposal is None:
            return None, ephemeral.gone()
        refused = await self._refused(person, proposal)
        return (proposal, None) if refused is None else (None, refused)

    async def _refused(self, person: Person, proposal: Proposal) -> Told:
        authority = self._services.authority
        reason = await authority.refusal(person.user_id, person.team_id, proposal)
        if reason is None:
            return None
        log.info("refused %s on %s: %s", person.user_id, proposal.id, reason)
        return ephemeral.refusal(reason, await authority.describe(proposal))

    async def _act(self, person: Person, proposal: Proposal, said: str) -> Act:
        name = await self._services.authority.name(person.user_id)
        return Act(proposal.id, person.user_id, f"{name} {said}.", self._services.clock())

    def _done(self, act: Act) -> None:
        log.info("%s on %s: %s", act.actor, act.proposal_id, act.said)
        self._services.notify(Queue.EXECUTE, Queue.ANNOUNCE, Queue.OUTBOX, Queue.HOME)


def _proposal(original: Proposal, act: Act, back: tuple[PlannedCall, ...]) -> NewProposal:
    """What takes a proposal back, as a proposal of its own: made, decided and kept like any other."""
    risks = [operations()[call.operation].describe(Call.of(call)).risk.value for call in back]
    made = NewProposal(
        id="",  # given when it is stored, with its number among the undoings
        fact_key="",
        event_id=None,
        rule=None,
        rule_version=None,
        subject=original.subject,
        title=f"Undo: {original.title.rstrip('?')}",
        reasons=(f"{act.said} It takes back {original.id}: {does(original)}.",),
        facts=original.facts,
        risk=max(risks),
        always_asks="it takes something back",
        calls=back,
        created_at=act.at,
        proposer=act.actor,
        customer_id=original.customer_id,
        customer=original.customer,
        undo_of_id=original.id,
    )
    return replace(made, content_hash=digest_of_proposal(made))
