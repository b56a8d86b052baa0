"""Step 3b: a rule that held itself back (`wait`) is asked again when its time has come."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from bot.pipeline.learn import gate
from bot.proposals.build import GIVE_UP_AFTER, before, new_proposal, pause_after, question, scope_of
from bot.proposals.call_results import Drawn, drawn
from bot.proposals.reads import Reads
from bot.proposals.rule_versions import rule_as_it_was
from bot.rules import EvaluationError
from bot.services import LEASE, Parts, new_token
from polar.errors import InvalidCall, NotFound, PolarError
from polar.events import Event, parse
from store.events.events import get_event
from store.events.rule_firings import claim_firings, conclude_firing
from store.models import Firing, FiringState, NewProposal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClaimedFiring:
    """A firing whose wait is over, under our claim."""

    firing: Firing
    token: str


@dataclass(frozen=True, slots=True)
class _Came:
    """What came of the wait."""

    state: FiringState
    note: str | None = None
    due_at: datetime | None = None
    proposal: NewProposal | None = None
    event: Event | None = None


async def claim(parts: Parts, limit: int) -> list[ClaimedFiring]:
    """Take firings whose wait is over."""
    token, now = new_token(), parts.clock()
    found = await parts.store.do(claim_firings, token=token, now=now, until=now + LEASE, limit=limit)
    return [ClaimedFiring(firing, token) for firing in found]


async def ask_again(parts: Parts, claimed: ClaimedFiring) -> None:
    """Ask the rule again, with everything read anew."""
    came = await _outcome(parts, claimed.firing)
    judge = None if came.event is None else gate(parts, came.event)
    await parts.store.do(
        conclude_firing,
        claimed.firing,
        token=claimed.token,
        state=came.state,
        note=came.note,
        due_at=came.due_at,
        proposal=came.proposal,
        judge=judge,
    )
    if came.proposal is not None:
        parts.wake("announce")
        parts.wake("execute")  # what runs on its own is due at once


async def _outcome(parts: Parts, firing: Firing) -> _Came:
    stored = await parts.store.do(get_event, firing.event_id)
    rule = await rule_as_it_was(parts, firing.rule, firing.rule_version)
    if stored is None or rule is None:
        return _Came(FiringState.SILENT, "its event or its rule is no longer here")
    event = parse(stored.body)
    try:
        scope = scope_of(event, parts.clock(), await before(parts, event) if rule.compares() else None)
        draft = await question(rule, scope, Reads(parts.polar), fresh=False)
    except NotFound:
        return _Came(FiringState.SILENT, "Polar no longer has what it reads")
    except (EvaluationError, InvalidCall) as error:
        log.error("rule %s failed after its wait on event %s: %s", rule.name, stored.id, error)
        return _Came(FiringState.SILENT, str(error)[:1_000])
    except PolarError as error:
        over = (event.timestamp or stored.received_at) + rule.wait
        if drawn(error) is Drawn.REFUSED or parts.clock() - over > GIVE_UP_AFTER:
            log.error("rule %s is given up after its wait on event %s: %s", rule.name, stored.id, error)
            return _Came(FiringState.SILENT, f"given up: {error.plain}")
        return _Came(FiringState.WAITING, error.plain, parts.clock() + pause_after(error, 8))
    if draft is None:
        return _Came(FiringState.SILENT, "nothing left to do after the wait")
    proposed = replace(firing, state=FiringState.PROPOSED)
    proposal = new_proposal(rule, parts.rules.policy, proposed, draft, event=event, now=parts.clock())
    return _Came(FiringState.PROPOSED, proposal=proposal, event=event)
