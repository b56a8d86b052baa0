"""Propose by hand: open the form, follow what is chosen in it, and make a proposal of it."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bot.config.policy import ends
from bot.forms import names
from bot.forms.drafts import ADDED, Adder, Drafts, FormDraft, Item, More
from bot.forms.edit import EditForm, is_edit
from bot.forms.fields import Form, Leaf, all_leaves
from bot.forms.lookup import Lookup, subject_of
from bot.forms.modal import (
    ADD,
    BACK,
    FIND,
    OPERATION,
    PICK,
    VALUE,
    chosen_operation,
    opening,
    operation_options,
    page_view,
)
from bot.forms.names import proposable, search
from bot.forms.values import Composed, card_facts, card_title, check, compose, currencies, entry, split_facts
from bot.proposals.build import money_of, with_hash
from bot.proposals.reads import Money, Reads, read_money, with_money
from bot.results import LATE, ActionResult, Purpose
from bot.services import Queue, Services
from bot.slack.client import SlackError, SlackUser
from bot.ui import ephemeral
from bot.ui.elements import Text, notice
from polar.catalog import Call
from polar.errors import PolarError
from polar.was_done import marked
from store.engine.errors import StoreError
from store.models import NewProposal, PlannedCall, Proposal, proposal_id
from store.models.reasons import AlwaysAsk
from store.proposals.proposals import propose_by_hand

log = logging.getLogger(__name__)

Payload = Mapping[str, Any]
ViewAnswer = dict[str, Any]  # what an acknowledgement says of a modal

_PROPOSE, _EDIT = "Propose", "Edit"  # titles
_SUM_WITHIN = 1.0  # seconds for reading what a refund comes to


class Proposing:
    """The actions of a person in a form. Whoever may read may propose."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._drafts = Drafts()
        self._lookup = Lookup(services.polar)
        self._edit_form = EditForm(services, self._lookup)

    async def open(
        self, user: SlackUser, *, trigger_id: str, words: str, tell: Callable[[Text], Awaitable[None]]
    ) -> None:
        """Open the form, before anything slow: the trigger lives three seconds. `tell` is for failures."""
        draft = self._drafts.new(user.id, self._services.clock())
        found = search(words) if words else []
        if len(found) == 1:
            draft.start(found[0])
            view = page_view(draft)
        else:
            view = opening(draft.id, found or None, words)
        try:
            view_id = await self._services.slack.open_view(trigger_id, view)
        except SlackError as error:
            log.warning("the form of %s did not open: %s", user.id, error)
            await tell(ephemeral.form_not_opened(str(error)))
            return
        refused = await self._refusal(user)
        if refused is not None:
            await self._show(view_id, notice(_PROPOSE, refused))

    async def edit(self, user: SlackUser, view_id: str, proposal: Proposal) -> None:
        """Fill a modal that is open with the form of a proposal's call, the proposed values in it."""
        draft = await self._edit_form.begin(user, proposal, self._services.clock())
        if isinstance(draft, ActionResult):
            view = notice(_EDIT, ephemeral.action(draft).plain)
        else:
            self._drafts.keep(draft)
            view = page_view(draft)
        await self._show(view_id, view)

    async def clicked(self, user: SlackUser, view: Payload, action: Payload) -> None:
        """Something in a form was chosen or pressed that changes what it shows."""
        draft = await self._draft(user, view)
        if isinstance(draft, str):
            await self._show(str(view["id"]), _no_form(view, draft))
            return
        async with draft.lock:
            shown = await self._follow(draft, view, action)
            if shown is not None:
                await self._show(str(view["id"]), shown)

    async def suggest(self, user: SlackUser, payload: Payload) -> ViewAnswer:
        """The options for what somebody types into a select: `options` or `option_groups`."""
        view = payload.get("view") or {}
        draft = await self._draft(user, view)
        if isinstance(draft, str):
            return {"options": []}
        typed = str(payload.get("value") or "")
        if payload.get("action_id") == OPERATION:
            return {"option_groups": operation_options(search(typed))}
        if draft.operation is None:
            return {"options": []}
        draft.absorb(_values(view))
        sources = {one.path: one.source for one in all_leaves(draft.form())}
        source = sources.get(str(payload.get("block_id")))
        return {"options": await self._lookup.find(source, typed, draft.known()) if source else []}

    async def submit(
        self, user: SlackUser, view: Payload, stored: Callable[[], None] = lambda: None
    ) -> ViewAnswer:
        """Next or Propose was clicked: what the acknowledgement says. `stored`: a proposal is on disk.

        Errors stand under their fields. After the acknowledgement these are no longer shown: `LATE` is the
        form with the errors on it.
        """
        draft = await self._draft(user, view)
        if isinstance(draft, str):
            return _update(_no_form(view, draft))
        async with draft.lock:
            answer = await self._submit(draft, user, view, stored)
            if "errors" not in answer:
                return answer
            return answer | {LATE: _with_errors(draft, answer["errors"])}

    # --- Who, and which form --------------------------------------------------------------------------

    async def _refusal(self, user: SlackUser) -> str | None:
        refused = await self._services.authority.refusal_to_read(user.id, user.team_id, Purpose.PROPOSE)
        return None if refused is None else ephemeral.refused(refused).plain

    async def _draft(self, user: SlackUser, view: Payload) -> FormDraft | str:
        """The form this view shows, or in words why there is none for this person."""
        refused = await self._refusal(user)
        if refused is not None:
            return refused
        identity = str(view.get("private_metadata") or "")
        found = self._drafts.get(identity, user.id, self._services.clock())
        if found is None and is_edit(identity):
            again = await self._edit_form.again(user, identity, _values(view), self._services.clock())
            if isinstance(again, ActionResult):
                return ephemeral.action(again).plain
            self._drafts.keep(again)
            return again
        return ephemeral.FORM_LOST if found is None else found

    async def _show(self, view_id: str, view: Mapping[str, Any]) -> None:
        try:
            await self._services.slack.update_view(view_id, view)
        except SlackError as error:  # not_found: closed meanwhile, and nobody looks at it
            log.info("a form is not redrawn: %s", error)

    # --- Choices --------------------------------------------------------------------------------------

    async def _follow(self, draft: FormDraft, view: Payload, action: Payload) -> ViewAnswer | None:
        """The content of the form after a click; None when it stays as it is."""
        name = action.get("action_id")
        if draft.title:
            return _already(draft)
        if name == OPERATION:
            return self._begin(draft, str((entry(action) or {}).get("value", "")))
        if draft.operation is None:
            return None
        latest = {str(action.get("block_id")): {str(action.get("action_id")): action}}
        changed = draft.absorb({**_values(view), **latest})
        if name == BACK:
            draft.page = max(draft.page - 1, 0)
        elif name == ADD:
            _, found = draft.page_items()
            path = str(action.get("value"))
            lists = {item.path: item for item in found[draft.page] if isinstance(item, Adder)}
            draft.picks |= {f"{path}#": str(lists[path].count + 1)} if path in lists else {}
        elif name == FIND:
            await self._object_currency(draft)
        elif not changed and name not in (PICK, VALUE):
            return None
        return page_view(draft)

    def _begin(self, draft: FormDraft, identity: str) -> ViewAnswer | None:
        found = next((one for one in proposable() if one.id == identity), None)
        if found is None:
            return None
        draft.start(found)
        return page_view(draft)

    async def _object_currency(self, draft: FormDraft) -> str | None:
        """The currency of the object the amounts are in, asked of Polar once for each object."""
        assert draft.operation is not None  # noqa: S101 - callers have looked
        _, question = names.OBJECT_CURRENCY.get(draft.operation.id, ("", ""))
        chosen = draft.known().get(question) if question else None
        if chosen is None:
            return None
        if draft.currency is None or draft.currency[0] != chosen:
            found = await self._lookup.currency(draft.operation.id, chosen)
            draft.currency = None if found is None else (chosen, found)
        return draft.known_currency

    # --- Next and Propose -----------------------------------------------------------------------------

    async def _submit(
        self, draft: FormDraft, user: SlackUser, view: Payload, stored: Callable[[], None]
    ) -> ViewAnswer:
        if draft.title:
            return _update(_already(draft))
        values = _values(view)
        if draft.operation is None:
            begun = self._begin(draft, chosen_operation(values))
            return _errors({OPERATION: ephemeral.CHOOSE_ONE}) if begun is None else _update(begun)
        picks, added = dict(draft.picks), draft.added
        draft.absorb(values)
        form, found = draft.page_items()
        asks_more = draft.edits is not None and added != draft.added  # on the page that is being shown
        if picks != draft.picks or asks_more or not form.complete:
            return _update(page_view(draft))
        currency = await self._object_currency(draft)
        if errors := _wrong_here(found[draft.page], draft, currency):
            return _errors(errors)
        if draft.page + 1 < len(found):
            draft.page += 1
            return _update(page_view(draft))
        composed = compose(form, draft.answers, currency)
        if composed.errors:
            return self._send_back(draft, found, composed)
        if draft.edits is not None:
            money = await self._money(composed.call)
            edited = await self._edit_form.finish(draft, user, form, composed.call, money)
            return _update(notice(_EDIT, ephemeral.action(edited).plain))
        proposal = await self._proposal(draft, user, form, composed.call, currency)
        return await self._propose(draft, proposal, stored)

    def _send_back(self, draft: FormDraft, found: Sequence[Sequence[Item]], composed: Composed) -> ViewAnswer:
        """Errors under the inputs of this page; for those of another one, that page with what is wrong."""
        here = {item.path for item in found[draft.page] if isinstance(item, Leaf)}
        if under := {path: text for path, text in composed.errors.items() if path in here}:
            return _errors(under)
        for number, items in enumerate(found):
            wrong = any(isinstance(one, Leaf) and one.path in composed.errors for one in items)
            draft.page = number if wrong else draft.page
        return _update(_with_errors(draft, composed.errors))

    async def _propose(
        self, draft: FormDraft, proposal: NewProposal, stored: Callable[[], None]
    ) -> ViewAnswer:
        try:
            await self._services.store.do(propose_by_hand, proposal)
        except StoreError as error:
            log.error("a proposal by hand is not stored: %s", error)
            return _update(page_view(draft, {"": ephemeral.FORM_NOT_STORED}))
        draft.title = proposal.title
        self._services.notify(Queue.ANNOUNCE)
        operation = proposal.calls[0].operation
        log.info("%s proposes %s by hand as %s", proposal.proposer, operation, proposal.id)
        stored()
        return _update(notice(_PROPOSE, ephemeral.PROPOSED.format(title=proposal.title)))

    async def _proposal(
        self, draft: FormDraft, user: SlackUser, form: Form, call: Call, currency: str | None
    ) -> NewProposal:
        effect = form.operation.describe(call)
        amounts = currencies(form, draft.answers, currency)
        facts, rest = split_facts(card_facts(form, draft.answers, amounts))
        name = await self._services.authority.name(user.id)
        reason = " ".join([f"{name} proposes this.", *filter(None, [names.NOTES.get(call.operation)])])
        risk, now = effect.risk.value, self._services.clock()
        money = await self._money(call)
        amount, currency = money_of([call], {"currency": currency}, money.amounts)
        # Follows from the form: submitted twice, it is the same proposal.
        identity = proposal_id(f"manual|{draft.id}")
        proposal = NewProposal(
            id=identity,
            fact_key=f"manual|{draft.id}",
            event_id=None,
            rule=None,
            rule_version=None,
            subject=subject_of(form, call),
            title=card_title(form, call, draft.answers, amounts),
            reasons=(reason, *rest),
            facts=with_money(facts, money.facts),
            risk=risk,
            always_asks=AlwaysAsk.IRREVERSIBLE if risk == "R4" else AlwaysAsk.BY_HAND,
            calls=(PlannedCall.of(marked(call, identity)),),
            created_at=now,
            expires_at=ends(now, self._services.rules.policy.schedule.expires_after, None),
            proposer=user.id,
            amount=amount,
            currency=currency,
        )
        return with_hash(proposal)

    async def _money(self, call: Call) -> Money:
        """The sum of the call. When Polar cannot say it now, it is read again at the approval."""
        try:
            return await read_money(Reads(self._services.polar, within=_SUM_WITHIN), [call])
        except PolarError as error:
            log.info("what %s comes to cannot be read: %s", call.operation, error)
            return Money()


def _already(draft: FormDraft) -> ViewAnswer:
    if draft.edits is not None:
        return notice(_EDIT, ephemeral.ALREADY_EDITED.format(title=draft.title))
    return notice(_PROPOSE, ephemeral.ALREADY_PROPOSED.format(title=draft.title))


def _no_form(view: Payload, why: str) -> ViewAnswer:
    return notice(_EDIT if is_edit(str(view.get("private_metadata") or "")) else _PROPOSE, why)


def _update(view: Mapping[str, Any]) -> ViewAnswer:
    return {"response_action": "update", "view": dict(view)}


def _errors(found: Mapping[str, str]) -> ViewAnswer:
    return {"response_action": "errors", "errors": dict(found)}


def _with_errors(draft: FormDraft, errors: Mapping[str, str]) -> ViewAnswer:
    """The form with errors on top, each with the label of its field."""
    if draft.operation is None:
        return opening(draft.id, None, "")
    _, found = draft.page_items()
    labels = {one.path: one.label for items in found for one in items if isinstance(one, Leaf)}
    return page_view(draft, {path: f"{labels.get(path, 'Form')}: {text}" for path, text in errors.items()})


def _values(view: Payload) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (view.get("state") or {}).get("values") or {}
    return found


def _wrong_here(items: Sequence[Item], draft: FormDraft, currency: str | None) -> dict[str, str]:
    leaves = [item for item in items if isinstance(item, Leaf)]
    found = check(leaves, draft.answers, currency)
    if any(isinstance(item, More) and item.needed and not item.chosen for item in items):
        found[ADDED] = ephemeral.CHANGE_SOMETHING
    return found
