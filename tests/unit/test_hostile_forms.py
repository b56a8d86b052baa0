"""Forms opened with what customers typed, and what a search offers: Slack takes them and nothing is markup."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.demo.blockkit import lint_options, lint_view
from bot.forms import modal as forms
from bot.forms.drafts import FormDraft
from bot.forms.prefill import prefill
from bot.ui import elements
from polar.catalog import Call, Operation, operations
from tests.fixtures.card_strategies import NOW, PEOPLE, TEXT, assert_harmless
from tests.fixtures.forms import ANY_ID
from tests.unit.test_forms_all import CASES, composed

_SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _poisoned(value: Any, said: str) -> Any:
    """Every text that a person may have typed there is another one."""
    if isinstance(value, Mapping):
        return {key: _poisoned(each, said) for key, each in value.items()}
    if isinstance(value, list):
        return [_poisoned(each, said) for each in value]
    return said if value in ("Anything", "T-shirt size", "gold") else value


@pytest.mark.parametrize(("operation", "way", "more"), [case for case in CASES if case.values[2] == "all"])
@settings(max_examples=5, deadline=None, suppress_health_check=_SLOW_TO_DRAW)
@given(said=TEXT, name=TEXT)
def test_a_form_opened_with_what_customers_typed_is_what_slack_takes(
    operation: Operation, way: int, more: str, said: str, name: str
) -> None:
    call = composed(operation, way, more)[1]
    asked = Call(call.operation, call.path, call.query, _poisoned(call.body, said))
    filled = prefill(asked, "eur", {ANY_ID: name})
    if filled is None:  # it cannot be said in the form, and the person is told so
        return
    draft = FormDraft("p1:1", PEOPLE[0], NOW)
    draft.start(operations()[asked.operation])
    draft.picks, draft.added, draft.answers = filled.picks, filled.added, dict(filled.answers)
    draft.currency = (ANY_ID, "eur")
    _, found = draft.page_items()
    for draft.page in range(len(found)):
        view = forms.page_view(draft, {"x": said})
        assert lint_view(view) == []
        assert_harmless([view])


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_what_a_search_offers_is_what_slack_takes(found: list[tuple[str, str]]) -> None:
    offered = elements.options([(said, value or "x") for said, value in found])

    assert not offered or lint_options({"options": offered}) == []
    assert_harmless(offered)
