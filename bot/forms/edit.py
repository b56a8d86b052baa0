"""Edit: the form of a proposal's call with the proposed values in it, and the revision that comes of it."""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.approvals.actions import Acting
from bot.forms import names, wording
from bot.forms.drafts import Draft
from bot.forms.fields import Form, Kind, Pick, all_leaves, form_of
from bot.forms.lookup import Lookup
from bot.forms.names import OBJECT_CURRENCY
from bot.forms.prefill import Filled, ids_in, prefill, same_call
from bot.forms.values import currencies
from bot.proposals.fingerprint import digest_of, money_of
from bot.proposals.money import Fact, with_money
from bot.services import Services
from bot.slack.user import Person
from polar.catalog import Call, operations
from store.models import PlannedCall, Proposal, ProposalKind
from store.proposals.actions import NewRevision

Change = tuple[str, str, str]  # label, before, now

log = logging.getLogger(__name__)

_SEVERAL = (
    "It makes {count} calls, and only a proposal of one call can be edited: you could not see which of them "
    "you change. Nothing was changed. Decline it, and type /polar propose for what should be done instead."
)
_NOT_BY_FORM = (
    "Its values do not fit the form, or one of them is secret, so it cannot be edited here. Nothing was "
    "changed. Decline it, and type /polar propose for what should be done instead."
)
_RESTARTED = (
    "The program was restarted while this form was open, and what you had put in is not known any more. "
    "Nothing was changed. Close this and choose Edit again."
)
_NOTHING_OPEN = (
    "It only names what it is about, so there is nothing in it to change. Nothing was changed. Decline it, "
    "and type /polar propose for what should be done instead."
)
_SAME = "You changed nothing, so it stays as it is."
_EDITED = "Saved. Its card now asks “{title}”, shows what changed, and needs a decision of its own."
_BY_HAND = " (edited)"
# What no title speaks of: changed, it asks the same.
_BESIDE_THE_QUESTION = frozenset({"comment", "customer_cancellation_comment", "metadata", "reason"})
_IDENTITY = re.compile(r"(?P<id>[\w-]+):(?P<revision>\d{1,6})")
_NAMES_WITHIN = 2.0  # seconds for what the objects are called; their ids will do


def is_edit(identity: str) -> bool:
    """Whether a form's private metadata names a proposal and its revision."""
    return _IDENTITY.fullmatch(identity) is not None


class Editing:
    """Opens and closes the form; between the two it is a form like any other."""

    def __init__(self, services: Services, lookup: Lookup) -> None:
        self._services = services
        self._lookup = lookup
        self._acting = Acting(services)

    async def begin(self, person: Person, proposal: Proposal, now: datetime) -> Draft | str:
        """The form for editing a proposal, or in words why there is none."""
        if proposal.kind != ProposalKind.CALLS or len(proposal.calls) != 1:
            return _SEVERAL.format(count=len(proposal.calls) or "no")
        call = _asked(proposal)
        currency = await self._currency(call, proposal)
        filled = prefill(call, currency, await self._labels(call))
        if filled is None:
            return _NOT_BY_FORM
        draft = _draft(person, proposal, filled, currency, now)
        return draft if any(draft.page_items()[1]) else _NOTHING_OPEN

    async def again(
        self, person: Person, identity: str, values: Mapping[str, Any], now: datetime
    ) -> tuple[Draft | None, str]:
        """The form anew after a restart, when it has one page: what was put in comes with the view."""
        match = _IDENTITY.fullmatch(identity)
        assert match is not None  # noqa: S101 - the caller has looked
        proposal, refused = await self._acting.may_edit(person, match["id"], int(match["revision"]))
        if proposal is None:
            return None, refused
        draft = await self.begin(person, proposal, now)
        if isinstance(draft, str):
            return None, draft
        _, found = draft.page_items()
        shown = {getattr(item, "path", "more") for item in found[0]}
        known = {name.removeprefix("pick:") for name in values} <= shown
        return (draft, "") if len(found) == 1 and known else (None, _RESTARTED)

    async def finish(
        self, draft: Draft, person: Person, form: Form, call: Call, money: Sequence[Fact]
    ) -> str:
        """Store the new revision; what the person is told. `money` is what the call comes to now."""
        assert draft.edits is not None  # noqa: S101 - the caller has looked
        seen, refused = await self._acting.may_edit(person, draft.edits.id, draft.edits.revision)
        if seen is None:
            return refused
        call = _marked(call, seen)
        if same_call(Call.of(seen.calls[0]), call):
            return _SAME
        new = _revision(draft, _with_facts(seen, money), form, call)
        acted = await self._acting.edit(person, seen, new)
        if not acted.done:
            return acted.said
        draft.title = new.title
        log.info("%s edited %s: revision %s", person.user_id, seen.id, new.revision + 1)
        return _EDITED.format(title=new.title)

    async def _currency(self, call: Call, proposal: Proposal) -> str | None:
        if call.operation not in OBJECT_CURRENCY:
            return proposal.currency
        named = _object_id(call)
        found = None if named is None else await self._lookup.currency(call.operation, named)
        return found or proposal.currency

    async def _labels(self, call: Call) -> dict[str, str]:
        """What the objects it names are called, as far as Polar says so in time."""

        async def one(source: str, identity: str) -> tuple[str, str]:
            offered = await self._lookup.find(source, identity, {})
            named = next((each for each in offered if each["value"] == identity), None)
            return identity, named["text"]["text"] if named else identity

        try:
            async with asyncio.timeout(_NAMES_WITHIN):
                return dict(await asyncio.gather(*(one(*each) for each in ids_in(call))))
        except TimeoutError:
            return {}


def _draft(person: Person, proposal: Proposal, filled: Filled, currency: str | None, now: datetime) -> Draft:
    call = Call.of(proposal.calls[0])
    # Two people may edit one proposal at once: the id is the proposal's and the revision's, the draft theirs.
    draft = Draft(f"{proposal.id}:{proposal.revision}", person.user_id, now)
    draft.start(operations()[call.operation])
    draft.picks, draft.added, draft.answers = dict(filled.picks), filled.added, dict(filled.answers)
    about = {f"body.{name}" for name in names.ABOUT}
    named_by = all_leaves(form_of(operations()[call.operation], filled.picks, filled.added))
    draft.kept = frozenset(
        leaf.path
        for leaf in named_by
        if leaf.path in filled.answers and (leaf.path in about or leaf.path.startswith("path."))
    )
    named = _object_id(call)
    draft.currency = (named, currency) if named and currency else None
    draft.edits = proposal
    return draft


def _asked(proposal: Proposal) -> Call:
    """The call without our own mark, which nobody edits."""
    call = Call.of(proposal.calls[0])
    body = dict(call.body or {})
    if not _mark(body):
        return call
    rest = {name: value for name, value in body.pop("metadata").items() if name != names.MARK}
    return replace(call, body=body | ({"metadata": rest} if rest else {}))


def _marked(call: Call, seen: Proposal) -> Call:
    """The call with the mark it had."""
    mark = _mark(seen.calls[0].body or {})
    if not mark:
        return call
    body = dict(call.body or {})
    return replace(call, body=body | {"metadata": {**(body.get("metadata") or {}), **mark}})


def _mark(body: Mapping[str, Any]) -> dict[str, Any]:
    found = body.get("metadata")
    return {names.MARK: found[names.MARK]} if isinstance(found, Mapping) and names.MARK in found else {}


def _object_id(call: Call) -> str | None:
    """The object whose currency the amount is in."""
    where = OBJECT_CURRENCY.get(call.operation, ("", ""))[1]
    place, _, name = where.partition(".")
    held = {"body": call.body or {}, "path": call.path}.get(place, {})
    return str(held[name]) if name in held else None


def _with_facts(seen: Proposal, money: Sequence[Fact]) -> Proposal:
    """The proposal with what the money comes to now."""
    return replace(seen, facts=with_money(seen.facts, money))


def _revision(draft: Draft, seen: Proposal, form: Form, call: Call) -> NewRevision:
    currency = None if draft.currency is None else draft.currency[1]
    currency = currency or seen.currency
    effect = form.operation.describe(call)
    title = _title(draft, seen, form, currency) or wording.title(
        form, call, draft.answers, currencies(form, draft.answers, currency)
    )
    amount, of = money_of([call], {"currency": currency})
    return NewRevision(
        revision=seen.revision,
        title=title,
        facts=seen.facts,
        calls=(PlannedCall.of(call),),
        changes=_changes(draft, seen, form, currency),
        content_hash=digest_of(title, seen.reasons, seen.facts, [call]),
        risk=effect.risk.value,
        always_asks=seen.always_asks or "a person edited it",
        amount=amount,
        currency=of,
    )


def _changes(draft: Draft, seen: Proposal, form: Form, currency: str | None) -> tuple[Change, ...]:
    """Each question whose answer is another now, as (label, before, now)."""
    before = prefill(_asked(seen), currency, _labels_of(draft))
    was = Filled({}, frozenset(), {}) if before is None else before
    units = currencies(form, draft.answers, currency)
    found: list[Change] = []
    if form.way is not None and was.picks.get("body", "").isdigit():
        found.append((form.way.label, form.way.options[int(was.picks["body"])], _current(form.way)))
    asked = all_leaves(form)
    for leaf in asked:
        old, new = (wording.shown(leaf, held, units.get(leaf.path)) for held in (was.answers, draft.answers))
        found.append((leaf.label, old, new))
    paths = {leaf.path for leaf in asked}
    found += [
        (names.label(path.rpartition(".")[2]), "as it was", "") for path in was.answers if path not in paths
    ]
    return tuple(change for change in found if change[1] != change[2]) or (
        ("Values", "as before", "changed"),
    )


def _title(draft: Draft, seen: Proposal, form: Form, currency: str | None) -> str:
    """The question as it was put, with the amounts of now; empty when it could say something else by now."""
    before = prefill(_asked(seen), currency, _labels_of(draft))
    if before is None or before.picks != draft.picks:
        return ""
    units, title = currencies(form, draft.answers, currency), seen.title
    for leaf in all_leaves(form):
        was, now = (
            wording.shown(leaf, held, units.get(leaf.path)) for held in (before.answers, draft.answers)
        )
        if was == now or leaf.name in _BESIDE_THE_QUESTION:
            continue
        said = re.compile(rf"(?<![\w.,]){re.escape(was)}(?!\w|[.,]\d)")
        if leaf.kind != Kind.MONEY or not (was and now) or len(said.findall(title)) != 1:
            return ""
        title = said.sub(now.replace("\\", r"\\"), title)
    start, mark, end = title.replace(_BY_HAND, "").rpartition("?")
    return f"{start}{_BY_HAND}{mark}{end}" if mark else ""


def _current(way: Pick) -> str:
    return "" if way.current is None else way.options[way.current]


def _labels_of(draft: Draft) -> dict[str, str]:
    """The words for ids that the form already shows."""
    options = [
        option
        for state in draft.answers.values()
        for option in [state.get("selected_option"), *(state.get("selected_options") or ())]
        if option
    ]
    return {str(option["value"]): str(option["text"]["text"]) for option in options}
