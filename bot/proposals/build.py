"""Build the proposals that rules make of one event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.config.policy import Policy, ends
from bot.proposals.call_results import CallResult, classify, reason_of
from bot.proposals.evaluate import evaluate
from bot.proposals.fingerprint import customer_of, digest_of_proposal, money_of
from bot.proposals.money import money_facts, of_order, with_money
from bot.proposals.reads import Reads
from bot.rules import Draft, Rule, Scope, always_asks
from bot.services import backoff
from polar.catalog import operations
from polar.errors import NotFound, PolarError
from polar.events import Event, Subject, parse
from polar.text.summaries import facts, summarise
from store import Store
from store.events.events import event_before
from store.models import (
    NewProposal,
    PlannedCall,
    RuleMatch,
    RuleMatchState,
    RuleResult,
    StoredEvent,
)
from store.models.reasons import Reason, ReasonCode, proposal_id

_SET_UP_AGAIN = timedelta(hours=1)


# An event that could not be looked at for so long is shown as failed instead of asking Polar for ever.
GIVE_UP_AFTER = timedelta(days=2)


async def before(store: Store, event: Event) -> dict[str, Any] | None:
    """The data of the event before this one about the same subject, or None."""
    if event.subject is None or event.timestamp is None:
        return None
    found = await store.do(event_before, subject_of(event.subject), event.timestamp)
    return None if found is None else parse(found.body).data


def subject_of(subject: Subject) -> str:
    """A subject as the store names it: "order:…"."""
    return f"{subject.kind}:{subject.id}"


def pause_after(error: PolarError, attempts: int) -> timedelta:
    """The pause before the next read: short after an outage, an hour while the token or set-up is wrong."""
    return _SET_UP_AGAIN if classify(error) is CallResult.CONFIGURATION else backoff(attempts)


async def consider(
    rule: Rule,
    scope: Scope,
    reads: Reads,
    policy: Policy,
    *,
    event: Event,
    stored: StoredEvent,
    now: datetime,
) -> RuleResult | None:
    """Ask one rule about one event. Raises EvaluationError, PolarError (but not NotFound)."""
    if not rule.matches(scope):
        return None
    change = rule.change(scope) or fact_key(event, stored)
    rule_match = RuleMatch(
        change, rule.name, rule.version, stored.id, RuleMatchState.PROPOSED, matched_at=now
    )
    if rule.delay:
        due_at = (event.timestamp or stored.received_at) + rule.delay
        if due_at > now:
            until = Reason.of(ReasonCode.DELAYED, until=due_at.astimezone(UTC).isoformat())
            return RuleResult(replace(rule_match, state=RuleMatchState.WAITING, reason=until, due_at=due_at))
    try:
        draft = await question(rule, scope, reads, fresh=_is_fresh(rule, event, now))
    except NotFound as error:
        return RuleResult(_silent(rule_match, Reason.of(ReasonCode.GONE_AT_POLAR, reason_of(error))))
    if draft is None:
        return RuleResult(_silent(rule_match, Reason(ReasonCode.NOTHING_LEFT)))
    return RuleResult(rule_match, new_proposal(rule, policy, rule_match, draft, event=event, now=now))


async def question(rule: Rule, scope: Scope, reads: Reads, *, fresh: bool) -> Draft | None:
    """The rule's question, or None when its `precondition` is not true or there is nothing to call.

    `fresh`: nothing is read for the `precondition` alone. The money is always read.
    Raises EvaluationError and PolarError.
    """
    found = await evaluate(rule, scope, reads, skip_precondition=fresh)
    if found.untrue is not None:
        return None
    draft = found.draft()
    if not draft.calls:
        return None
    kept = reads.kept(rule, found.scope) if found.was_read else None
    return replace(draft, money=await money_facts(reads, draft.calls), reads=kept)


def scope_of(event: Event, now: datetime, before: dict[str, Any] | None = None) -> Scope:
    """The names an event gives to expressions; `before` is its predecessor's data."""
    names = {"data": event.data, "type": event.type, "timestamp": event.raw.get("timestamp")}
    return Scope(names | {"now": now, "before": before})


def fact_key(event: Event, stored: StoredEvent) -> str:
    """Names the change, so that a second endpoint telling of it proposes nothing twice."""
    return event.fact_key or f"webhook|{stored.id}"


def _is_fresh(rule: Rule, event: Event, now: datetime) -> bool:
    return event.timestamp is not None and now - event.timestamp < rule.skip_precondition_for


def _silent(rule_match: RuleMatch, why: Reason) -> RuleMatch:
    return replace(rule_match, state=RuleMatchState.SILENT, reason=why)


def new_proposal(
    rule: Rule, policy: Policy, rule_match: RuleMatch, draft: Draft, *, event: Event, now: datetime
) -> NewProposal:
    """A draft as a proposal. Its id follows from the change and the rule: made twice, it is the same one."""
    effects = [operations()[call.operation].describe(call) for call in draft.calls]
    risks = [effect.risk.value for effect in effects]
    amount, currency = money_of(draft.calls, event.data)
    customer_id, customer = customer_of(event)
    expires_at = ends(now, rule.expires_after or policy.schedule.expires_after, draft.deadline)
    told = [(fact.label, fact.value) for fact in facts(event)]
    proposal = NewProposal(
        id=proposal_id(f"{rule_match.fact_key}|{rule_match.rule}"),
        fact_key=rule_match.fact_key,
        event_id=rule_match.event_id,
        rule=rule_match.rule,
        rule_version=rule_match.rule_version,
        subject=None if event.subject is None else subject_of(event.subject),
        title=draft.title,
        reasons=draft.reasons or (summarise(event),),
        facts=with_money(of_order(told, event.type, draft.money), draft.money),
        risk=max(risks),
        always_asks=always_asks(event.type, risks, private=draft.private),
        calls=tuple(PlannedCall.of(call) for call in draft.calls),
        created_at=now,
        deadline=draft.deadline,
        expires_at=expires_at,
        amount=amount,
        currency=currency,
        customer_id=customer_id,
        customer=customer,
        reads=draft.reads,
    )
    return replace(proposal, content_hash=digest_of_proposal(proposal))
