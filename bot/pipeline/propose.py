"""Step 3: a stored event goes through the rules; what they propose is stored as proposals."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from bot.pipeline.learn import gate
from bot.proposals.build import GIVE_UP_AFTER, before, consider, pause_after, scope_of, subject_of
from bot.proposals.call_results import CallResult, classify, reason_of
from bot.proposals.echo import WINDOW, judge
from bot.proposals.fingerprint import customer_of
from bot.proposals.reads import Reads
from bot.proposals.reversals import done_before, notice_outcomes
from bot.rules import EvaluationError, Rule
from bot.services import LEASE, Notify, Queue, Services, new_token
from bot.ui.reasons import plain
from polar.errors import InvalidCall, PolarError
from polar.events import Event, parse
from store.events.events import Conclusion, claim_events, conclude_event, conclude_for_now, postpone_event
from store.models import (
    EventState,
    RuleMatch,
    RuleResult,
    StoredEvent,
    SubjectState,
)
from store.models.reasons import Reason, ReasonCode
from store.proposals.proposals import calls_sent_since

log = logging.getLogger(__name__)

_WHILE_SENDING = timedelta(milliseconds=500)
# Whoever has these may act: they stay in the signed body and are copied nowhere.
_BEARER = {"checkout": frozenset({"client_secret", "url"})}
_LONGEST = 1_000  # characters of an error
_LATEST = timedelta(days=1)  # Polar's own attempts end within the hour; a person may ask for one more


@dataclass(frozen=True, slots=True)
class Claimed:
    """A stored event under our claim."""

    event: StoredEvent
    token: str


async def claim(services: Services, limit: int) -> list[Claimed]:
    """Take events that wait for the rules; in a flood of webhooks a little later."""
    await services.store.backpressure()
    token, now = new_token(), services.clock()
    found = await services.store.do(claim_events, token=token, now=now, until=now + LEASE, limit=limit)
    return [Claimed(event, token) for event in found]


async def propose(services: Services, claimed: Claimed) -> None:
    """Put one event through every rule that listens to it. Raises nothing that a later try could avoid."""
    stored, event = claimed.event, parse(claimed.event.body)
    rules = services.rules.for_event(event.type)
    made = await done_before(services, event, stored.received_at)
    if not rules and not made:
        await _finish(services, claimed, event, _unreadable(event) or Reason(ReasonCode.NO_RULE))
        return
    # By the time of the event: it may come hours late, or be put before the rules once more.
    at = max(event.timestamp or stored.received_at, stored.received_at - _LATEST)
    since = min(at, stored.received_at) - WINDOW - LEASE
    sent = await services.store.do(calls_sent_since, since)
    verdict = judge(event, stored.received_at, sent)
    if verdict.proposal_id is not None:
        await _finish(services, claimed, event, Reason.of(ReasonCode.ECHO, proposal=verdict.proposal_id))
    elif verdict.wait:
        due = services.clock() + _WHILE_SENDING
        why = Reason(ReasonCode.CALL_UNDER_WAY)
        await services.store.do(postpone_event, stored.id, token=claimed.token, due_at=due, reason=why)
    else:
        await notice_outcomes(services, event, stored, made)
        if rules:
            await _apply(services, claimed, event, rules)
        else:
            await _finish(services, claimed, event, _unreadable(event) or Reason(ReasonCode.NO_RULE))


async def _apply(services: Services, claimed: Claimed, event: Event, rules: tuple[Rule, ...]) -> None:
    looks_back = any(rule.compares() for rule in rules)
    scope = scope_of(event, services.clock(), await before(services.store, event) if looks_back else None)
    reads = Reads(services.polar)
    spoken: list[RuleResult] = []
    failures: list[Reason] = []
    unread: list[tuple[Rule, PolarError]] = []
    for rule in rules:
        try:
            said = await consider(
                rule,
                scope,
                reads,
                services.rules.policy,
                event=event,
                stored=claimed.event,
                now=services.clock(),
            )
        except (EvaluationError, InvalidCall) as error:
            failures.append(Reason.of(ReasonCode.RULE_FAILED, problem=str(error)[:_LONGEST]))
        except PolarError as error:
            if classify(error) is CallResult.REFUSED:  # it would be refused again
                failures.append(_of_rule(rule, reason_of(error)))
            else:
                unread.append((rule, error))
        else:
            spoken += [said] if said is not None else []
    if unread and services.clock() - claimed.event.received_at < GIVE_UP_AFTER:
        await _later(services, claimed, event, spoken, unread)
        return
    given_up = ((rule, Reason.of(ReasonCode.RULE_GIVEN_UP, reason_of(error))) for rule, error in unread)
    failures += [_of_rule(*one) for one in given_up]
    why = Reason.of(ReasonCode.OF_RULES, *failures) if failures else _came_of(spoken, event)
    if failures:
        log.error("rules failed on event %s: %s", claimed.event.id, plain(why, _LONGEST))
    state = EventState.FAILED if failures else EventState.DONE
    compared = services.rules.compares(event.type)
    conclusion = Conclusion(state, why, spoken, sighting(event), compared, gate(services, event))
    await _conclude(services, claimed, conclusion)
    _notify(services.notify, spoken)


def sighting(event: Event) -> SubjectState | None:
    """The state of its subject that an event tells, with its order; None without subject or time."""
    if event.subject is None or event.timestamp is None:
        return None
    key = event.order_key
    known = {
        name: value for name, value in event.data.items() if name not in _BEARER.get(event.subject.kind, ())
    }
    return SubjectState(
        subject_of(event.subject), key.terminal, key.timestamp, key.rank, known, customer_of(event)[0]
    )


def _came_of(spoken: list[RuleResult], event: Event) -> Reason:
    """The results of the rules for an event."""
    said = [_of_match(one.rule_match) for one in spoken]
    if said:
        return Reason.of(ReasonCode.OF_RULES, *said)
    return _unreadable(event) or Reason(ReasonCode.NOTHING_PROPOSED)


def _of_match(match: RuleMatch) -> Reason:
    behind = () if match.reason is None else (match.reason,)
    return Reason.of(ReasonCode.OF_RULE, *behind, rule=match.rule, state=match.state.value)


def _of_rule(rule: Rule, why: Reason) -> Reason:
    return Reason.of(ReasonCode.OF_RULE, why, rule=rule.name)


def _unreadable(event: Event) -> Reason | None:
    if event.problem is None:
        return None
    return Reason.of(ReasonCode.EVENT_UNREADABLE, problem=event.problem[:_LONGEST])


def _notify(notify: Notify, spoken: list[RuleResult]) -> None:
    if any(one.proposal for one in spoken):
        notify(Queue.ANNOUNCE, Queue.EXECUTE)


async def _later(
    services: Services,
    claimed: Claimed,
    event: Event,
    spoken: list[RuleResult],
    unread: list[tuple[Rule, PolarError]],
) -> None:
    """Polar could not be read: keep what the other rules said, and ask again after a pause."""
    why = Reason.of(ReasonCode.OF_RULES, *(_of_rule(rule, reason_of(error)) for rule, error in unread))
    log.warning("event %s waits: %s", claimed.event.id, plain(why, _LONGEST))
    pause = max(pause_after(error, claimed.event.attempts) for _, error in unread)
    due_at = services.clock() + pause
    await services.store.do(
        conclude_for_now,
        claimed.event.id,
        spoken,
        token=claimed.token,
        due_at=due_at,
        reason=why,
        judge=gate(services, event),
    )
    _notify(services.notify, spoken)


async def _finish(services: Services, claimed: Claimed, event: Event, why: Reason) -> None:
    # What no rule asks about may still be what a later event is compared with.
    conclusion = Conclusion(
        EventState.DONE, why, subject_state=sighting(event), compared=services.rules.compares(event.type)
    )
    await _conclude(services, claimed, conclusion)


async def _conclude(services: Services, claimed: Claimed, conclusion: Conclusion) -> None:
    await services.store.do(
        conclude_event, claimed.event.id, conclusion, token=claimed.token, now=services.clock()
    )
