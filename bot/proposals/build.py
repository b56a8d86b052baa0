"""Ask a rule about an event, and make the proposal that it asks for."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from bot.config.policy import Policy, ends
from bot.proposals.call_results import CallResult, classify, reason_of
from bot.proposals.reads import Amounts, Reads, of_order, read_money, with_money
from bot.rules import Draft, EvaluationError, Rule, RulesError, RuleSet, Scope, always_asks, compile_stored
from bot.rules.template import false_part
from bot.services import Services, backoff
from polar.catalog import AMOUNT_IS_READ, Call, moves_money, operations, stated_amount
from polar.errors import NotFound, PolarError
from polar.events import Event, Subject, facts, parse, summarise
from polar.was_done import marked
from store import Store
from store.events.conclusions import event_before
from store.events.events import get_event, rule_source
from store.models import (
    NewProposal,
    PlannedCall,
    Proposal,
    RuleMatch,
    RuleMatchState,
    RuleResult,
    StoredEvent,
    change_key,
    proposal_id,
)
from store.models.reasons import Reason, ReasonCode

_SET_UP_AGAIN = timedelta(hours=1)
# An event that could not be looked at for so long is shown as failed instead of asking Polar for ever.
GIVE_UP_AFTER = timedelta(days=2)
# What a person can oversee, and what Polar's rate limit allows in a minute beside everything else.
MOST_CALLS = 50
_TOTALS = ("total_amount", "amount", "refundable_amount")


# --- A rule, its event, and what the rule says of it ------------------------------------------------------


class Reader(Protocol):
    """A source of the answers to a rule's reads."""

    async def fill(self, rule: Rule, scope: Scope) -> Scope:
        """The scope with every read of the rule in it."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A rule with the names its question may use.

    `items` is the list of its `for_each`, at most MOST_CALLS; `left_out` is the number of those beyond.
    `untrue` is the part of its precondition that is not true; None: it holds, or was not asked.
    `was_read`: the reads were made.
    """

    rule: Rule
    scope: Scope
    items: list[Any] | None = None
    left_out: int = 0
    untrue: str | None = None
    was_read: bool = False

    def calls(self) -> tuple[Call, ...]:
        """The calls that it makes now. Raises EvaluationError."""
        return self.rule.calls(self.scope, self.items)

    def draft(self, *, now: datetime | None = None) -> Draft:
        """The question and its calls, as of now or of another time. Raises EvaluationError."""
        scope = self.scope if now is None else self.scope.plus(now=now)
        return replace(self.rule.draft(scope, self.items), left_out=self.left_out)


async def evaluate(rule: Rule, scope: Scope, reads: Reader, *, skip_precondition: bool = False) -> Evaluated:
    """Evaluate a rule for the event of `scope`. Raises EvaluationError, and what `reads` raises.

    `skip_precondition`: nothing is read for the precondition alone.
    """
    if skip_precondition and not rule.needs_reads():
        return Evaluated(rule, scope)
    scope = await reads.fill(rule, scope)
    found = rule.items(scope)
    items = None if found is None else found[:MOST_CALLS]
    if items is not None:
        scope = scope.plus(**{rule.list_name: items})
    untrue = None
    if rule.precondition is not None and not rule.holds(scope):
        untrue = false_part(rule.precondition, scope)
    return Evaluated(rule, scope, items, len(found or ()) - len(items or ()), untrue, was_read=True)


async def before(store: Store, event: Event) -> dict[str, Any] | None:
    """The data of the event before this one about the same subject, or None."""
    if event.subject is None or event.timestamp is None:
        return None
    found = await store.do(event_before, subject_of(event.subject), event.timestamp)
    return None if found is None else parse(found.body).data


def subject_of(subject: Subject) -> str:
    """A subject as the store names it: "order:…"."""
    return f"{subject.kind}:{subject.id}"


def scope_of(event: Event, now: datetime, before: dict[str, Any] | None = None) -> Scope:
    """The names an event gives to expressions; `before` is its predecessor's data."""
    names = {"data": event.data, "type": event.type, "timestamp": event.raw.get("timestamp")}
    return Scope(names | {"now": now, "before": before})


@dataclass(frozen=True, slots=True)
class Recalled:
    """A rule, the event it was asked about, and the names that the event gives to its expressions."""

    rule: Rule
    stored: StoredEvent
    event: Event
    names: Scope


async def recall(
    services: Services, asked: Proposal | RuleMatch, stored: StoredEvent | None = None
) -> Recalled | None:
    """The rule that asked, as it was, and its event, which is read unless it is given (`stored`); None when
    one of them is gone. Raises StoreError, and EvaluationError when this program cannot read the rule.
    """
    stored = stored or await services.store.do(get_event, asked.event_id or "")
    rule = await _rule(services.rules, services.store, asked.rule, asked.rule_version or "")
    if stored is None or rule is None:
        return None
    event = parse(stored.body)
    earlier = await before(services.store, event) if rule.compares() else None
    return Recalled(rule, stored, event, scope_of(event, services.clock(), earlier))


async def _rule(rules: RuleSet, store: Store, name: str | None, version: str) -> Rule | None:
    """The rule in force if it is that version, else the stored one; None when it is gone. Raises
    EvaluationError when this program cannot read it.
    """
    for rule in rules.rules:
        if rule.name == name and rule.version == version:
            return rule
    source = await store.do(rule_source, version)
    try:
        return None if source is None else compile_stored(source)
    except RulesError as error:
        problem = f"this version of the program cannot read the rule as it was: {'; '.join(error.problems)}"
        raise EvaluationError(name or version, "rule", problem) from error


# --- What comes of a rule ---------------------------------------------------------------------------------


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
    # Without a key of the rule's or the event's own, a second endpoint's event would be another change.
    own = rule.change(scope)
    change = change_key(own) if own else event.fact_key or f"webhook|{stored.id}"
    state = RuleMatchState.PROPOSED
    rule_match = RuleMatch(change, rule.name, rule.version, stored.id, state, matched_at=now)
    if rule.delay:
        due_at = (event.timestamp or stored.received_at) + rule.delay
        if due_at > now:
            until = Reason.of(ReasonCode.DELAYED, until=due_at.astimezone(UTC).isoformat())
            return RuleResult(replace(rule_match, state=RuleMatchState.WAITING, reason=until, due_at=due_at))
    fresh = event.timestamp is not None and now - event.timestamp < rule.skip_precondition_for
    return await ask(rule, scope, reads, policy, rule_match, event=event, now=now, fresh=fresh)


async def ask(
    rule: Rule,
    scope: Scope,
    reads: Reads,
    policy: Policy,
    rule_match: RuleMatch,
    *,
    event: Event,
    now: datetime,
    fresh: bool = False,
    checked: str | None = None,
) -> RuleResult:
    """The proposal of a rule whose `when` is true; silent when its `precondition` is not, or nothing is left.

    `fresh`: nothing is read for the `precondition` alone. The money is always read. `checked` says when it
    was asked, if not as the event came. Raises EvaluationError, PolarError (but not NotFound).
    """
    why = Reason.of(ReasonCode.NOTHING_LEFT, checked=checked)
    try:
        found = await evaluate(rule, scope, reads, skip_precondition=fresh)
        draft = found.draft() if found.untrue is None else None
        if draft is not None and draft.calls:
            kept = reads.kept(rule, found.scope) if found.was_read else None
            money = await read_money(reads, draft.calls)
            draft = replace(draft, money=money.facts, amounts=money.amounts, reads=kept)
            key, event_id = rule_match.fact_key, rule_match.event_id
            proposal = new_proposal(rule, policy, draft, key, event=event, event_id=event_id, now=now)
            return RuleResult(replace(rule_match, state=RuleMatchState.PROPOSED), proposal)
    except NotFound as error:
        why = Reason.of(ReasonCode.GONE_AT_POLAR, reason_of(error))
    return RuleResult(replace(rule_match, state=RuleMatchState.SILENT, reason=why))


def pause_after(error: PolarError, attempts: int) -> timedelta:
    """The pause before the next read: short after an outage, an hour while the token or set-up is wrong."""
    return _SET_UP_AGAIN if classify(error) is CallResult.CONFIGURATION else backoff(attempts)


def new_proposal(
    rule: Rule, policy: Policy, draft: Draft, fact_key: str, *, event: Event, event_id: str, now: datetime
) -> NewProposal:
    """A draft as a proposal. Its id follows from the change and the rule: made twice, it is the same one.

    `fact_key` names the change, so that a second endpoint telling of it proposes nothing twice.
    """
    risks = [operations()[call.operation].describe(call).risk.value for call in draft.calls]
    amount, currency = money_of(draft.calls, event.data, draft.amounts)
    customer_id, customer = customer_of(event)
    shown = [(fact.label, fact.value) for fact in facts(event)]
    if draft.left_out:
        shown.append(("Left out", f"{draft.left_out} more. A card makes {MOST_CALLS} calls at most"))
    identity = proposal_id(f"{fact_key}|{rule.name}")
    proposal = NewProposal(
        id=identity,
        fact_key=fact_key,
        event_id=event_id,
        rule=rule.name,
        rule_version=rule.version,
        subject=None if event.subject is None else subject_of(event.subject),
        title=draft.title,
        reasons=draft.reasons or (summarise(event),),
        facts=with_money(of_order(shown, event.type, draft.money), draft.money),
        risk=max(risks),
        always_asks=always_asks(event.type, risks, private=draft.private),
        calls=tuple(PlannedCall.of(marked(call, identity)) for call in draft.calls),
        created_at=now,
        deadline=draft.deadline,
        expires_at=ends(now, rule.expires_after or policy.schedule.expires_after, draft.deadline),
        amount=amount,
        currency=currency,
        customer_id=customer_id,
        customer=customer,
        reads=draft.reads,
    )
    return with_hash(proposal)


def customer_of(event: Event) -> tuple[str | None, str | None]:
    """The id and the e-mail address (lower case) of the customer an event is about, as far as it tells."""
    data = event.data
    own = data if event.type.startswith("customer.") else data.get("customer")
    customer: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
    identity = customer.get("id") or data.get("customer_id")
    email = customer.get("email") or data.get("customer_email")
    return _text(identity), (_text(email) or "").lower() or None


def _text(value: Any) -> str | None:
    return value[:320] if isinstance(value, str) and value else None


def money_of(
    calls: Sequence[Call], data: Mapping[str, Any], amounts: Amounts | None = None
) -> tuple[int | None, str | None]:
    """The money at stake in minor units and its currency in lower case: the calls' own, else the event's.

    `amounts` are those that Polar was asked for. Of a call whose amount only a read tells, none of the event
    stands in for it.
    """
    read, money = amounts or {}, [one for one in enumerate(calls) if moves_money(one[1])]
    code = data.get("currency") if isinstance(data.get("currency"), str) else None
    moved = [read.get(number) or stated_amount(call) for number, call in money]
    known = [(amount, own or code) for amount, own in filter(None, moved)]
    currencies = {own.lower()[:3] for _, own in known if own}
    unread = any(
        found is None and call.operation in AMOUNT_IS_READ
        for found, (_, call) in zip(moved, money, strict=True)
    )
    if unread or len(currencies) > 1 or any(own is None for _, own in known):
        return None, None
    if known:
        return sum(amount for amount, _ in known), currencies.pop()
    named = [data[name] for name in _TOTALS if isinstance(data.get(name), int)]
    own = [body["currency"] for call in calls if isinstance((body := call.body or {}).get("currency"), str)]
    currency = next(filter(None, [code, *own]), None)
    return (named[0], currency.lower()[:3]) if named and currency else (None, None)


def with_hash(proposal: NewProposal) -> NewProposal:
    """The proposal with the digest of what it asks."""
    digest = digest_of(proposal.title, proposal.reasons, proposal.facts, proposal.calls)
    return replace(proposal, content_hash=digest)


def digest_of(
    title: str,
    reasons: Sequence[str],
    facts: Sequence[tuple[str, str]],
    calls: Sequence[Call | PlannedCall],
) -> str:
    """One value for everything the card shows and the calls behind it: another digest is another question."""
    asked = [[call.operation, dict(call.path), dict(call.query), call.body] for call in calls]
    shown = [title, list(reasons), [list(fact) for fact in facts], asked]
    # Not canonical_json: the digests of proposals that are stored were made so.
    return hashlib.sha256(json.dumps(shown, sort_keys=True, default=str).encode()).hexdigest()[:16]
