"""Values that a later call takes from an earlier answer, and the message to the approver."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.rules import EvaluationError, Rule, Scope, resolve
from bot.services import Services
from bot.slack.client import SlackError
from bot.ui.ephemeral import handed
from polar.catalog import Call
from store import Store
from store.models import PlannedCall, Proposal, ProposalCall
from store.models.reasons import Reason, ReasonCode
from store.proposals.execution import bind_call

log = logging.getLogger(__name__)

_NOT_SHOWN = Reason(ReasonCode.LINK_NOT_SHOWN)

# The result that a person wants who proposes one of these by hand; a rule has `private_message`.
_LINKS = {
    "customer-sessions:create": ("The customer's portal, for an hour", "customer_portal_url"),
    "checkouts:create": ("The checkout", "url"),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The calls to make now, the rule that asks for them, and the names of its event."""

    calls: list[Call]
    rule: Rule | None = None
    names: Scope | None = None

    @property
    def chained(self) -> bool:
        """True if each call needs the one before."""
        return self.rule is not None and bool(self.rule.then)


async def bound(
    store: Store,
    plan: Plan,
    call: ProposalCall,
    answers: Sequence[Any],
    *,
    proposal_id: str,
    token: str,
) -> ProposalCall:
    """A call with what the answers before it give, stored as it will be sent. Raises EvaluationError."""
    if plan.rule is None or not plan.chained:
        return call
    try:
        path, query = resolve(dict(call.path), answers), resolve(dict(call.query), answers)
        body = resolve(call.body, answers)
    except ValueError as error:
        raise EvaluationError(plan.rule.name, "then", str(error)) from error
    if (path, query, body) == (call.path, call.query, call.body):
        return call
    to = PlannedCall(call.operation, path, query, body)
    await store.do(bind_call, proposal_id, call.number, token=token, to=to)
    return replace(call, path=path, query=query, body=body)


async def hand_over(services: Services, proposal: Proposal, plan: Plan, answer: Any) -> Reason | None:
    """Show what the answer holds for whoever approved, and to nobody else; why not, if it did not work.

    It is not stored: if this process dies in between, the link is gone.
    """
    if not _hands_over(plan):
        return None
    if answer is None or proposal.decided_by is None:
        return _NOT_SHOWN
    try:
        text = handed(_told(plan, answer))
        await services.slack.post_ephemeral(proposal.channel or services.channel, proposal.decided_by, text)
    except (EvaluationError, SlackError) as error:
        log.warning("what Polar answered to %s was not handed over: %s", proposal.id, error)
        return _NOT_SHOWN
    return None


def _hands_over(plan: Plan) -> bool:
    if plan.rule is None:
        return bool(plan.calls) and plan.calls[-1].operation in _LINKS
    return plan.names is not None and plan.rule.private_message is not None


def _told(plan: Plan, answer: Any) -> str:
    if plan.rule is not None and plan.names is not None:
        return plan.rule.private_text(plan.names, answer) or ""
    about, field = _LINKS[plan.calls[-1].operation]
    link = answer.get(field) if isinstance(answer, Mapping) else None
    return f"{about}: {link or 'Polar gave none'}"
