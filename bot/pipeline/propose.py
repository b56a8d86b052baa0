"""Step 3: rules are asked of a stored event, or anew after their `delay`; their proposals are stored."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bot.approvals.erasure import DELETED, ask_to_erase
from bot.graduation.gate import Gate
from bot.proposals.build import (
    GIVE_UP_AFTER,
    Recalled,
    ask,
    consider,
    customer_of,
    pause_after,
    recall,
    scope_of,
    subject_of,
)
from bot.proposals.call_results import CallResult, classify, reason_of
from bot.proposals.own_calls import look_around, match_own_call, notice_outcomes
from bot.proposals.reads import Reads
from bot.rules import EvaluationError, Rule
from bot.services import Claimed, Queue, Services, claim_rows
from bot.ui.reasons import plain
from polar.errors import InvalidCall, PolarError
from polar.events import Event, parse
from polar.redaction import is_secret
from store.events.conclusions import Conclusion, conclude_events
from store.events.events import claim_events, claim_rule_matches, conclude_rule_match, failed_matches_of
from store.models import (
    EventState,
    RuleMatch,
    RuleMatchState,
    RuleResult,
    StoredEvent,
    SubjectState,
)
from store.models.details import FailedMatch
from store.models.reasons import Reason, ReasonCode

log = logging.getLogger(__name__)

_WHILE_SENDING = timedelta(milliseconds=500)
# Whoever knows it can act with it. Like secrets it stays in the signed body and is not copied.
_BEARER = {"checkout": frozenset({"url"})}
_LONGEST = 1_000  # characters of an error
DELAY = "delay"  # when it was checked: after the rule's delay


async def claim(services: Services, limit: int) -> list[Claimed[StoredEvent]]:
    """Take events that wait for the rules; in a flood of webhooks a little later."""
    await services.store.give_way()
    return await claim_rows(services, claim_events, limit)


async def propose(services: Services, claimed: Claimed[StoredEvent]) -> None:
    """Put one event through every rule that listens to it. Raises nothing that a later try could avoid."""
    stored, event = claimed.row, parse(claimed.row.body)
    if event.is_cut:  # a rule would decide by a part of it
        log.error("no rule looks at event %s: %s", stored.id, event.problem)
        why = _unreadable(event) or Reason(ReasonCode.NO_RULE)
        await _conclude(services, claimed, event, EventState.FAILED, why)
        return
    rules = services.rules.for_event(event.type)
    # A new event has no reason yet. Of one on which rules have failed these alone are asked again.
    again = await services.store.read(failed_matches_of, stored.id) if stored.reason is not None else []
    if again:
        rules = tuple(rule for rule in rules if rule.name in {one.rule for one in again})
    looks_back = any(rule.compares() for rule in rules)
    found = await look_around(services, event, stored.received_at, looks_back=looks_back)
    if rules or found.done:
        match = match_own_call(event, stored.received_at, found.sent)
        if match.proposal_id is not None:
            why = Reason.of(ReasonCode.ECHO, proposal=match.proposal_id)
            await _conclude(services, claimed, event, EventState.DONE, why, over=again)
            return
        if match.wait:
            due_at = services.clock() + _WHILE_SENDING
            await _postpone(services, claimed, event, Reason(ReasonCode.CALL_UNDER_WAY), due_at)
            return
        await notice_outcomes(services, event, stored, found.done)
    if event.type == DELETED:
        await ask_to_erase(services, event)
    if rules:
        await _apply(services, claimed, event, _Asked(rules, found.before, again))
    else:
        # What no rule asks about may still be what a later event is compared with.
        why = _unreadable(event) or Reason(ReasonCode.NO_RULE)
        await _conclude(services, claimed, event, EventState.DONE, why, over=again)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rules that are asked about an event, the event before it, and the earlier failures among them."""

    rules: tuple[Rule, ...]
    before: StoredEvent | None
    again: Sequence[FailedMatch]

    def failed(self, rule: Rule, event_id: str, why: Reason, at: datetime) -> FailedMatch:
        """The failure of one of them, which may be its next."""
        first = FailedMatch(event_id, rule.name, rule.version, why, at)
        known = next((one for one in self.again if one.rule == rule.name), None)
        return (
            first if known is None else replace(first, attempts=known.attempts + 1, fact_key=known.fact_key)
        )


async def _apply(services: Services, claimed: Claimed[StoredEvent], event: Event, asked: _Asked) -> None:
    stored, policy, before = claimed.row, services.rules.policy, asked.before
    scope = scope_of(event, services.clock(), None if before is None else parse(before.body).data)
    reads = Reads(services.polar)
    spoken: list[RuleResult] = []
    failures: list[tuple[Rule, Reason]] = []
    unread: list[tuple[Rule, PolarError]] = []
    for rule in asked.rules:
        try:
            now = services.clock()
            said = await consider(rule, scope, reads, policy, event=event, stored=stored, now=now)
        except (EvaluationError, InvalidCall) as error:
            failures.append((rule, Reason.of(ReasonCode.RULE_FAILED, problem=str(error)[:_LONGEST])))
        except PolarError as error:
            if classify(error) is CallResult.REFUSED:  # it would be refused again
                failures.append((rule, reason_of(error)))
            else:
                unread.append((rule, error))
        else:
            spoken += [said] if said is not None else []
    if unread and services.clock() - stored.received_at < GIVE_UP_AFTER:
        why = Reason.of(ReasonCode.OF_RULES, *(_of_rule(rule, reason_of(error)) for rule, error in unread))
        log.warning("event %s waits: %s", stored.id, plain(why, _LONGEST))
        # What the other rules said is kept.
        due_at = services.clock() + max(pause_after(error, stored.attempts) for _, error in unread)
        answered = {one.rule_match.rule for one in spoken}
        over = [one for one in asked.again if one.rule in answered]
        await _postpone(services, claimed, event, why, due_at, spoken=spoken, over=over)
    else:
        failures += [(rule, Reason.of(ReasonCode.RULE_GIVEN_UP, reason_of(error))) for rule, error in unread]
        why = _reason_of_failures(failures) if failures else _reason_without_proposal(spoken, event)
        if failures:
            log.error("rules failed on event %s: %s", stored.id, plain(why, _LONGEST))
        state, now = EventState.FAILED if failures else EventState.DONE, services.clock()
        failed = [asked.failed(rule, stored.id, reason, now) for rule, reason in failures]
        await _conclude(
            services,
            claimed,
            event,
            state,
            why,
            spoken=spoken,
            looked_back=any(rule.compares() for rule in asked.rules),
            before=before,
            over=asked.again,
            failed=failed,
        )


def subject_state(event: Event) -> SubjectState | None:
    """The state of its subject that an event tells, with its order; None without subject or time, or cut."""
    if event.subject is None or event.timestamp is None or event.is_cut:
        return None
    key, bearer = event.order_key, _BEARER.get(event.subject.kind, ())
    known = {name: value for name, value in event.data.items() if name not in bearer and not is_secret(name)}
    subject, customer_id = subject_of(event.subject), customer_of(event)[0]
    return SubjectState(subject, key.terminal, key.timestamp, key.rank, known, customer_id)


def _reason_without_proposal(spoken: list[RuleResult], event: Event) -> Reason:
    """The results of the rules for an event."""
    said = []
    for match in (one.rule_match for one in spoken):
        behind = () if match.reason is None else (match.reason,)
        said.append(Reason.of(ReasonCode.OF_RULE, *behind, rule=match.rule, state=match.state.value))
    if said:
        return Reason.of(ReasonCode.OF_RULES, *said)
    return _unreadable(event) or Reason(ReasonCode.NOTHING_PROPOSED)


def _reason_of_failures(failures: Sequence[tuple[Rule, Reason]]) -> Reason:
    """The failures of an event. What a rule's own expression ran into names the rule already."""
    own = ReasonCode.RULE_FAILED
    causes = (why if why.code is own else _of_rule(rule, why) for rule, why in failures)
    return Reason.of(ReasonCode.OF_RULES, *causes)


def _of_rule(rule: Rule, why: Reason) -> Reason:
    return Reason.of(ReasonCode.OF_RULE, why, rule=rule.name)


def _unreadable(event: Event) -> Reason | None:
    if event.problem is None:
        return None
    return Reason.of(ReasonCode.EVENT_UNREADABLE, problem=event.problem[:_LONGEST])


def _gate(services: Services, event: Event) -> Gate:
    """The policy over the proposals of one event."""
    return Gate(services.rules.policy, event, services.polar.environment)


async def _postpone(
    services: Services,
    claimed: Claimed[StoredEvent],
    event: Event,
    why: Reason,
    due_at: datetime,
    *,
    spoken: Sequence[RuleResult] = (),
    over: Sequence[FailedMatch] = (),
) -> None:
    """Let an event be tried again at `due_at`."""
    conclusion = Conclusion(
        event_id=claimed.row.id,
        token=claimed.token,
        now=services.clock(),
        state=EventState.NEW,
        reason=why,
        evaluator=_gate(services, event),
        due_at=due_at,
        results=spoken,
        over=over,
    )
    await services.store.do_together(conclude_events, conclusion, _wake(services, spoken))


async def _conclude(
    services: Services,
    claimed: Claimed[StoredEvent],
    event: Event,
    state: EventState,
    why: Reason,
    *,
    spoken: Sequence[RuleResult] = (),
    looked_back: bool = False,
    before: StoredEvent | None = None,
    over: Sequence[FailedMatch] = (),
    failed: Sequence[FailedMatch] = (),
) -> None:
    conclusion = Conclusion(
        event_id=claimed.row.id,
        token=claimed.token,
        now=services.clock(),
        state=state,
        reason=why,
        evaluator=_gate(services, event),
        results=spoken,
        subject_state=subject_state(event),
        compared=services.rules.compares(event.type),
        looked_back=looked_back,
        before=None if before is None else before.id,
        over=over,
        failed=failed,
    )
    concluded = await services.store.do_together(conclude_events, conclusion, _wake(services, spoken))
    if concluded.waits:
        services.notify(Queue.PROPOSE)


def _wake(services: Services, spoken: Sequence[RuleResult]) -> Callable[[], None] | None:
    """Wakes whoever works on new proposals."""
    if not any(one.proposal for one in spoken):
        return None
    return partial(services.notify, Queue.ANNOUNCE, Queue.EXECUTE)


# --- A rule whose delay is over ---------------------------------------------------------------------------


async def claim_delayed(services: Services, limit: int) -> list[Claimed[RuleMatch]]:
    """Take rule matches whose delay is over."""
    return await claim_rows(services, claim_rule_matches, limit)


async def ask_again(services: Services, claimed: Claimed[RuleMatch]) -> None:
    """Ask the rule again, with everything read anew."""
    asked = replace(claimed.row, reason=None, due_at=None)  # it waits for nothing now
    result, evaluator, failed = await _after_delay(services, asked)
    match = result.rule_match
    await services.store.do(
        conclude_rule_match,
        asked,
        token=claimed.token,
        state=match.state,
        reason=match.reason,
        due_at=match.due_at,
        proposal=result.proposal,
        evaluator=evaluator,
        failed=failed,
    )
    if result.proposal is not None:
        services.notify(Queue.ANNOUNCE, Queue.EXECUTE)


async def _after_delay(
    services: Services, asked: RuleMatch
) -> tuple[RuleResult, Gate | None, FailedMatch | None]:
    """The result of a rule, the policy over its proposal, and the failure, if it failed."""
    policy, reads, now = services.rules.policy, Reads(services.polar), services.clock()
    recalled = None
    try:
        recalled = await recall(services, asked)
        if recalled is None:
            gone = replace(asked, state=RuleMatchState.SILENT, reason=Reason(ReasonCode.RULE_GONE))
            return RuleResult(gone), None, None
        rule, event = recalled.rule, recalled.event
        said = await ask(rule, recalled.names, reads, policy, asked, event=event, now=now, checked=DELAY)
        return said, _gate(services, event), None
    except (EvaluationError, InvalidCall) as error:
        why = Reason.of(ReasonCode.RULE_FAILED, problem=str(error)[:_LONGEST])
    except PolarError as error:
        why = reason_of(error)
        if classify(error) is not CallResult.REFUSED and not _too_late(services, recalled):
            due_at = services.clock() + pause_after(error, 8)
            waits = replace(asked, state=RuleMatchState.WAITING, reason=why, due_at=due_at)
            return RuleResult(waits), None, None
        why = Reason.of(ReasonCode.RULE_GIVEN_UP, why)
    log.error(
        "rule %s failed after its delay on event %s: %s", asked.rule, asked.event_id, plain(why, _LONGEST)
    )
    failed = FailedMatch(
        asked.event_id, asked.rule, asked.rule_version, why, services.clock(), fact_key=asked.fact_key
    )
    return RuleResult(replace(asked, state=RuleMatchState.SILENT, reason=why)), None, failed


def _too_late(services: Services, recalled: Recalled | None) -> bool:
    """Tell whether Polar was asked in vain for so long since the end of the delay that it is given up."""
    if recalled is None:
        return True
    over = (recalled.event.timestamp or recalled.stored.received_at) + recalled.rule.delay
    return services.clock() - over > GIVE_UP_AFTER
