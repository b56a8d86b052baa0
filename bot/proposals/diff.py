"""Compare two revisions of a proposal, field by field, in plain words. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from polar.catalog import Call, operations
from polar.text.words import format_money
from store.models import NewProposal, PlannedCall, Proposal

Change = tuple[str, str, str]  # label, before, now
NOTHING = "–"
_LONGEST = 200


def changes(before: Proposal, now: NewProposal) -> tuple[Change, ...]:
    """Every difference a person sees between the card before and now; never empty for another digest."""
    found = [
        *_differing("Question", [before.title], [now.title]),
        *_facts(dict(before.facts), dict(now.facts)),
        *_differing("Reason", before.reasons, now.reasons),
        *_calls(before.calls, now.calls, now.currency or before.currency),
    ]
    return tuple(found) or (("Calls", "in another order", "as listed now"),)


def _differing(label: str, before: Sequence[str], now: Sequence[str]) -> Iterable[Change]:
    gone = [text for text in before if text not in now]
    new = [text for text in now if text not in before]
    for old, fresh in zip_longest(gone, new, fillvalue=NOTHING):
        yield label, old[:_LONGEST], fresh[:_LONGEST]


def _facts(before: Mapping[str, str], now: Mapping[str, str]) -> Iterable[Change]:
    for label in dict.fromkeys([*before, *now]):
        old, fresh = before.get(label, NOTHING), now.get(label, NOTHING)
        if old != fresh:
            yield label, old, fresh


def _calls(
    before: Sequence[PlannedCall], now: Sequence[PlannedCall], currency: str | None
) -> Iterable[Change]:
    if len(before) != len(now) or [call.operation for call in before] != [call.operation for call in now]:
        yield "Does", _does(before) or NOTHING, _does(now) or NOTHING
        return
    if moved := sum(_object(old) != _object(fresh) for old, fresh in zip(before, now, strict=True)):
        yield "Objects", f"{len(before)} as shown", f"{moved} of them another"
    for old, fresh in zip(before, now, strict=True):
        yield from _values(old.body or {}, fresh.body or {}, currency)


def _object(call: PlannedCall) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return call.path, call.query


def _values(before: Mapping[str, Any], now: Mapping[str, Any], currency: str | None) -> Iterable[Change]:
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            label = name.replace("_", " ").capitalize()
            yield label, _shown(name, before.get(name), currency), _shown(name, now.get(name), currency)


def _shown(name: str, value: Any, currency: str | None) -> str:
    if value is None:
        return NOTHING
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
