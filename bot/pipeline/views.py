"""What a card shows beside its proposal, gathered just before it is drawn."""

from bot.cards import CardView
from bot.graduation.lines import audited, score_line
from bot.pipeline.parts import Parts
from bot.pipeline.sums import today
from bot.pipeline.undo import can_undo
from polar.catalog import Risk
from store.decisions import approvals
from store.models import Proposal, ProposalKind, ProposalState
from store.proposals import get_proposal
from store.remarks import reasons_of
from store.shapes import get_shape

_MONEY_AT_STAKE = frozenset({ProposalState.PENDING, ProposalState.APPROVED})


async def view_of(parts: Parts, proposal: Proposal) -> CardView:
    """Asks the store only what this proposal, as it stands, can show."""
    store = parts.store
    two = proposal.kind == ProposalKind.CALLS and parts.rules.policy.takes_two(
        Risk(proposal.risk), proposal.amount, proposal.currency
    )
    said_yes = await store.do(approvals, proposal.id, proposal.edition) if two else []
    declined = proposal.state == ProposalState.DECLINED
    taken_back = proposal.undone_by
    shape = await store.do(get_shape, proposal.shape) if proposal.shape else None
    is_case = proposal.kind == ProposalKind.CALLS
    return CardView(
        deciders=await parts.authority.describe(proposal),
        approvals=tuple(said_yes),
        needs_two=two,
        reasons=await store.do(reasons_of, proposal.id) if declined else (),
        undo=can_undo(proposal),
        undone=await store.do(get_proposal, taken_back) if taken_back else None,
        today=await today(parts, proposal) if proposal.state in _MONEY_AT_STAKE else (),
        score=score_line(proposal, shape, parts.rules.policy.graduation) if is_case else None,
        audit=audited(proposal, shape) if is_case else None,
        now=parts.clock(),
    )
