"""Cards in every state, for any payload: within Slack's limits, and no customer's word becomes markup."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import cards
from bot.cards.text import clean, escape
from bot.demo.blockkit import lint_message, lint_view
from polar.events import parse
from polar.summaries import facts, summarise
from store.models import Call, CallState, Proposal, ProposalState, Transition

PAYLOADS = Path(__file__).parents[1] / "payloads" / "deliveries.jsonl"
RECORDED = [row["body"] for row in map(json.loads, PAYLOADS.read_text().splitlines())]
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
HOSTILE = st.sampled_from(
    [
        "<!channel>",
        "<@U0OPERATOR>",
        "<https://evil.example|Approve here>",
        "`*bold*` _it_ ~no~",
        "\u202eevil\u2066 rtl",
        "a\nApproved by the boss\n:white_check_mark:",
        "x" * 3_000,
        "👩\u200d💻🏴\u200d☠️" * 50,
        "&lt;!here&gt;",
        "\x00\x1b[31m",
        "\ud800",
        "",
    ]
)
TEXT = HOSTILE | st.text(max_size=80)
SENDABLE = TEXT.filter(lambda text: text.isprintable() or "\ud800" not in text)


def a_proposal(**changes: Any) -> Proposal:
    call = Call(operation="license_keys:update", path={"id": "k1"}, body={"status": "disabled"}, number=0)
    given_ = Proposal(
        id="p234567abcdef", fact_key="f", event_id="e", rule="disable-keys-of-refunded-order", rule_version="v",
        subject="order:o", title="Disable 1 license key of Bob, $29.00 refunded?", because=("Refunded in full",),
        facts=(("Customer", "Bob (bob@example.com)"), ("Amount", "$29.00")), risk="R2", always_asks=None,
        created_at=NOW, state=ProposalState.PENDING, version=1, note=None, attempts=0, looks=0, decided_by=None,
        decided_at=None, channel=None, card_ts=None, drawn=0, calls=(call,),
    )  # fmt: skip
    return replace(given_, **changes)


def payload(message: cards.Message) -> dict[str, Any]:
    return {
        "channel": "C1",
        "text": message.text,
        "blocks": list(message.blocks),
        "metadata": message.metadata,
    }


def elements(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ():
        yield from elements(child)


@st.composite
def proposals(draw: st.DrawFn) -> Proposal:
    states = st.sampled_from(list(CallState))
    made = st.builds(Call, st.just("license_keys:update"), st.just({"id": "k"}), st.just({}), st.just({"status": "granted"}),
                     st.integers(0, 99), states, st.none() | st.integers(200, 500), st.none() | TEXT)  # fmt: skip
    decided = draw(st.booleans())
    return a_proposal(
        title=draw(TEXT),
        because=tuple(draw(st.lists(TEXT, max_size=8))),
        facts=tuple(draw(st.lists(st.tuples(TEXT, TEXT), max_size=8))),
        state=draw(st.sampled_from(list(ProposalState))),
        note=draw(st.none() | TEXT),
        always_asks=draw(st.none() | TEXT),
        calls=tuple(draw(st.lists(made, min_size=1, max_size=30))),
        decided_by=draw(st.sampled_from(["U1", "W2", "cli:anna", "policy"])) if decided else None,
        decided_at=NOW if decided else None,
    )


@settings(deadline=None, max_examples=200)
@given(proposals(), TEXT)
def test_every_card_in_every_state_keeps_slacks_limits(proposal, deciders):
    message = cards.card(proposal, deciders)
    change = Transition(proposal.id, 2, ProposalState.EXECUTING, proposal.state, "x", proposal.note, NOW)
    line = cards.thread_line(proposal, change)

    assert [] == lint_message(payload(message))
    assert line is None or [] == lint_message(payload(line))
    assert len(message.text) <= 4_000


@settings(deadline=None, max_examples=200)
@given(proposals())
def test_no_word_of_a_customer_stands_where_slack_reads_markup(proposal):
    message = cards.card(proposal, "Ada may decide")

    for element in elements(list(message.blocks)):
        assert "mrkdwn" != element.get("type")
        if element.get("type") == "user":
            assert element["user_id"] == proposal.decided_by
    assert "<" not in message.text
    assert ">" not in message.text


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(RECORDED), SENDABLE, SENDABLE)
def test_a_card_of_any_event_with_a_hostile_name_keeps_slacks_limits(body, name, email):
    raw = json.loads(body)
    customer = raw["data"].get("customer")
    for target in (raw["data"], customer if isinstance(customer, dict) else {}):
        target |= {"name": name, "email": email}
    event = parse(json.dumps(raw).encode())
    proposal = a_proposal(title=f"Do it for {name}?", because=(summarise(event),),
                          facts=tuple((fact.label, fact.value) for fact in facts(event)))  # fmt: skip

    assert [] == lint_message(payload(cards.card(proposal, "Ada may decide")))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(proposals(), max_size=12),
    st.dictionaries(st.sampled_from(list(ProposalState)), st.integers(0, 10**6)),
)
def test_home_and_queue_keep_slacks_limits(found, counts):
    links = {"p234567abcdef": "https://example.slack.com/archives/C1/p1"}
    view = cards.home_view(found, counts, links, deciders="Ada may decide", failed_events=3, now=NOW)

    assert [] == lint_view(view)
    assert [] == lint_message(payload(cards.queue_message(found, counts, links)))


def test_a_pending_card_asks_the_whole_question_in_one_line_and_has_the_two_buttons():
    message = cards.card(a_proposal(), "Ada may decide")
    buttons = {one["action_id"]: one for one in elements(list(message.blocks)) if one.get("type") == "button"}

    assert "Disable 1 license key of Bob, $29.00 refunded?" == message.text
    assert {"approve", "decline"} == buttons.keys()
    assert all(one["value"].startswith("p234567abcdef") for one in buttons.values())
    assert {"A", "D"} == {one["text"]["text"][0] for one in buttons.values()}


@pytest.mark.parametrize("state", [state for state in ProposalState if state != ProposalState.PENDING])
def test_a_card_that_waits_for_nobody_has_no_buttons(state):
    message = cards.card(
        a_proposal(state=state, decided_by="U1", decided_at=NOW, note="why"), "Ada may decide"
    )

    assert "actions" not in [block["type"] for block in message.blocks]


@pytest.mark.parametrize("state", [ProposalState.APPROVED, ProposalState.SUCCEEDED, ProposalState.FAILED,
                                   ProposalState.UNKNOWN, ProposalState.DECLINED])  # fmt: skip
def test_a_decided_card_says_who_decided_and_when(state):
    message = cards.card(a_proposal(state=state, decided_by="U1", decided_at=NOW), "Ada may decide")
    found = list(elements(list(message.blocks)))

    assert ["U1"] == [one["user_id"] for one in found if one.get("type") == "user"]
    assert [int(NOW.timestamp())] == [one["timestamp"] for one in found if one.get("type") == "date"]


def test_each_redraw_has_new_block_ids():
    first, second = (cards.card(a_proposal(version=version), "x").blocks for version in (1, 2))

    assert not {one["block_id"] for one in first} & {one["block_id"] for one in second}


def test_polars_refusal_is_on_the_card_and_in_the_thread():
    failed = a_proposal(state=ProposalState.FAILED, note="Polar refused: Order is already fully refunded")
    change = Transition(failed.id, 4, ProposalState.EXECUTING, ProposalState.FAILED, "x", failed.note, NOW)

    assert "Order is already fully refunded" in json.dumps(cards.card(failed, "x").blocks)
    assert "Order is already fully refunded" in str(cards.thread_line(failed, change))


@given(st.text(max_size=300), st.integers(1, 100))
def test_cleaned_text_is_one_short_line_that_survives_the_wire(text, limit):
    cleaned = clean(text, limit)

    assert len(cleaned) <= limit
    assert cleaned == cleaned.encode().decode()
    assert cleaned.isprintable()


@given(st.text(max_size=300))
def test_escaped_text_has_no_live_markup_and_reads_back(text):
    escaped = escape(text)

    assert "<" not in escaped
    assert ">" not in escaped
    assert text == escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_whoever_was_not_first_is_told_who_was():
    told = cards.already_decided(a_proposal(state=ProposalState.SUCCEEDED, decided_by="U1"))

    assert "<@U1> was first. It has been approved and done. Your tap changed nothing." == told


def test_a_refusal_names_who_may_decide():
    assert "You are a guest. Nothing was changed. Ada may decide." == cards.refusal(
        "You are a guest.", "Ada may decide"
    )
