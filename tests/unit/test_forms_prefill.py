"""A call put back into its form: the form then means exactly that call, or says that it cannot."""

import pytest

from bot.demo.blockkit import lint_view
from bot.forms.drafts import FormDraft
from bot.forms.fields import all_leaves
from bot.forms.modal import page_view
from bot.forms.prefill import ids_in, prefill
from bot.forms.values import compose
from polar.catalog import Call, Operation, operations
from polar.redaction import HOST_ONLY, is_secret
from tests.fixtures.forms import ANY_ID
from tests.unit.test_forms_all import CASES, NOW, composed


@pytest.mark.parametrize(("operation", "way", "more"), CASES)
def test_every_form_can_be_filled_in_with_the_call_it_made(operation: Operation, way: int, more: str) -> None:
    made, call = composed(operation, way, more)
    filled = prefill(call, "eur", {ANY_ID: "Jane Doe"})
    if any(is_secret(leaf.name) or leaf.path in HOST_ONLY for leaf in all_leaves(made.form())):
        assert filled is None  # a secret is never put back into a form
        return
    assert filled is not None
    draft = _draft(call, filled)
    again = compose(draft.form(), draft.answers, "eur")
    assert again.errors == {}
    assert (again.call.path, again.call.query, again.call.body or None) == (
        call.path, call.query, call.body or None,
    )  # fmt: skip


@pytest.mark.parametrize(("operation", "way", "more"), CASES)
def test_slack_takes_every_page_of_a_form_that_is_filled_in(
    operation: Operation, way: int, more: str
) -> None:
    _, call = composed(operation, way, more)
    filled = prefill(call, "eur", {})
    if filled is None:
        return
    draft = _draft(call, filled)
    _, found = draft.page_items()
    for draft.page in range(len(found)):
        view = page_view(draft)
        assert lint_view(view) == []


def test_the_objects_a_call_names_are_known_by_their_source() -> None:
    call = Call("refunds:create", {}, {}, {"order_id": ANY_ID, "reason": "other", "amount": 900})
    assert ("orders", ANY_ID) in ids_in(call)


def _draft(call: Call, filled) -> FormDraft:
    draft = FormDraft("p1:1:U1", "U1", NOW)
    draft.start(operations()[call.operation])
    draft.picks, draft.added, draft.answers = filled.picks, filled.added, dict(filled.answers)
    draft.currency = (ANY_ID, "eur")
    return draft
