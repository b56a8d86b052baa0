"""The check at a click: read Polar again, and compare the card with what it would show now."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.proposals.build import new_proposal
from bot.proposals.call_results import reason_of
from bot.proposals.evaluate import Evaluated, evaluate
from bot.proposals.fingerprint import digest_of, digest_of_proposal
from bot.proposals.money import Fact, money_facts, with_money
from bot.proposals.reads import Reads
from bot.proposals.rule_versions import Recalled, recall
from bot.rules import EvaluationError
from bot.services import Services
from polar.catalog import Call, operations
from polar.client import PolarClient
from polar.errors import InvalidCall, MissingScope, NotFound, PolarError
from store.models import NewProposal, PlannedCall, Proposal, ProposalKind, RuleMatch, RuleMatchState
from store.models.reasons import Reason, ReasonCode

log = logging.getLogger(__name__)

_WITHIN = 5.0  # seconds for each read: somebody waits
TAP, CALL = "tap", "call"  # when it was checked: at the tap of whoever approves, or just before the call


@dataclass(frozen=True, slots=True)
class NoLonger:
    """The reason why a proposal no longer applies."""

    why: Reason


# None: it is as shown, or that cannot be told now; right before the call it is looked at once more.
Found = NewProposal | NoLonger | None
Look = Callable[[Services, Proposal], Awaitable[Found]]


async def as_shown(services: Services, proposal: Proposal) -> Found:
    """The proposal as it would be now; None when that is what its card shows. Raises StoreError.

    While Polar is away, or the set-up is wrong, the decision counts: nothing is called without another look.
    """
    try:
        return await LOOKS[proposal.kind](services, proposal)
    except NotFound as error:
        return gone(error, TAP)
    except (EvaluationError, InvalidCall, PolarError) as error:
        log.info("%s is not read again at the tap: %s", proposal.id, error)
        return None


async def _calls(services: Services, proposal: Proposal) -> Found:
    if proposal.rule is None or proposal.event_id is None:
        await look_again(services.polar, [Call.of(call) for call in proposal.calls])
        return await _with_facts(services.polar, proposal)
    recalled = await recall(services, proposal.event_id, proposal.rule, proposal.rule_version or "")
    if recalled is None:
        return NoLonger(Reason(ReasonCode.RULE_GONE))
    if not recalled.rule.reads:
        return await _with_facts(services.polar, proposal)
    return await _asked_again(services, proposal, recalled)


async def _asked_again(services: Services, proposal: Proposal, recalled: Recalled) -> Found:
    """The rule's question, with everything read anew. Raises PolarError, EvaluationError."""
    rule = recalled.rule
    found = await evaluate(rule, recalled.names, Reads(services.polar, within=_WITHIN))
    if found.untrue is not None:
        return no_longer(found, TAP)
    if proposal.edited_by is not None:
        return await _with_facts(services.polar, proposal)  # the rule only says whether it still applies
    # As of when it was made: the passage of time is no change.
    draft = found.draft(now=proposal.created_at)
    if not draft.calls:
        return NoLonger(Reason.of(ReasonCode.NOTHING_LEFT, checked=TAP))
    rule_match = RuleMatch(
        proposal.fact_key, rule.name, rule.version, proposal.event_id or "", RuleMatchState.PROPOSED
    )
    policy, at = services.rules.policy, proposal.created_at
    new = new_proposal(rule, policy, rule_match, draft, event=recalled.event, now=at)
    return await _compared(services.polar, proposal, replace(new, calls=_in_order(proposal.calls, new.calls)))


def no_longer(found: Evaluated, checked: str) -> NoLonger:
    """The rule's precondition is not true any more."""
    return NoLonger(Reason.of(ReasonCode.NO_LONGER_APPLIES, checked=checked, condition=found.untrue))


def gone(error: NotFound, checked: str) -> NoLonger:
    """Polar no longer has what it is about."""
    return NoLonger(Reason.of(ReasonCode.GONE_AT_POLAR, reason_of(error), checked=checked))


def _in_order(shown: Sequence[PlannedCall], now: Sequence[PlannedCall]) -> tuple[PlannedCall, ...]:
    """The calls in the order of the card when they are the same ones: Polar lists in any order."""
    known = [PlannedCall.of(call) for call in shown]
    same = len(known) == len(now) and all(call in known for call in now)
    return tuple(known) if same else tuple(now)


async def _with_facts(polar: PolarClient, proposal: Proposal) -> Found:
    """The same question, its facts read anew."""
    names = NewProposal.__slots__
    new = NewProposal(**{name: getattr(proposal, name) for name in names if name != "calls"}, calls=())
    return await _compared(polar, proposal, replace(new, calls=tuple(map(PlannedCall.of, proposal.calls))))


async def _compared(polar: PolarClient, proposal: Proposal, new: NewProposal) -> Found:
    calls = [Call.of(call) for call in new.calls]
    new = replace(new, facts=await _facts(polar, proposal, calls))
    new = replace(new, content_hash=digest_of_proposal(new))
    return None if new.content_hash == _digest(proposal) else new


async def _facts(polar: PolarClient, proposal: Proposal, calls: Sequence[Call]) -> tuple[Fact, ...]:
    """The facts the card would show now; only what money comes to may have changed. Raises PolarError."""
    money = await money_facts(Reads(polar, within=_WITHIN), calls)
    return with_money(proposal.facts, money)


def _digest(proposal: Proposal) -> str:
    calls = [Call.of(call) for call in proposal.calls]
    return proposal.content_hash or digest_of(proposal.title, proposal.reasons, proposal.facts, calls)


async def _nothing_to_read(services: Services, proposal: Proposal) -> Found:  # noqa: ARG001 - a Look's signature
    return None


LOOKS: Mapping[ProposalKind, Look] = {
    ProposalKind.CALLS: _calls,
    ProposalKind.GRADUATION: _nothing_to_read,
}


async def look_again(polar: PolarClient, calls: Sequence[Call]) -> None:
    """Read the object that each call's path names, where one read shows it. Raises PolarError: NotFound, …

    A list proves nothing by being empty, so it is not asked; nor is a read that our token may not make.
    """
    for call in calls:
        read = operations()[call.operation].describe(call).verify_call(call) if call.path else None
        if read is None or not read.path:
            continue
        try:
            await polar.read(read)
        except MissingScope as error:
            log.info("cannot look before %s: %s", call.operation, error.plain)
