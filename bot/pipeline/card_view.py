"""Gather what a card shows beside its proposal, just before it is drawn."""

from bot.approvals.approve import requirements_of
from bot.permissions import Authority
from bot.proposals.money import today
from bot.proposals.undo import can_undo
from bot.services import Services
from bot.slack.client import SlackError
from bot.ui.graduation_words import score_line, spot_check_line
from bot.ui.states import CardView, approver_line
from store.graduation.case_kinds import get_case_kind
from store.models import Proposal, ProposalKind, ProposalState
from store.proposals.decisions import approvals
from store.proposals.details import reasons_of
from store.proposals.proposals import get_proposal

_MONEY_AT_STAKE = frozenset({ProposalState.PENDING, ProposalState.APPROVED})


async def view_of(services: Services, proposal: Proposal) -> CardView:
    """Asks the store only what this proposal, as it stands, can show."""
    store = services.store
    two = proposal.kind == ProposalKind.CALLS and (await requirements_of(services, proposal)).people > 1
    said_yes = await store.do(approvals, proposal.id, proposal.revision) if two else []
    declined = proposal.state == ProposalState.DECLINED
    taken_back = proposal.undo_id
    case_kind = await store.do(get_case_kind, proposal.case_kind) if proposal.case_kind else None
    is_case = proposal.kind == ProposalKind.CALLS
    return CardView(
        deciders=await _deciders(services.authority, proposal, two=two),
        approvals=tuple(said_yes),
        needs_two=two,
        decline_reasons=await store.do(reasons_of, proposal.id) if declined else (),
        undo=can_undo(proposal),
        undone=await store.do(get_proposal, taken_back) if taken_back else None,
        today=await today(services, proposal) if proposal.state in _MONEY_AT_STAKE else (),
        score=score_line(proposal, case_kind, services.rules.policy.graduation, services.clock())
        if is_case
        else None,
        spot_check=spot_check_line(proposal, case_kind) if is_case else None,
        now=services.clock(),
    )


async def _deciders(authority: Authority, proposal: Proposal, *, two: bool) -> str:
    """The approvers of this proposal, and a note when two are needed and there are too few."""
    approvers = await authority.describe(proposal)
    if not two or proposal.state != ProposalState.PENDING:
        return approver_line(approvers)
    try:
        few = len(await authority.everybody(proposal)) == 1
    except SlackError:
        few = False
    return approver_line(approvers, too_few=few)
