"""The check at a click: read Polar again, and tell how what the card would show now differs from it."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from bot.proposals.build import Evaluated, evaluate, money_of, new_proposal, recall, with_hash
from bot.proposals.call_results import reason_of
from bot.proposals.reads import Reads, read_money, with_money
from bot.rules import EvaluationError
from bot.services import Services
from polar.catalog import Call, operations
from polar.client import PolarClient
from polar.errors import InvalidCall, MissingScope, NotFound, PolarError
from polar.redaction import redacted
from polar.text.words import format_money
from polar.was_done import unmarked
from store.models import NewProposal, PlannedCall, Proposal, ProposalKind, StoredEvent
from store.models.reasons import Reason, ReasonCode

log = logging.getLogger(__name__)

_WITHIN = 5.0  # seconds for each read: somebody waits
TAP, CALL = "tap", "call"  # when it was checked: at the tap of whoever approves, or just before the call
NOTHING = "–"
_LONGEST = 200

Change = tuple[str, str, str]  # label, before, now


@dataclass(frozen=True, slots=True)
class NoLonger:
    """The reason why a proposal no longer applies."""

    why: Reason


# None: it is as shown, or that cannot be told now; right before the call it is looked at once more.
Found = NewProposal | NoLonger | None


async def as_shown(services: Services, proposal: Proposal, event: StoredEvent | None = None) -> Found:
    """The proposal as it would be now; None when that is what its card shows. `event` is the one it is about,
    where it is at hand. Raises StoreError.

    While Polar is away, or the set-up is wrong, the decision counts: nothing is called without another look.
    """
    if proposal.kind != ProposalKind.CALLS:  # it is not about anything at Polar
        return None
    try:
        return await _look(services, proposal, event)
    except NotFound as error:
        return gone(error, TAP)
    except (EvaluationError, InvalidCall, PolarError) as error:
        log.info("%s is not read again at the tap: %s", proposal.id, error)
        return None


async def _look(services: Services, proposal: Proposal, event: StoredEvent | None) -> Found:
    """The question with everything read anew. Raises PolarError, EvaluationError."""
    if proposal.rule is None:
        await look_again(services.polar, proposal.calls)
        return await _compared(services.polar, proposal, proposal)
    recalled = await recall(services, proposal, event)
    if recalled is None:
        return NoLonger(Reason(ReasonCode.RULE_GONE))
    rule = recalled.rule
    if not rule.reads:
        return await _compared(services.polar, proposal, proposal)
    found = await evaluate(rule, recalled.names, Reads(services.polar, within=_WITHIN))
    if found.untrue is not None:
        return no_longer(found, TAP)
    if proposal.edited_by is not None:  # the rule only says whether it still applies
        return await _compared(services.polar, proposal, proposal)
    # As of when it was made: the passage of time is no change.
    policy, at = services.rules.policy, proposal.created_at
    draft = found.draft(now=at)
    if not draft.calls:
        return NoLonger(Reason.of(ReasonCode.NOTHING_LEFT, checked=TAP))
    new = new_proposal(
        rule, policy, draft, proposal.fact_key, event=recalled.event, event_id=recalled.stored.id, now=at
    )
    # The id is the one it has: a fact key that a migration has hashed would give another.
    new = replace(new, id=proposal.id, calls=_in_order(proposal.calls, new.calls))
    return await _compared(services.polar, proposal, new)


def no_longer(found: Evaluated, checked: str) -> NoLonger:
    """The rule's precondition is not true any more."""
    return NoLonger(Reason.of(ReasonCode.NO_LONGER_APPLIES, checked=checked, condition=found.untrue))


def gone(error: NotFound, checked: str, *, partly: bool = False) -> NoLonger:
    """Polar no longer has what it is about. `partly` as in `reason_of`."""
    return NoLonger(Reason.of(ReasonCode.GONE_AT_POLAR, reason_of(error, partly=partly), checked=checked))


def _in_order(shown: Sequence[PlannedCall], now: tuple[PlannedCall, ...]) -> tuple[PlannedCall, ...]:
    """The calls in the order of the card when they are the same ones: Polar lists in any order. Our own mark
    asks for nothing.
    """
    asked = [unmarked(Call.of(call)) for call in shown]
    same = len(asked) == len(now) and all(unmarked(Call.of(call)) in asked for call in now)
    return tuple(map(PlannedCall.of, shown)) if same else now


async def _compared(polar: PolarClient, proposal: Proposal, new: NewProposal) -> Found:
    """The new question with its facts, of which only what money comes to may have changed; None: as shown."""
    calls = [Call.of(call) for call in new.calls]
    money = await read_money(Reads(polar, within=_WITHIN), calls)
    if money.amounts:
        amount, currency = money_of(calls, {"currency": new.currency}, money.amounts)
        new = replace(new, amount=amount, currency=currency)
    new = with_hash(replace(new, facts=with_money(proposal.facts, money.facts)))
    shown = proposal.content_hash or with_hash(proposal).content_hash
    return None if new.content_hash == shown else new


async def look_again(polar: PolarClient, calls: Sequence[PlannedCall]) -> None:
    """Read the object that each call's path names, where one read shows it. Raises PolarError: NotFound, …

    A list proves nothing by being empty, so it is not asked; nor is a read that our token may not make.
    """
    for call in calls:
        read = operations()[call.operation].verify_call(Call.of(call)) if call.path else None
        if read is None or not read.path:
            continue
        try:
            await polar.read(read)
        except MissingScope as error:
            log.info("cannot look before %s: %s", call.operation, error.plain)


# --- The differences, field by field, in plain words ------------------------------------------------------


def changes(before: Proposal, now: NewProposal) -> tuple[Change, ...]:
    """Every difference a person sees between the card before and now; never empty for another digest."""
    found = [
        *_differing("Question", [before.title], [now.title]),
        *_fact_changes(dict(before.facts), dict(now.facts)),
        *_differing("Reason", before.reasons, now.reasons),
        *_call_changes(before.calls, now.calls, now.currency or before.currency),
    ]
    return tuple(found) or (("Calls", "in another order", "as listed now"),)


def _differing(label: str, before: Sequence[str], now: Sequence[str]) -> Iterable[Change]:
    gone = [text for text in before if text not in now]
    new = [text for text in now if text not in before]
    for old, fresh in zip_longest(gone, new, fillvalue=NOTHING):
        yield label, old[:_LONGEST], fresh[:_LONGEST]


def _fact_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[Change]:
    for label in dict.fromkeys([*before, *now]):
        old, fresh = before.get(label, NOTHING), now.get(label, NOTHING)
        if old != fresh:
            yield label, old, fresh


def _call_changes(
    before: Sequence[PlannedCall], now: Sequence[PlannedCall], currency: str | None
) -> Iterable[Change]:
    if len(before) != len(now) or [call.operation for call in before] != [call.operation for call in now]:
        yield "Does", _does(before) or NOTHING, _does(now) or NOTHING
        return
    pairs = list(zip(before, now, strict=True))
    if moved := sum((old.path, old.query) != (fresh.path, fresh.query) for old, fresh in pairs):
        yield "Objects", f"{len(before)} as shown", f"{moved} of them another"
    for old, fresh in pairs:
        yield from _values(old.body or {}, fresh.body or {}, currency)


def _values(before: Mapping[str, Any], now: Mapping[str, Any], currency: str | None) -> Iterable[Change]:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            label = name.replace("_", " ").capitalize()
            yield label, _shown(name, before.get(name), currency), _shown(name, now.get(name), currency)


def _shown(name: str, value: Any, currency: str | None) -> str:
    if value is None:
        return NOTHING
    value = redacted(value, f"body.{name}")
    if "amount" in name and isinstance(value, int) and currency:
        return format_money(value, currency)
    return str(value)[:_LONGEST]


def _does(calls: Sequence[PlannedCall]) -> str:
    """The titles of the calls: "Disable a license key × 2"."""
    titles = [operations()[call.operation].describe(Call.of(call)).title for call in calls]
    return "; ".join(
        title if (many := titles.count(title)) == 1 else f"{title} × {many}"
        for title in dict.fromkeys(titles)
    )
