"""Cards for any payload, any name, any state: within every limit, and no word of a customer is markup."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.demo.blockkit import lint_message
from bot.ui.card import card, thread_line, visible
from bot.ui.elements import Message
from bot.ui.states import CardView
from store.models import CallState, Proposal, ProposalCall, ProposalState, Transition
from store.models.reasons import Reason, ReasonCode
from tests.fixtures.card_strategies import (
    NOW,
    a_proposal,
    assert_harmless,
    elements,
    payload,
    proposals,
    recorded,
    views,
)

MOST_BLOCKS = 9
MOST_JSON = 12_000


def assert_fits(message: Message, p: Proposal) -> None:
    """What every card keeps to: Slack's limits, and ours for a phone."""
    sent = payload(message)
    assert [] == lint_message(sent, update=True)
    assert len(message.text) <= 500
    assert len(message.blocks) <= MOST_BLOCKS
    assert visible(message.blocks) <= 2_500
    assert len(json.dumps(sent, ensure_ascii=False)) <= MOST_JSON
    assert all(block["block_id"].endswith(f"{p.id}.{p.row_version}") for block in message.blocks)
    assert_harmless(list(message.blocks), message.text)


def assert_tappable(message: Message, p: Proposal) -> None:
    """At most three buttons and one menu, told apart by their first letters, each with the id and revision."""
    found = list(elements(list(message.blocks)))
    buttons = [one for one in found if one.get("type") == "button"]
    menus = [one for one in found if one.get("type") == "overflow"]
    labels = [one["text"]["text"] for one in buttons]
    assert len(buttons) <= 3
    assert len(menus) <= 1
    assert len({label[0] for label in labels}) == len(labels)
    assert all(len(label.split()) <= 2 for label in labels)
    assert all(one["value"] == f"{p.id}:{p.revision}" for one in buttons)
    for option in [option for menu in menus for option in menu["options"]]:
        assert option["value"].startswith(f"{p.id}:{p.revision}:")


@settings(max_examples=300)
@given(proposals(), views())
def test_any_proposal_in_any_state_fits_and_is_harmless(proposal, view):
    message = card(proposal, view)

    assert_fits(message, proposal)
    assert_tappable(message, proposal)


@settings(max_examples=200)
@given(recorded(), st.data())
def test_what_rules_ask_about_recorded_events_with_hostile_names_fits_in_every_state(asked, data):
    proposal = data.draw(proposals(asked))
    message = card(proposal, data.draw(views()))

    assert_fits(message, proposal)
    assert_tappable(message, proposal)


@settings(max_examples=150)
@given(proposals(), st.sampled_from(list(ProposalState)))
def test_any_line_for_a_thread_fits_and_is_harmless(proposal, to):
    line = thread_line(proposal, Transition(proposal.id, 2, None, to, "x", proposal.status_reason, NOW))

    if line is not None:
        assert [] == lint_message(payload(line))
        assert_harmless(list(line.blocks), line.text)


@given(proposals(), views())
def test_nothing_is_to_be_tapped_while_it_is_being_decided_or_runs(proposal, view):
    busy = proposal.state == ProposalState.EXECUTING
    busy |= proposal.state == ProposalState.PENDING and proposal.approval_checking_by is not None
    kinds = [block["type"] for block in card(proposal, view).blocks]

    assert busy != ("actions" in kinds)


@settings(max_examples=50)
@given(st.text(alphabet="&<>a", max_size=2_000))
@example("&" * 2_000)
def test_the_line_for_a_notification_is_short_even_when_all_of_it_must_be_escaped(title):
    message = card(a_proposal(title=title), CardView())

    assert len(message.text) <= 500
    assert_harmless(list(message.blocks), message.text)


@pytest.mark.parametrize(
    "long", ["x" * 3_000, "👩 " * 1_500, "&<" * 1_500], ids=["letters", "emoji", "escapes"]
)
@pytest.mark.parametrize("state", ProposalState)
def test_the_longest_card_of_all_is_still_one_that_a_person_reads(state, long):
    line = (long, long, long)
    calls = tuple(
        ProposalCall(f"{number}{long}", {}, {}, None, number, CallState.REFUSED) for number in range(30)
    )
    proposal = a_proposal(
        state=state, title=long, reasons=(long,) * 9, facts=((long, long),) * 9, changes=(line,) * 9, status_reason=Reason(ReasonCode.TEXT, {"text": long}),
        rule=long, calls=calls, always_asks=long, edited_by="U0ANNA", assignee="U0BEN", held_by="U0ANNA",
        snoozed_until=NOW + timedelta(1), snoozed_by="U0ANNA", deadline=NOW, decided_by="U0BEN", decided_at=NOW,
        amount=10**12, currency="usd", revision=2,
    )  # fmt: skip
    failed = replace(proposal, state=ProposalState.FAILED)
    view = CardView(
        deciders=long, approvals=("U0ANNA", "U0BEN"), needs_two=True, decline_reasons=(long,) * 5, undo=True,
        undone=failed, today=((long, long),) * 5, score=long, spot_check=long, now=NOW,
    )  # fmt: skip
    message = card(proposal, view)

    assert_fits(message, proposal)
    assert_tappable(message, proposal)
