"""Step 3b: a rule with a `delay` is asked again when the delay is over."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from bot.pipeline.learn import gate
from bot.proposals.build import GIVE_UP_AFTER, new_proposal, pause_after, question
from bot.proposals.call_results import CallResult, classify, reason_of
from bot.proposals.reads import Reads
from bot.proposals.rule_versions import recall
from bot.rules import EvaluationError
from bot.services import LEASE, Queue, Services, new_token
from polar.errors import InvalidCall, NotFound, PolarError
from polar.events import Event
from store.events.events import claim_rule_matches, conclude_rule_match
from store.models import NewProposal, RuleMatch, RuleMatchState
from store.models.reasons import Reason, ReasonCode

log = logging.getLogger(__name__)

DELAY = "delay"  # when it was checked: after the rule's delay


@dataclass(frozen=True, slots=True)
class ClaimedRuleMatch:
    """A rule match whose delay is over, under our claim."""

    rule_match: RuleMatch
    token: str


@dataclass(frozen=True, slots=True)
class _Came:
    """The result of the rule after its delay."""

    state: RuleMatchState
    reason: Reason | None = None
    due_at: datetime | None = None
    proposal: NewProposal | None = None
    event: Event | None = None


async def claim(services: Services, limit: int) -> list[ClaimedRuleMatch]:
    """Take rule matches whose delay is over."""
    token, now = new_token(), services.clock()
    found = await services.store.do(claim_rule_matches, token=token, now=now, until=now + LEASE, limit=limit)
    return [ClaimedRuleMatch(rule_match, token) for rule_match in found]


async def ask_again(services: Services, claimed: ClaimedRuleMatch) -> None:
    """Ask the rule again, with everything read anew."""
    came = await _outcome(services, claimed.rule_match)
    judge = None if came.event is None else gate(services, came.event)
    await services.store.do(
        conclude_rule_match,
        claimed.rule_match,
        token=claimed.token,
        state=came.state,
        reason=came.reason,
        due_at=came.due_at,
        proposal=came.proposal,
        judge=judge,
    )
    if came.proposal is not None:
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)


async def _outcome(services: Services, rule_match: RuleMatch) -> _Came:
    recalled = await recall(services, rule_match.event_id, rule_match.rule, rule_match.rule_version)
    if recalled is None:
        return _Came(RuleMatchState.SILENT, Reason(ReasonCode.RULE_GONE))
    rule, stored, event = recalled.rule, recalled.stored, recalled.event
    try:
        draft = await question(rule, recalled.names, Reads(services.polar), fresh=False)
    except NotFound as error:
        return _Came(RuleMatchState.SILENT, Reason.of(ReasonCode.GONE_AT_POLAR, reason_of(error)))
    except (EvaluationError, InvalidCall) as error:
        log.error("rule %s failed after its delay on event %s: %s", rule.name, stored.id, error)
        return _Came(RuleMatchState.SILENT, Reason.of(ReasonCode.RULE_FAILED, problem=str(error)[:1_000]))
    except PolarError as error:
        over = (event.timestamp or stored.received_at) + rule.delay
        if classify(error) is CallResult.REFUSED or services.clock() - over > GIVE_UP_AFTER:
            log.error("rule %s is given up after its delay on event %s: %s", rule.name, stored.id, error)
            return _Came(RuleMatchState.SILENT, Reason.of(ReasonCode.RULE_GIVEN_UP, reason_of(error)))
        return _Came(RuleMatchState.WAITING, reason_of(error), services.clock() + pause_after(error, 8))
    if draft is None:
        return _Came(RuleMatchState.SILENT, Reason.of(ReasonCode.NOTHING_LEFT, checked=DELAY))
    proposed = replace(rule_match, state=RuleMatchState.PROPOSED)
    proposal = new_proposal(rule, services.rules.policy, proposed, draft, event=event, now=services.clock())
    return _Came(RuleMatchState.PROPOSED, proposal=proposal, event=event)
