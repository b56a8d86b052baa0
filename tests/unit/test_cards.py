"""What a card says and offers in each of its states; what holds for any card is in test_cards_property."""

import json
import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.results import (
    ActionStatus,
    ApproverNames,
    DecisionResult,
    DecisionStatus,
    FollowupStatus,
    Purpose,
    Refusal,
    RefusalCode,
)
from bot.ui import ephemeral
from bot.ui.card import card, thread_line
from bot.ui.elements import Message, escape
from bot.ui.states import CardView
from polar.text.words import clean
from store.models import CallState, Mode, ProposalState, Transition
from store.models.reasons import Reason, ReasonCode
from tests.fixtures.card_states import STATES, asked, decided, message_of
from tests.fixtures.card_strategies import NOW, a_proposal, assert_harmless, elements

VIEW = CardView(deciders="Ada may decide")
PENDING = [name for name, (proposal, _) in STATES.items() if proposal.state == ProposalState.PENDING]


def labels(message: Message) -> list[str]:
    """The buttons, in order."""
    found = elements(list(message.blocks))
    return [one["text"]["text"] for one in found if one.get("type") == "button"]


def options(message: Message) -> list[str]:
    """What the menu holds."""
    found = [one for one in elements(list(message.blocks)) if one.get("type") == "overflow"]
    return [option["text"]["text"] for menu in found for option in menu["options"]]


def said(message: Message) -> str:
    """All text of a card, people and times as placeholders."""
    shown = {"user": lambda one: f"@{one['user_id']}", "date": lambda _: "(then)"}
    texts = [
        shown[one["type"]](one) if one["type"] in shown else one["text"]
        for one in elements(list(message.blocks))
        if one.get("type") in ("text", "plain_text", *shown)
    ]
    return "".join(texts)


@pytest.mark.parametrize(
    ("name", "buttons"),
    [
        ("pending", ["Approve", "Decline"]),
        ("one of two", ["Approve", "Decline"]),
        ("edited", ["Approve", "Decline"]),
        ("on hold", ["Decline"]),
        ("being decided", []),
        ("approved, held", ["Undo"]),
        ("approved, later", ["Undo"]),
        ("running", []),
        ("done", []),
        ("done, undo", ["Undo"]),
        ("being undone", []),
        ("undone", []),
        ("refused", ["Retry"]),
        ("no answer", ["Check again", "Was done", "Not done"]),
        ("declined", []),
        ("expired", []),
        ("withdrawn", []),
        ("undone in time", []),
        ("failed on its own", ["Retry"]),
        ("graduation", ["Turn on", "Keep asking", "Why?"]),
        ("turned on", []),
    ],
)
def test_each_state_offers_what_can_be_done_in_it(name, buttons):
    assert buttons == labels(message_of(name))


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("pending", "", "Decide before (then): $34.51 at stake, then it expires and nothing is done."),
        ("pending", "", "always asks: high risk, and not opted in"),
        ("pending", "", "Refunded today  $120.00 before tax; at most $200.00 a day without asking"),
        ("pending", "", "Left afterwards  nothing"),
        ("done, undo", "Done: ", "score 91.8 · 50 yes 0 no · 35 more to 95"),
        ("one of two", "One more yes: ", "@U0BEN said yes. It takes two: one more person has to approve."),
        (
            "edited",
            "Changed: ",
            "Edited by @U0ANNA, so it needs a decision of its own. Changed:\nAmount before tax  $34.51 → $20.00",
        ),
        (
            "changed",
            "Changed: ",
            "Changed at Polar since this was proposed:\nFees  $1.50, not returned by Polar → $1.78",
        ),
        ("snoozed", "", "Snoozed until (then) by @U0BEN. It can still be decided."),
        ("assigned", "", "Assigned to @U0BEN."),
        ("on hold", "On hold: ", "On hold by @U0BEN. Nobody can approve it until"),
        ("always asks", "", "always asks: irreversible"),
        (
            "being decided",
            "Deciding: ",
            "Deciding… @U0ANNA said yes; Polar is asked whether anything has changed.",
        ),
        (
            "approved, held",
            "Approved: ",
            "Approved by @U0ANNA, (then).\nRuns (then). Until then Undo takes it back.",
        ),
        (
            "approved, later",
            "Approved: ",
            "Not done yet: Polar could not be reached. Nothing was done. Trying again.",
        ),
        ("running", "Running: ", "Running now. Approved by @U0ANNA, (then)."),
        ("done", "Done: ", "Done. Approved by @U0ANNA, (then)."),
        ("done, undo", "Done: ", "spot check: agreed, 31/31"),
        ("being undone", "Done: ", "Being undone by @U0BEN…"),
        ("undone", "Undone: ", "Undone by @U0BEN, (then)."),
        ("refused", "Failed: ", "Look at it in Polar, and Retry once its state allows this."),
        ("no answer", "No answer: ", "the call may or may not have been carried out. It is not sent again."),
        ("declined", "Declined: ", "Nothing was done. Declined by @U0ANNA, (then)."),
        ("declined, why", "Declined: ", "Why: Settled another way"),
        (
            "expired",
            "Expired: ",
            "Nobody decided in time. Nothing was done. If it is still wanted: /polar propose.",
        ),
        (
            "withdrawn",
            "Withdrawn: ",
            "Nothing was done. Checked just before the call: it no longer applies. Approved",
        ),
        ("undone in time", "Undone: ", "Undone by @U0ANNA in time. Nothing was done."),
        ("failed on its own", "Failed: ", "Approved automatically, (then): this kind of case is turned on."),
        ("failed on its own", "Failed: ", "Of 2 calls: 1 done, 1 refused."),
        ("turned on", "Turned on: ", "Such cases now run on their own. Turned on by @U0ANNA, (then)."),
    ],
)
def test_each_state_says_where_it_stands_and_what_to_do_next(name, text, line):
    message = message_of(name)

    assert message.text == f"{text}{STATES[name][0].title}"
    assert line in said(message)


@pytest.mark.parametrize("name", STATES)
def test_a_card_names_its_proposal_and_only_a_pending_one_says_who_may_decide(name):
    message = message_of(name)

    assert STATES[name][0].id in said(message)
    assert (name in PENDING) == ("may decide" in said(message))


def test_a_pending_card_asks_the_whole_question_in_one_line_and_has_the_two_buttons():
    message = card(a_proposal(), VIEW)
    buttons = {one["action_id"]: one for one in elements(list(message.blocks)) if one.get("type") == "button"}

    assert "Disable 1 license key of Bob, $29.00 refunded?" == message.text
    assert {"approve", "decline"} == buttons.keys()
    assert all(one["value"].startswith("p234567abcdef") for one in buttons.values())
    assert {"A", "D"} == {one["text"]["text"][0] for one in buttons.values()}
    assert ["Details", "Edit", "Snooze", "Assign", "Ask in thread"] == options(message)


def test_a_button_names_the_revision_and_a_new_drawing_of_the_same_question_keeps_it():
    def value(**changes: Any) -> set[str]:
        found = elements(list(card(a_proposal(**changes), VIEW).blocks))
        return {one["value"] for one in found if one.get("type") == "button"}

    assert {"p234567abcdef:1"} == value(row_version=7)
    assert {"p234567abcdef:2"} == value(row_version=8, revision=2)


def test_undo_is_offered_until_the_hold_is_over_and_not_a_second_longer():
    proposal, view = STATES["approved, held"]
    over = replace(view, now=proposal.cancellable_until)

    assert ["Undo"] == labels(card(proposal, view))
    assert [] == labels(card(proposal, over))
    assert "It is about to run." in said(card(proposal, over))


def test_what_was_sent_in_part_cannot_be_taken_back():
    proposal, view = STATES["approved, later"]
    sent = replace(
        proposal, calls=(*proposal.calls, replace(proposal.calls[0], number=1, state=CallState.DONE))
    )

    assert [] == labels(card(sent, view))


def test_an_undo_that_was_declined_can_be_asked_for_again():
    proposal, view = STATES["being undone"]
    declined = replace(view, undone=replace(proposal, state=ProposalState.DECLINED))

    assert ["Undo"] == labels(card(proposal, declined))


def test_a_spot_check_looks_like_any_other_question():
    assert card(asked(mode=Mode.SPOT_CHECK), VIEW) == card(asked(mode=Mode.ASKED), VIEW)
    # Even if somebody handed the line in too early.
    assert card(asked(mode=Mode.SPOT_CHECK), replace(VIEW, spot_check="spot check: agreed, 31/31")) == card(
        asked(), VIEW
    )


def test_a_declined_card_asks_why_until_somebody_has_said_so():
    def asks(name: str) -> bool:
        return "reason" in [one.get("action_id") for one in elements(list(message_of(name).blocks))]

    assert asks("declined")
    assert not asks("declined, why")


def test_two_approvers_are_both_named():
    message = card(decided(ProposalState.SUCCEEDED), replace(VIEW, approvals=("U0BEN", "U0ANNA")))

    assert "Approved by @U0BEN and @U0ANNA, (then)." in said(message)


def test_an_edited_proposal_that_ran_says_who_edited_it():
    message = card(decided(ProposalState.SUCCEEDED, revision=2, edited_by="U0BEN"), VIEW)

    assert "Approved by @U0ANNA, (then), as edited by @U0BEN." in said(message)


@pytest.mark.parametrize("state", [state for state in ProposalState if state != ProposalState.PENDING])
def test_a_card_that_waits_for_nobody_cannot_be_decided(state):
    message = card(
        a_proposal(
            state=state,
            decided_by="U1",
            decided_at=NOW,
            status_reason=Reason(ReasonCode.TEXT, {"text": "why"}),
        ),
        VIEW,
    )

    assert not {"Approve", "Decline"} & set(labels(message))


@pytest.mark.parametrize("state", [ProposalState.APPROVED, ProposalState.SUCCEEDED, ProposalState.FAILED,
                                   ProposalState.UNKNOWN, ProposalState.DECLINED])  # fmt: skip
def test_a_decided_card_says_who_decided_and_when(state):
    message = card(a_proposal(state=state, decided_by="U1", decided_at=NOW), VIEW)
    found = list(elements(list(message.blocks)))

    assert ["U1"] == [one["user_id"] for one in found if one.get("type") == "user"]
    assert [int(NOW.timestamp())] == [one["timestamp"] for one in found if one.get("type") == "date"]


def test_each_redraw_has_new_block_ids():
    first, second = (card(a_proposal(row_version=version), VIEW).blocks for version in (1, 2))

    assert not {one["block_id"] for one in first} & {one["block_id"] for one in second}


def test_polars_refusal_is_on_the_card_and_in_the_thread():
    refused = Reason.of(ReasonCode.POLAR_REFUSED, message="Order is already fully refunded")
    failed = a_proposal(
        state=ProposalState.FAILED, status_reason=Reason.of(ReasonCode.CALLS_REFUSED, refused)
    )
    change = Transition(
        failed.id, 4, ProposalState.EXECUTING, ProposalState.FAILED, "x", failed.status_reason, NOW
    )

    assert "Order is already fully refunded" in json.dumps(card(failed, VIEW).blocks)
    assert "Order is already fully refunded" in str(thread_line(failed, change))


@given(st.text(max_size=300), st.integers(1, 100))
def test_cleaned_text_is_one_short_line_that_survives_the_wire(text, limit):
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert cleaned == cleaned.encode().decode()
    assert cleaned.isprintable()


@given(st.text(st.characters(), max_size=8))
def test_what_is_printable_is_what_neither_hides_nor_breaks_a_line(text: str) -> None:
    """The rule by which `clean` leaves most texts alone, said as it says it for the others."""
    kept = all(unicodedata.category(char)[0] != "C" and (char == " " or not char.isspace()) for char in text)
    assert text.isprintable() <= kept


@given(st.text(max_size=300))
def test_escaped_text_has_no_live_markup_and_reads_back(text):
    escaped = escape(text)

    assert "<" not in escaped
    assert ">" not in escaped
    assert text == escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_whoever_was_not_first_is_told_who_was():
    first = a_proposal(state=ProposalState.SUCCEEDED, decided_by="U1")
    told = ephemeral.decision(DecisionResult(DecisionStatus.ALREADY_DECIDED, first)).mrkdwn

    assert "<@U1> was first. Its state is “done”. Nothing was changed." == told


def test_a_refusal_names_who_may_decide():
    refusal = Refusal(RefusalCode.GUEST, approvers=ApproverNames(("Ada",), "APPROVERS"))

    told = ephemeral.refused(refusal).mrkdwn

    assert "You are a guest here, and guests may not decide. Nothing was changed. Ada may decide." == told


def test_whoever_taps_what_is_on_hold_is_told_who_holds_it_and_how_to_go_on():
    held = a_proposal(held_by="U0BEN")
    told = ephemeral.decision(DecisionResult(DecisionStatus.ON_HOLD, held)).mrkdwn

    assert told.startswith("This is on hold by <@U0BEN>. Nothing was changed.")
    assert "release" in told


def fixed_texts() -> set[str]:
    """What always reads the same: constants, and the entries of tables that hold no place for a value."""
    values = [value for name, value in vars(ephemeral).items() if name.isupper()]
    tables = [value for value in values if isinstance(value, dict)]
    texts = [value for value in values if isinstance(value, str)]
    texts += [text for table in tables for text in table.values() if isinstance(text, str)]
    return {text for text in texts if "{" not in text and text[:1].isupper() and " " in text}


@pytest.mark.parametrize("text", sorted(fixed_texts()))
def test_what_always_reads_the_same_is_a_short_sentence_without_markup(text):
    assert_harmless([], text)
    assert text.endswith(".")
    assert len(text) < 200


@pytest.mark.parametrize(
    ("statuses", "table"),
    [
        (DecisionStatus, ephemeral._DECISIONS),
        (FollowupStatus, ephemeral._FOLLOWUPS),
        (ActionStatus, ephemeral._ACTIONS),
        (RefusalCode, ephemeral._REASONS),
        (Purpose, ephemeral._WANTED),
    ],
)
def test_every_status_has_words(statuses, table):
    assert set(statuses) == set(table)
