"""The card of a bundle and its review: within Slack's limits, whatever customers are called, in every mixture."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.demo.blockkit import lint_message, lint_view
from bot.ui.bundle import (
    A_PAGE,
    TICKED,
    Review,
    bundle_card,
    bundle_line,
    counted,
    loaded,
    pages,
    progress,
    review_view,
    stamp,
    sums,
)
from bot.ui.elements import Message, notice
from polar.catalog import operations
from store.models import Proposal, ProposalCall, ProposalState
from store.models.details import Bundle

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSTILE = (
    "<!channel> <https://evil.example|Approve>",
    "*bold* `code` ~x~ <@U0000000001> :tada:",
    "\u202egnp.drac\u202c\u200b \0",
    "Ω" * 3_000,
    "👩‍👩‍👧‍👦" * 200,
    "",
)
S = ProposalState


def make(number: int = 1, **fields: Any) -> Proposal:
    defaults: dict[str, Any] = {
        "id": f"p{number:012}",
        "fact_key": f"f{number}",
        "event_id": f"e{number}",
        "rule": "generate-invoice",
        "rule_version": "v1",
        "subject": None,
        "title": f"Generate the invoice for €29.00 from Ada {number}?",
        "reasons": (),
        "facts": (),
        "risk": "R1",
        "always_asks": None,
        "created_at": NOW,
        "state": S.PENDING,
        "row_version": 1,
        "status_reason": None,
        "attempts": 0,
        "verify_attempts": 0,
        "decided_by": None,
        "decided_at": None,
        "channel": None,
        "card_ts": None,
        "rendered_version": 1,
        "amount": 2_900,
        "currency": "eur",
        "customer": f"ada{number}@example.com",
        "first_shown_at": NOW,
        "calls": (ProposalCall("orders:generate_invoice", {"id": "o"}),),
    }
    return Proposal(**(defaults | fields))


def bundle(*members: Proposal, one_by_one: bool = False) -> Bundle:
    return Bundle("b0123456789ab", "x", NOW, None, 3, "C1", None, None, None, members, one_by_one)


def decided(number: int, state: S, by: str = "U1") -> Proposal:
    return make(number, state=state, decided_by=by, decided_at=NOW)


def wire(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"text": message.text, "blocks": list(message.blocks)}
    return made | ({"metadata": message.metadata} if message.metadata else {})


def buttons(message: Message) -> list[str]:
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return [element["text"]["text"] for row in rows for element in row if element["type"] == "button"]


def test_the_question_is_said_in_one_line_with_the_sum() -> None:
    message = bundle_card(bundle(*(make(n) for n in range(12))), deciders="Ada may decide", now=NOW)
    assert message.text == "12 invoices to generate, €348.00 in all?"
    assert buttons(message) == ["Approve all", "Decline all", "Review"]
    assert message.metadata is not None
    assert message.metadata["event_payload"] == {"bundle_id": "b0123456789ab"}


def test_it_says_how_far_it_got_and_who_decided() -> None:
    members = [*(decided(n, S.SUCCEEDED) for n in range(8)), decided(8, S.FAILED, "U2")]
    members += [make(n) for n in range(9, 12)]
    message = bundle_card(bundle(*members), deciders="Ada may decide", now=NOW)
    assert message.text == "12 invoices to generate, €348.00 in all: 8 done, 1 failed, 3 waiting"
    assert buttons(message) == ["Approve all", "Decline all", "Review"]


def test_what_is_held_can_be_undone_with_at_most_three_buttons() -> None:
    held = replace(decided(1, S.APPROVED), cancellable_until=NOW + timedelta(seconds=9))
    some = bundle_card(bundle(held, make(2)), deciders="", now=NOW)
    assert buttons(some) == ["Approve all", "Review", "Undo"]
    assert buttons(bundle_card(bundle(held), deciders="", now=NOW)) == ["Review", "Undo"]
    assert buttons(bundle_card(bundle(held), deciders="", now=NOW + timedelta(seconds=9))) == ["Review"]


def test_what_is_gone_through_one_by_one_has_no_approve_all() -> None:
    message = bundle_card(bundle(make(), one_by_one=True), deciders="", now=NOW)
    assert buttons(message) == ["Decline all", "Review"]


def test_nothing_can_be_decided_while_all_of_it_is_being_decided() -> None:
    deciding = [make(n, approval_checking_by="U1") for n in range(3)]
    message = bundle_card(bundle(*deciding), deciders="", now=NOW)
    assert buttons(message) == ["Review"]
    assert message.text.endswith(": 3 being decided")


def test_a_button_says_when_its_card_was_drawn() -> None:
    (row,) = [
        block
        for block in bundle_card(bundle(make()), deciders="", now=NOW).blocks
        if block["type"] == "actions"
    ]
    assert {each["value"] for each in row["elements"]} == {f"b0123456789ab:{stamp(NOW)}"}


def test_sums_are_kept_by_currency() -> None:
    mixed = [make(1), make(2, currency="jpy", amount=500), make(3, amount=None)]
    assert sums(mixed) == "€29.00 and ¥500"
    assert sums([make(amount=None)]) is None


def test_the_thread_gets_one_line_once_nothing_is_under_way() -> None:
    done = decided(1, S.SUCCEEDED)
    for state in (S.PENDING, S.APPROVED, S.EXECUTING, S.UNKNOWN):
        assert bundle_line(bundle(done, make(2, state=state))) is None
    line = bundle_line(bundle(done, decided(2, S.FAILED)))
    assert line is not None
    assert line.text == "2 invoices to generate: 1 done, 1 failed."


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("orders:generate_invoice", "3 invoices to generate"),
        ("refunds:create", "3 orders to refund"),
        ("customers:delete", "3 × Delete a customer and end all subscriptions"),
        ("customer-seats:revoke_seat", "3 × Take a seat back"),
    ],
)
def test_kinds_are_counted_in_words(operation: str, said: str) -> None:
    assert counted([make(n, calls=(ProposalCall(operation),)) for n in range(3)]) == said


def test_every_operation_can_be_counted() -> None:
    for name in operations():
        assert counted([make(1, calls=(ProposalCall(name),))]).startswith("1 ")


states = st.sampled_from(list(S))


@settings(max_examples=60, deadline=None)
@given(st.lists(states, min_size=1, max_size=100), st.sampled_from(HOSTILE), st.booleans())
def test_every_card_fits_and_no_name_becomes_markup(mixture: list[S], name: str, one_by_one: bool) -> None:
    members = [
        make(n, state=state, title=f"Invoice for {name}?", customer=name, decided_by="U1", decided_at=NOW)
        for n, state in enumerate(mixture)
    ]
    made = bundle_card(bundle(*members, one_by_one=one_by_one), deciders=f"{name} may decide", now=NOW)
    line = bundle_line(bundle(*members, one_by_one=one_by_one))
    for message in [made, *([line] if line else [])]:
        assert lint_message(wire(message)) == []
        assert "<!" not in message.text
        assert "<@" not in message.text
    assert len(buttons(made)) <= 3
    assert len({label[0] for label in buttons(made)}) == len(buttons(made))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 100), st.integers(-3, 20), st.booleans(), st.sampled_from(HOSTILE))
def test_every_page_of_a_review_fits(many: int, page: int, ticked: bool, name: str) -> None:
    waiting = [make(n, title=f"Invoice {n} for {name}?", customer=name) for n in range(many)]
    flipped = frozenset(each.id for each in waiting)
    view = review_view(Review("b0123456789ab", stamp(NOW), ticked, page, flipped=flipped), waiting)
    assert lint_view(view) == []
    assert loaded(view["private_metadata"]).flipped == flipped
    assert lint_view(notice("Review", *(name or "–" for _ in range(3)))) == []


@given(st.lists(st.sets(st.integers(0, 99)), min_size=10, max_size=10), st.booleans())
def test_what_was_ticked_on_each_page_is_what_is_approved(choices: list[set[int]], ticked: bool) -> None:
    waiting = [make(n) for n in range(100)]
    review, wanted = Review("b", 1, ticked), set()
    for page, chosen in zip(range(pages(100)), cycle(choices)):
        shown = [each.id for each in waiting[page * A_PAGE : (page + 1) * A_PAGE]]
        here = [each.id for n, each in enumerate(waiting) if n in chosen and each.id in shown]
        review = loaded(review.with_page(shown, here).dumped())
        wanted |= set(here)
    assert {each.id for each in waiting if review.approves(each.id)} == wanted


def test_a_page_begins_as_it_was_left() -> None:
    waiting = [make(n) for n in range(15)]
    left = Review("b", 1, ticked=True).with_page([each.id for each in waiting[:10]], [waiting[3].id])
    (box,) = [block["element"] for block in review_view(left, waiting)["blocks"] if block["type"] == "input"]
    assert box["action_id"] == TICKED
    assert [option["value"] for option in box["initial_options"]] == [waiting[3].id]


@pytest.mark.parametrize("metadata", ["", "{}", "[1]", '["b",1,true,0,0]', '["b","x",true,0,0,[]]'])
def test_a_modal_we_did_not_write_is_refused(metadata: str) -> None:
    with pytest.raises(ValueError, match="not of this version"):
        loaded(metadata)


def test_progress_counts_what_is_being_decided_apart() -> None:
    assert progress([make(1), make(2)]) is None
    assert progress([make(1), make(2, approval_checking_by="U1")]) == "1 waiting, 1 being decided"
