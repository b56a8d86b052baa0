"""Every form of every operation: Slack takes each page, and what is filled in is the request Polar asks for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.demo.blockkit import lint_options, lint_view
from bot.forms.drafts import FormDraft
from bot.forms.fields import Leaf, ways
from bot.forms.modal import opening, operation_options, page_view
from bot.forms.names import proposable, search
from bot.forms.values import card_facts, card_title, check, compose, currencies, split_facts
from polar.catalog import Call, Operation, check_call, operations
from tests.fixtures.forms import ANY_ID, SCHEMAS, faults, state

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CASES = [
    pytest.param(one, number, more, id=f"{one.id}-{way.name if way else 'only'}-{more}")
    for one in proposable()
    for number, way in enumerate(ways(one) or (None,))
    for more in ("none", "all")
]


def filled(operation: Operation, way: int, more: str) -> Iterator[tuple[FormDraft, dict[str, Any]]]:
    """Each page of the form as it is shown, then filled in as a person would."""
    draft = FormDraft("draft", "U1", NOW)
    draft.start(operation)
    draft.picks["body"], draft.currency = str(way), (ANY_ID, "eur")
    while True:
        view = page_view(draft)
        yield draft, view
        draft.absorb(state(view, more=more))
        _, found = draft.page_items()
        shown = [item for item in found[draft.page] if isinstance(item, Leaf)]
        assert check(shown, draft.answers, "eur") == {}
        if draft.page + 1 == len(found):
            return
        draft.page += 1


def composed(operation: Operation, way: int, more: str) -> tuple[FormDraft, Call]:
    """The call that a filled-in form means."""
    draft = next(reversed([draft for draft, _ in filled(operation, way, more)]))
    made = compose(draft.form(), draft.answers, "eur")
    assert made.errors == {}
    return draft, made.call


@pytest.mark.parametrize(("operation", "way", "more"), CASES)
def test_slack_takes_every_page_empty_and_filled_in(operation: Operation, way: int, more: str) -> None:
    for draft, view in filled(operation, way, more):
        assert lint_view(view) == []
        assert len(view["private_metadata"]) < 100
        assert len(view["blocks"]) <= 60
        draft.absorb(state(view, more=more))
        again = page_view(draft, {"body.x": "Something."})
        assert lint_view(again) == []


@pytest.mark.parametrize(("operation", "way", "more"), CASES)
def test_a_filled_in_form_is_exactly_the_request_polars_document_asks_for(
    operation: Operation, way: int, more: str
) -> None:
    draft, call = composed(operation, way, more)
    assert faults(call) == []
    assert check_call(operation, call.path, call.query, call.body) == []
    amounts = currencies(draft.form(), draft.answers, "eur")
    assert card_title(draft.form(), call, draft.answers, amounts).startswith(operation.describe(call).title)
    beside, bullets = split_facts(card_facts(draft.form(), draft.answers, amounts))
    assert len(beside) <= 4
    assert len(bullets) <= 4


@pytest.mark.parametrize(("operation", "way", "more"), CASES)
def test_what_undoes_it_is_a_request_polars_document_asks_for_too(
    operation: Operation, way: int, more: str
) -> None:
    _, call = composed(operation, way, more)
    answer = {
        "id": call.path.get("id", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
        "name": "Board",
        "metrics": ["orders"],
    }
    before = {"current_period_end": "2026-12-01T00:00:00Z", "status": "granted", "customer_cancellation_reason": None,
              "customer_cancellation_comment": None, "resumes_at": None, "name": "Board", "metrics": ["orders"]}  # fmt: skip
    undo = operation.undo_call(
        call,
        {**(call.body or {}), **before}
        if "name" not in (call.body or {})
        else {**before, **(call.body or {})},
        answer,
    )
    effect = operation.describe(call)
    if effect.inverse is None:
        assert undo is None
        return
    assert undo is not None
    assert check_call(undo.operation, undo.path, undo.query, undo.body) == []
    assert faults(undo) == []


def test_there_are_62_operations_to_propose_and_each_is_in_the_document() -> None:
    assert len(proposable()) == 62
    assert {one.id for one in proposable()} == set(SCHEMAS["operations"])
    assert all(operations()[one.id].refused is None for one in proposable())


def test_an_empty_search_shows_them_all_by_family_and_slack_takes_it() -> None:
    groups = operation_options(search(""))
    assert sum(len(group["options"]) for group in groups) == 62
    assert lint_options({"option_groups": groups}) == []
    assert lint_view(opening("draft", None, "")) == []
    assert lint_view(opening("draft", search("subscription"), "subscription")) == []


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("refund", "refunds:create"),
        ("REFUND order", "refunds:create"),
        ("refunds:create", "refunds:create"),
        ("/v1/disputes", "disputes:accept"),
        ("customer seat back", "customer-seats:revoke_seat"),
        ("invoice", "orders:generate_invoice"),
    ],
)
def test_words_of_the_title_the_id_or_the_path_find_an_operation(words: str, first: str) -> None:
    assert search(words)[0].id == first


def test_no_two_options_read_the_same_within_a_family() -> None:
    for group in operation_options(search("")):
        labels = [option["text"]["text"] for option in group["options"]]
        assert len(set(labels)) == len(labels), group["label"]
