"""Edit: the form of a proposal's call with the proposed values in it, and the new revision."""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.approvals.actions import Actions
from bot.forms import names
from bot.forms.drafts import FormDraft
from bot.forms.fields import Form, Kind, Leaf, all_leaves
from bot.forms.lookup import Lookup
from bot.forms.prefill import Filled, ids_in, prefill, same_call
from bot.forms.values import card_title, currencies, shown
from bot.proposals.build import digest_of, money_of
from bot.proposals.reads import Money, with_money
from bot.results import ActionResult, ActionStatus
from bot.services import Services
from bot.slack.client import SlackUser
from bot.ui.elements import ButtonValue
from polar.catalog import Call, operations
from polar.was_done import mark_of, marked, unmarked
from store.models import PlannedCall, Proposal, ProposalKind
from store.models.reasons import AlwaysAsk
from store.proposals.actions import NewRevision

Change = tuple[str, str, str]  # label, before, now

log = logging.getLogger(__name__)

_BY_HAND = " (edited)"
# Fields that no title mentions: a change of them leaves the title true.
_BESIDE_THE_QUESTION = frozenset({"comment", "customer_cancellation_comment", "metadata", "reason"})
_NAMES_WITHIN = 2.0  # seconds for the names of the objects; without them the form shows ids


def is_edit(identity: str) -> bool:
    """Tell whether a form's private metadata names a proposal and its revision, not a draft of ours."""
    return ":" in identity and ButtonValue.parse(identity).id != ""


class EditForm:
    """Opens the form and stores its result; in between it is a form like any other."""

    def __init__(self, services: Services, lookup: Lookup) -> None:
        self._services = services
        self._lookup = lookup
        self._actions = Actions(services)

    async def begin(self, user: SlackUser, proposal: Proposal, now: datetime) -> FormDraft | ActionResult:
        """The form for editing a proposal, or why there is none."""
        if proposal.kind != ProposalKind.CALLS or len(proposal.calls) != 1:
            return ActionResult(ActionStatus.NOT_ONE_CALL, count=len(proposal.calls))
        call = _asked(proposal)
        currency = await self._currency(call, proposal)
        filled = prefill(call, currency, await self._labels(call))
        if filled is None:
            return ActionResult(ActionStatus.NOT_BY_FORM)
        draft = _draft(user, proposal, filled, currency, now)
        return draft if any(draft.page_items()[1]) else ActionResult(ActionStatus.NOTHING_TO_EDIT)

    async def again(
        self, user: SlackUser, identity: str, values: Mapping[str, Any], now: datetime
    ) -> FormDraft | ActionResult:
        """The form anew after a restart, when it has one page: what was put in comes with the view."""
        edited = ButtonValue.parse(identity)
        proposal = await self._actions.may_edit(user, edited.id, edited.revision)
        if isinstance(proposal, ActionResult):
            return proposal
        draft = await self.begin(user, proposal, now)
        if isinstance(draft, ActionResult):
            return draft
        _, found = draft.page_items()
        shown = {getattr(item, "path", "more") for item in found[0]}
        known = {name.removeprefix("pick:") for name in values} <= shown
        return draft if len(found) == 1 and known else ActionResult(ActionStatus.FORM_LOST)

    async def finish(
        self, draft: FormDraft, user: SlackUser, form: Form, call: Call, money: Money
    ) -> ActionResult:
        """Store the new revision. `money` is what the call comes to now."""
        assert draft.edits is not None  # noqa: S101 - the caller has looked
        seen = await self._actions.may_edit(user, draft.edits.id, draft.edits.revision)
        if isinstance(seen, ActionResult):
            return seen
        call = _marked(call, seen)
        if same_call(Call.of(seen.calls[0]), call):
            return ActionResult(ActionStatus.SAME)
        new = _revision(draft, replace(seen, facts=with_money(seen.facts, money.facts)), form, call, money)
        result = await self._actions.edit(user, seen, new)
        if result.done:
            draft.title = new.title
            log.info("%s edited %s: revision %s", user.id, seen.id, new.revision + 1)
        return result

    async def _currency(self, call: Call, proposal: Proposal) -> str | None:
        if call.operation not in names.OBJECT_CURRENCY:
            return proposal.currency
        named = _object_id(call)
        found = None if named is None else await self._lookup.currency(call.operation, named)
        return found or proposal.currency

    async def _labels(self, call: Call) -> dict[str, str]:
        """The names of the objects in the call, as far as Polar gives them in time."""

        async def one(source: str, identity: str) -> tuple[str, str]:
            offered = await self._lookup.find(source, identity, {})
            named = next((each for each in offered if each["value"] == identity), None)
            return identity, named["text"]["text"] if named else identity

        try:
            async with asyncio.timeout(_NAMES_WITHIN):
                return dict(await asyncio.gather(*(one(*each) for each in ids_in(call))))
        except TimeoutError:
            return {}


def _draft(
    user: SlackUser, proposal: Proposal, filled: Filled, currency: str | None, now: datetime
) -> FormDraft:
    call = Call.of(proposal.calls[0])
    # Two people may edit one proposal at once: the id is the proposal's and the revision's, the draft theirs.
    draft = FormDraft(str(ButtonValue(proposal.id, proposal.revision)), user.id, now)
    draft.start(operations()[call.operation])
    draft.picks, draft.added, draft.answers = dict(filled.picks), filled.added, dict(filled.answers)
    about = {f"body.{name}" for name in names.ABOUT}
    asked = {leaf.path for leaf in all_leaves(draft.form())} & filled.answers.keys()
    draft.kept = frozenset(path for path in asked if path in about or path.startswith("path."))
    named = _object_id(call)
    draft.currency = (named, currency) if named and currency else None
    draft.edits = proposal
    return draft


def _asked(proposal: Proposal) -> Call:
    """The call without our own mark, which nobody edits."""
    return unmarked(Call.of(proposal.calls[0]))


def _marked(call: Call, seen: Proposal) -> Call:
    """The call with the mark it had."""
    mark = mark_of(seen.calls[0].body or {})
    return call if mark is None else marked(call, mark)


def _object_id(call: Call) -> str | None:
    """The object whose currency the amount is in."""
    where = names.OBJECT_CURRENCY.get(call.operation, ("", ""))[1]
    place, _, name = where.partition(".")
    held = {"body": call.body or {}, "path": call.path}.get(place, {})
    return str(held[name]) if name in held else None


def _revision(draft: FormDraft, seen: Proposal, form: Form, call: Call, money: Money) -> NewRevision:
    currency = draft.known_currency or seen.currency
    effect = form.operation.describe(call)
    units = currencies(form, draft.answers, currency)
    title = _title(draft, seen, form, currency) or card_title(form, call, draft.answers, units)
    amount, of = money_of([call], {"currency": currency}, money.amounts)
    return NewRevision(
        revision=seen.revision,
        title=title,
        facts=seen.facts,
        calls=(PlannedCall.of(call),),
        changes=_changes(draft, seen, form, currency),
        content_hash=digest_of(title, seen.reasons, seen.facts, [call]),
        risk=effect.risk.value,
        always_asks=seen.always_asks or AlwaysAsk.EDITED,
        amount=amount,
        currency=of,
    )


def _compared(
    draft: FormDraft, seen: Proposal, form: Form, currency: str | None
) -> tuple[Filled | None, list[tuple[Leaf, str, str]]]:
    """The form of the call as it was, and each question with its answer before and now."""
    options: list[Mapping[str, Any]] = []  # the words for ids that the form already shows
    for state in draft.answers.values():
        options += filter(None, [state.get("selected_option"), *(state.get("selected_options") or ())])
    labels = {str(option["value"]): str(option["text"]["text"]) for option in options}
    before = prefill(_asked(seen), currency, labels)
    was = {} if before is None else before.answers
    units = currencies(form, draft.answers, currency)
    asked = [(leaf, units.get(leaf.path)) for leaf in all_leaves(form)]
    return before, [(leaf, shown(leaf, was, unit), shown(leaf, draft.answers, unit)) for leaf, unit in asked]


def _changes(draft: FormDraft, seen: Proposal, form: Form, currency: str | None) -> tuple[Change, ...]:
    """Each question whose answer has changed, as (label, before, now)."""
    before, asked = _compared(draft, seen, form, currency)
    was = Filled({}, frozenset(), {}) if before is None else before
    found: list[Change] = []
    if form.way is not None and was.picks.get("body", "").isdigit():
        now = "" if form.way.current is None else form.way.options[form.way.current]
        found.append((form.way.label, form.way.options[int(was.picks["body"])], now))
    found += [(leaf.label, old, new) for leaf, old, new in asked]
    gone = was.answers.keys() - {leaf.path for leaf, _, _ in asked}
    found += [(names.label(path.rpartition(".")[2]), "as it was", "") for path in was.answers if path in gone]
    changed = tuple(change for change in found if change[1] != change[2])
    return changed or (("Values", "as before", "changed"),)


def _title(draft: FormDraft, seen: Proposal, form: Form, currency: str | None) -> str:
    """The title as it was, with the present amounts; empty when it may no longer be true."""
    before, asked = _compared(draft, seen, form, currency)
    if before is None or before.picks != draft.picks:
        return ""
    title = seen.title
    for leaf, was, now in asked:
        if was == now or leaf.name in _BESIDE_THE_QUESTION:
            continue
        said = re.compile(rf"(?<![\w.,]){re.escape(was)}(?!\w|[.,]\d)")
        if leaf.kind != Kind.MONEY or not (was and now) or len(said.findall(title)) != 1:
            return ""
        title = said.sub(now.replace("\\", r"\\"), title)
    start, mark, end = title.replace(_BY_HAND, "").rpartition("?")
    return f"{start}{_BY_HAND}{mark}{end}" if mark else ""
