"""Step 3: a stored event goes through the rules; what they propose is stored as proposals."""

import base64
import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bot.config.policy import Policy, ends
from bot.pipeline.assess import gate
from bot.proposals.call_results import Drawn, drawn
from bot.proposals.echo import WINDOW, judge
from bot.proposals.fingerprint import customer_of, digest_of_proposal, money_of
from bot.proposals.money import money_facts, of_order, with_money
from bot.proposals.reads import Reads
from bot.proposals.reversals import done_before, notice_outcomes
from bot.rules import Draft, EvaluationError, Rule, Scope, always_asks
from bot.services import LEASE, Parts, backoff, new_token
from polar.catalog import operations
from polar.errors import InvalidCall, NotFound, PolarError
from polar.events import Event, Subject, parse
from polar.text.summaries import facts, summarise
from store.events.events import claim_events, event_before, postpone_event
from store.events.rule_firings import Conclusion, conclude_event, conclude_for_now
from store.models import (
    EventState,
    Firing,
    FiringState,
    NewProposal,
    PlannedCall,
    Sighting,
    Spoken,
    StoredEvent,
)
from store.proposals.execution import calls_sent_since

log = logging.getLogger(__name__)

_WHILE_SENDING = timedelta(milliseconds=500)
# Whoever has these may act: they stay in the signed body and are copied nowhere.
_BEARER = {"checkout": frozenset({"client_secret", "url"})}
_SET_UP_AGAIN = timedelta(hours=1)
# An event that could not be looked at for so long is shown as failed instead of asking Polar for ever.
GIVE_UP_AFTER = timedelta(days=2)
_LATEST = timedelta(days=1)  # Polar's own attempts end within the hour; a person may ask for one more


@dataclass(frozen=True, slots=True)
class Claimed:
    """A stored event under our claim."""

    event: StoredEvent
    token: str


async def claim(parts: Parts, limit: int) -> list[Claimed]:
    """Take events that wait for the rules; in a flood of webhooks a little later."""
    await parts.store.calm()
    token, now = new_token(), parts.clock()
    found = await parts.store.do(claim_events, token=token, now=now, until=now + LEASE, limit=limit)
    return [Claimed(event, token) for event in found]


async def propose(parts: Parts, claimed: Claimed) -> None:
    """Put one event through every rule that listens to it. Raises nothing that a later try would mend."""
    stored, event = claimed.event, parse(claimed.event.body)
    rules = parts.rules.for_event(event.type)
    made = await done_before(parts, event, stored.received_at)
    if not rules and not made:
        await _finish(parts, claimed, event, event.problem or "no rule listens to it")
        return
    # By the time of the event: it may come hours late, or be put before the rules once more.
    at = max(event.timestamp or stored.received_at, stored.received_at - _LATEST)
    since = min(at, stored.received_at) - WINDOW - LEASE
    sent = await parts.store.do(calls_sent_since, since)
    verdict = judge(event, stored.received_at, sent)
    if verdict.proposal_id is not None:
        await _finish(parts, claimed, event, f"echo of {verdict.proposal_id}")
    elif verdict.wait:
        due = parts.clock() + _WHILE_SENDING
        await parts.store.do(
            postpone_event, stored.id, token=claimed.token, due_at=due, note="a write is under way"
        )
    else:
        await notice_outcomes(parts, event, stored, made)
        if rules:
            await _apply(parts, claimed, event, rules)
        else:
            await _finish(parts, claimed, event, event.problem or "no rule listens to it")


async def _apply(parts: Parts, claimed: Claimed, event: Event, rules: tuple[Rule, ...]) -> None:
    looks_back = any(rule.compares() for rule in rules)
    scope = scope_of(event, parts.clock(), await before(parts, event) if looks_back else None)
    reads = Reads(parts.polar)
    spoken: list[Spoken] = []
    failures: list[str] = []
    unread: list[tuple[Rule, PolarError]] = []
    for rule in rules:
        try:
            said = await consider(
                rule, scope, reads, parts.rules.policy, event=event, stored=claimed.event, now=parts.clock()
            )
        except (EvaluationError, InvalidCall) as error:
            failures.append(str(error))
        except PolarError as error:
            if drawn(error) is Drawn.REFUSED:  # it would be refused again
                failures.append(f"rule {rule.name}: {error.plain}")
            else:
                unread.append((rule, error))
        else:
            spoken += [said] if said is not None else []
    if unread and parts.clock() - claimed.event.received_at < GIVE_UP_AFTER:
        await _later(parts, claimed, event, spoken, unread)
        return
    failures += [f"given up: rule {rule.name}: {error.plain}" for rule, error in unread]
    if failures:
        log.error("rules failed on event %s: %s", claimed.event.id, "; ".join(failures))
    state = EventState.FAILED if failures else EventState.DONE
    note = "; ".join(failures) or _note(spoken, event)
    compared = parts.rules.compares(event.type)
    conclusion = Conclusion(state, note[:1_000], spoken, sighting(event), compared, gate(parts, event))
    await _conclude(parts, claimed, conclusion)
    _wake(parts, spoken)


async def before(parts: Parts, event: Event) -> dict[str, Any] | None:
    """The data of the event before this one about the same subject, or None."""
    if event.subject is None or event.timestamp is None:
        return None
    found = await parts.store.do(event_before, subject_of(event.subject), event.timestamp)
    return None if found is None else parse(found.body).data


def sighting(event: Event) -> Sighting | None:
    """What an event tells of its subject, with what orders it; None when it has no subject or time."""
    if event.subject is None or event.timestamp is None:
        return None
    key = event.order_key
    known = {
        name: value for name, value in event.data.items() if name not in _BEARER.get(event.subject.kind, ())
    }
    return Sighting(
        subject_of(event.subject), key.terminal, key.timestamp, key.rank, known, customer_of(event)[0]
    )


def subject_of(subject: Subject) -> str:
    """A subject as the store names it: "order:…"."""
    return f"{subject.kind}:{subject.id}"


def _note(spoken: list[Spoken], event: Event) -> str:
    said = [f"{one.firing.rule}: {one.firing.note or one.firing.state}" for one in spoken]
    return "; ".join(said) or event.problem or "nothing to propose"


def _wake(parts: Parts, spoken: list[Spoken]) -> None:
    if any(one.proposal for one in spoken):
        parts.wake("announce")
        parts.wake("execute")  # what runs on its own is due at once


async def _later(
    parts: Parts,
    claimed: Claimed,
    event: Event,
    spoken: list[Spoken],
    unread: list[tuple[Rule, PolarError]],
) -> None:
    """Polar could not be read: keep what the other rules said, and ask again after a pause."""
    why = "; ".join(f"rule {rule.name}: {error.plain}" for rule, error in unread)
    log.warning("event %s waits: %s", claimed.event.id, why)
    pause = max(pause_after(error, claimed.event.attempts) for _, error in unread)
    due_at = parts.clock() + pause
    await parts.store.do(
        conclude_for_now,
        claimed.event.id,
        spoken,
        token=claimed.token,
        due_at=due_at,
        note=why[:1_000],
        judge=gate(parts, event),
    )
    _wake(parts, spoken)


def pause_after(error: PolarError, attempts: int) -> timedelta:
    """When to read again: soon after an outage, hourly while somebody has to mend the token or the set-up."""
    return _SET_UP_AGAIN if drawn(error) is Drawn.CONFIGURATION else backoff(attempts)


async def consider(
    rule: Rule,
    scope: Scope,
    reads: Reads,
    policy: Policy,
    *,
    event: Event,
    stored: StoredEvent,
    now: datetime,
) -> Spoken | None:
    """What one rule says about one event now. Raises EvaluationError, PolarError (but not NotFound)."""
    if not rule.fires(scope):
        return None
    change = rule.change(scope) or fact_key(event, stored)
    firing = Firing(change, rule.name, rule.version, stored.id, FiringState.PROPOSED, fired_at=now)
    if rule.wait:
        due_at = (event.timestamp or stored.received_at) + rule.wait
        if due_at > now:
            return Spoken(
                _changed(firing, FiringState.WAITING, f"waits until {due_at:%d %b %H:%M} UTC", due_at), None
            )
    try:
        draft = await question(rule, scope, reads, fresh=_is_fresh(rule, event, now))
    except NotFound:
        return Spoken(_changed(firing, FiringState.SILENT, "Polar no longer has what it reads"), None)
    if draft is None:
        return Spoken(_changed(firing, FiringState.SILENT, "nothing left to do"), None)
    return Spoken(firing, new_proposal(rule, policy, firing, draft, event=event, now=now))


async def question(rule: Rule, scope: Scope, reads: Reads, *, fresh: bool) -> Draft | None:
    """The rule's question, or None when its `still` is not true or there is nothing to call.

    `fresh`: the event is proof enough, so nothing is read for `still` alone; what money comes to always is.
    Raises EvaluationError and PolarError.
    """
    if not fresh or rule.needs_reads():
        scope = await reads.fill(rule, scope)
        items = rule.items(scope)
        scope = scope if items is None else scope.plus(each=items)
        if not rule.holds(scope):
            return None
        kept = reads.told(rule, scope)
    else:
        items = kept = None
    draft = rule.draft(scope, items)
    if not draft.calls:
        return None
    return replace(draft, money=await money_facts(reads, draft.calls), reads=kept)


def scope_of(event: Event, now: datetime, before: dict[str, Any] | None = None) -> Scope:
    """The names an event gives to expressions; `before` is its predecessor's data."""
    names = {"data": event.data, "type": event.type, "timestamp": event.raw.get("timestamp")}
    return Scope(names | {"now": now, "before": before})


def fact_key(event: Event, stored: StoredEvent) -> str:
    """Names the change, so that a second endpoint telling of it proposes nothing twice."""
    return event.fact_key or f"webhook|{stored.id}"


def _is_fresh(rule: Rule, event: Event, now: datetime) -> bool:
    return event.timestamp is not None and now - event.timestamp < rule.fresh


def _changed(firing: Firing, state: FiringState, note: str, due_at: datetime | None = None) -> Firing:
    return replace(firing, state=state, note=note, due_at=due_at)


def new_proposal(
    rule: Rule, policy: Policy, firing: Firing, draft: Draft, *, event: Event, now: datetime
) -> NewProposal:
    """A draft as a proposal. Its id follows from the change and the rule: made twice, it is the same one."""
    effects = [operations()[call.operation].describe(call) for call in draft.calls]
    risks = [effect.risk.value for effect in effects]
    digest = hashlib.sha256(f"{firing.fact_key}|{firing.rule}".encode()).digest()
    amount, currency = money_of(draft.calls, event.data)
    customer_id, customer = customer_of(event)
    expires_at = ends(now, rule.expire or policy.schedule.expire_after, draft.deadline)
    told = [(fact.label, fact.value) for fact in facts(event)]
    proposal = NewProposal(
        id="p" + base64.b32encode(digest).decode().lower()[:12],
        fact_key=firing.fact_key,
        event_id=firing.event_id,
        rule=firing.rule,
        rule_version=firing.rule_version,
        subject=None if event.subject is None else subject_of(event.subject),
        title=draft.title,
        because=draft.because or (summarise(event),),
        facts=with_money(of_order(told, event.type, draft.money), draft.money),
        risk=max(risks),
        always_asks=always_asks(event.type, risks, tells=draft.tells),
        calls=tuple(PlannedCall(call.operation, call.path, call.query, call.body) for call in draft.calls),
        created_at=now,
        deadline=draft.deadline,
        expires_at=expires_at,
        amount=amount,
        currency=currency,
        customer_id=customer_id,
        customer=customer,
        reads=draft.reads,
    )
    return replace(proposal, digest=digest_of_proposal(proposal))


async def _finish(parts: Parts, claimed: Claimed, event: Event, note: str) -> None:
    # What no rule asks about may still be what a later event is compared with.
    conclusion = Conclusion(
        EventState.DONE, note, sighting=sighting(event), compared=parts.rules.compares(event.type)
    )
    await _conclude(parts, claimed, conclusion)


async def _conclude(parts: Parts, claimed: Claimed, conclusion: Conclusion) -> None:
    await parts.store.do(conclude_event, claimed.event.id, conclusion, token=claimed.token, now=parts.clock())
