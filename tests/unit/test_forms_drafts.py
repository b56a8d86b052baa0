"""Open forms: whose they are, how long they are kept, and that only what was asked is believed."""

from datetime import UTC, datetime, timedelta

from bot.forms.drafts import KEPT_FOR, MOST, MOST_ON_A_PAGE, Adder, Drafts, FormDraft, More, pages
from bot.forms.modal import chosen_operation
from polar.catalog import operations
from tests.fixtures.forms import ANY_ID, OPTION

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def begun(operation: str) -> FormDraft:
    draft = FormDraft("draft", "U1", NOW)
    draft.start(operations()[operation])
    return draft


def test_a_form_is_kept_for_an_hour_after_the_last_touch_and_no_longer() -> None:
    drafts = Drafts()
    draft = drafts.new("U1", NOW)
    assert drafts.get(draft.id, "U1", NOW + KEPT_FOR) is draft
    assert drafts.get(draft.id, "U1", NOW + 2 * KEPT_FOR) is draft
    assert drafts.get(draft.id, "U1", NOW + 3 * KEPT_FOR + timedelta(seconds=1)) is None


def test_nobody_gets_at_the_form_of_another() -> None:
    drafts = Drafts()
    draft = drafts.new("U1", NOW)
    assert drafts.get(draft.id, "U2", NOW) is None
    assert drafts.get("", "U1", NOW) is None


def test_the_oldest_forms_go_when_there_are_too_many() -> None:
    drafts = Drafts()
    first = drafts.new("U1", NOW)
    for _ in range(MOST):
        last = drafts.new("U1", NOW)
    assert drafts.get(first.id, "U1", NOW) is None
    assert drafts.get(last.id, "U1", NOW) is last


def test_only_what_the_page_asks_is_taken_over() -> None:
    draft = begun("customers:update")
    draft.absorb(
        {
            "path.id": {"propose.find": {"selected_option": OPTION}},
            "body.email": {"propose.value": {"value": "evil@example.com"}},
            "pick:body": {"propose.pick": {"selected_option": {"value": "7"}}},
            "more": {
                "propose.more": {"selected_options": [{"value": "body.name"}, {"value": "body.nonsense"}]}
            },
        }
    )
    assert draft.answers.keys() == {"path.id"}
    assert draft.picks == {}
    assert draft.added == {"body.name"}
    assert draft.known() == {"path.id": ANY_ID}


def test_another_way_forgets_what_was_added_to_the_first() -> None:
    draft = begun("subscriptions:update")
    way = {"propose.pick": {"selected_option": {"value": "0"}}}
    assert draft.absorb({"pick:body": way})
    draft.absorb(
        {"more": {"propose.more": {"selected_options": [{"value": "body.customer_cancellation_reason"}]}}}
    )
    assert draft.added
    assert not draft.absorb({"pick:body": way})
    assert draft.added
    assert draft.absorb({"pick:body": {"propose.pick": {"selected_option": {"value": "3"}}}})
    assert draft.added == frozenset()


def test_a_way_that_is_not_there_is_not_taken() -> None:
    draft = begun("subscriptions:update")
    for value in ("99", "-1", "x", ""):
        assert not draft.absorb({"pick:body": {"propose.pick": {"selected_option": {"value": value}}}})


def test_pages_hold_few_questions_and_the_first_one_offers_more() -> None:
    draft = begun("organizations:update")
    draft.added = frozenset(draft.form().more)
    found = pages(draft.form())
    assert len(found) > 2
    assert all(len(page) <= MOST_ON_A_PAGE + 1 for page in found)
    assert any(isinstance(item, More) for item in found[0])


def test_a_list_of_objects_can_be_made_longer_up_to_a_limit() -> None:
    draft = begun("events:ingest")
    [page] = pages(draft.form())
    assert [item.count for item in page if isinstance(item, Adder)] == [1]
    draft.picks["body.events#"] = "20"
    assert not [item for page in pages(draft.form()) for item in page if isinstance(item, Adder)]


def test_an_operation_is_read_from_the_first_page() -> None:
    chosen = {"propose.operation": {"propose.operation": {"selected_option": {"value": "refunds:create"}}}}
    assert chosen_operation(chosen) == "refunds:create"
    assert chosen_operation({}) == ""
