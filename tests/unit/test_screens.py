"""Home, the lists, status and help: within Slack's limits for anything in them, and nothing becomes markup."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.demo.blockkit import lint_message, lint_view
from bot.listeners.commands import read_history
from bot.listeners.home import next_card, rank
from bot.ui.card import card
from bot.ui.elements import Message, person, text
from bot.ui.home import Home, SetUpStep, greeting, help_message, home_view
from bot.ui.lists import (
    QUEUES,
    Pages,
    history_message,
    mine_message,
    not_found_message,
    queue_message,
    show_message,
)
from bot.ui.reports import Health, Removal, ago, paused_message, resumed_message, status_message
from store.models import ProposalState, Transition
from store.models.details import Arrival, Backlog, Today
from store.models.graduation import Paused
from store.models.worth import worth
from tests.fixtures.card_strategies import (
    NOW,
    PEOPLE,
    TEXT,
    a_proposal,
    assert_harmless,
    payload,
    proposals,
    reasons,
    views,
)

_SMALL = settings(deadline=None, max_examples=40)
_LINK = "https://example.slack.com/archives/C1/p1"
_WEBHOOKS = st.none() | st.builds(Arrival, st.just("e1"), TEXT, st.just(NOW), st.none() | reasons())
_PAUSES = st.none() | st.builds(Paused, st.sampled_from(PEOPLE), st.just(NOW), TEXT)
_COUNTS = st.integers(0, 10**6)


@st.composite
def healths(draw: st.DrawFn) -> Health:
    lines = st.tuples(st.just(NOW), st.sampled_from(["WARNING", "ERROR"]), TEXT)
    return Health(
        version="0.1.0",
        now=NOW,
        backlog=draw(st.builds(Backlog, _WEBHOOKS, _COUNTS, _WEBHOOKS, *[_COUNTS] * 4)),
        counts=draw(st.dictionaries(st.sampled_from(list(ProposalState)), _COUNTS)),
        writes=draw(_COUNTS),
        socket=draw(st.none() | st.booleans()),
        heard_at=draw(st.none() | st.just(NOW - timedelta(days=3))),
        removed=draw(st.none() | st.sampled_from(Removal)),
        slack_paused=tuple(draw(st.lists(st.tuples(st.just("chat.update"), st.floats(0, 300)), max_size=8))),
        polar_left=draw(_COUNTS),
        polar_limit=500,
        polar_paused=draw(st.floats(0, 300)),
        paused=draw(_PAUSES),
        errors=tuple(draw(st.lists(lines, max_size=20))),
    )


@st.composite
def homes(draw: st.DrawFn) -> Home:
    up = draw(st.none() | proposals())
    money = st.tuples(st.sampled_from(["usd", "jpy", "<!c"]), st.integers(0, 10**9))
    steps = st.lists(st.builds(SetUpStep, st.booleans(), TEXT, TEXT), max_size=40)
    return Home(
        now=NOW,
        health=draw(healths()),
        counts=draw(st.dictionaries(st.sampled_from(list(ProposalState)), _COUNTS)),
        deciders=draw(TEXT),
        next_up=up,
        next_card=None if up is None else card(up, draw(views())),
        waiting=draw(st.lists(proposals(), max_size=8)),
        today=draw(st.builds(Today, _COUNTS, _COUNTS, _COUNTS, st.lists(money, max_size=3).map(tuple))),
        steps=draw(st.none() | steps),
        result=draw(
            st.sampled_from([(), text("{who} was first. <!channel>", who=person(PEOPLE[0])).elements])
        ),
    )


def checked(message: Message) -> None:
    assert lint_message(payload(message)) == []
    assert_harmless(list(message.blocks), message.text)


@_SMALL
@given(homes())
def test_the_home_tab_is_what_slack_takes_and_harmless(home: Home) -> None:
    view = home_view(home)

    assert lint_view(view) == []
    assert_harmless(view["blocks"])
    if home.next_up is not None:
        linked = home_view(replace(home, links={home.next_up.id: _LINK}))
        assert lint_view(linked) == []
        values = [
            e["value"]
            for b in linked["blocks"]
            if b["type"] == "actions"
            for e in b["elements"]
            if "value" in e
        ]
        assert f"{home.next_up.id}:{home.next_up.revision}" in values


@_SMALL
@given(
    st.lists(proposals(), max_size=8),
    st.sampled_from(["", *QUEUES]),
    _COUNTS,
    st.dictionaries(st.sampled_from(list(ProposalState)), _COUNTS),
    st.booleans(),
)
def test_the_queue_is_what_slack_takes_and_harmless(found, which, total, counts, more):
    given_: dict[str, Any] = {
        "pages": Pages("queue", which, 3, more),
        "total": total,
        "counts": counts,
        "now": NOW,
    }

    checked(queue_message(found, {}, **given_))
    linked = queue_message(found, MappingProxyType({"p234567abcdef": _LINK}), **given_)
    assert lint_message(payload(linked)) == []


@_SMALL
@given(TEXT, st.lists(proposals(), max_size=8))
def test_mine_and_history_are_what_slack_takes_and_harmless(typed, found):
    pages = Pages("history", typed.encode(errors="ignore").decode()[:200].strip(), 2, True)
    groups = [("Assigned to you", found), ("Proposed by you", []), ("Approved by you", found)]

    checked(history_message(typed, found, {}, pages=pages, now=NOW))
    checked(mine_message(groups, {}, pages=Pages("mine", "", 2, True), now=NOW))


@_SMALL
@given(
    proposals(),
    views(),
    st.lists(st.tuples(st.sampled_from([*PEOPLE, "policy"]), st.none() | reasons()), max_size=40),
)
def test_one_proposal_is_what_slack_takes_and_can_be_tapped_only_where_it_has_no_card(proposal, view, steps):
    trail = [
        Transition(proposal.id, n, None, ProposalState.PENDING, by, why, NOW)
        for n, (by, why) in enumerate(steps)
    ]
    message = show_message(proposal, card(proposal, view), trail, None)

    checked(message)
    tapped = [block for block in message.blocks if block["type"] == "actions" or "accessory" in block]
    assert proposal.card_ts is None or tapped == []


@_SMALL
@given(healths(), TEXT, _PAUSES)
def test_status_and_the_short_answers_are_what_slack_takes_and_harmless(health, typed, pause):
    checked(status_message(health))
    checked(not_found_message(typed, []))
    checked(not_found_message(typed, ["p1", "p2"]))
    checked(help_message({"queue": "what waits"}, typed, "queue"))
    checked(greeting(typed, here=True))
    checked(greeting(typed, here=False))
    if pause is not None:
        checked(paused_message(pause))
        checked(resumed_message(PEOPLE[1], pause))


# --- What to decide next ----------------------------------------------------------------------------------


def test_money_and_deadline_decide_what_is_next():
    small = a_proposal(id="small", amount=500, currency="usd")
    large = a_proposal(id="large", amount=50_000, currency="usd")
    pressing = a_proposal(id="pressing", amount=9_000, currency="usd", deadline=NOW + timedelta(hours=2))
    yen = a_proposal(id="yen", amount=5_000, currency="jpy")

    assert next_card([small, large, yen], NOW) is large
    assert next_card([small, large, pressing], NOW) is pressing
    assert rank(small, NOW) < rank(yen, NOW) < rank(large, NOW)
    assert next_card([], NOW) is None


def test_of_equal_ones_the_oldest_is_next():
    first, second = a_proposal(id="b"), a_proposal(id="a", created_at=NOW + timedelta(minutes=1))

    assert next_card([second, first], NOW) is first


@_SMALL
@given(
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(-100, 10**4),
    st.integers(-100, 10**4),
    st.sampled_from(["usd", "jpy", "xyz", None]),
)
def test_more_money_and_less_time_never_rank_lower(one, other, hours, later, currency):
    def ranked(amount: int, due: int) -> float:
        deadline = datetime(2026, 11, 21, tzinfo=UTC) + timedelta(hours=due)
        return rank(a_proposal(amount=amount, currency=currency, deadline=deadline), NOW)

    assert ranked(max(one, other), hours) >= ranked(min(one, other), hours)
    assert ranked(one, min(hours, later)) >= ranked(one, max(hours, later))


def test_worth_knows_currencies_without_hundredths():
    assert round(worth(5_000, "jpy")) == 33
    assert worth(5_000, "USD") == 50
    assert worth(None, None) == 0


# --- What is asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "by", "value"),
    [
        ("", "", ""),
        ("jane@Example.com", "customer", "jane@example.com"),
        ("<mailto:Jane@example.com|Jane@example.com>", "customer", "jane@example.com"),
        ("customer jane@example.com", "customer", "jane@example.com"),
        ("<@U0MAYA00001|maya>", "person", "U0MAYA00001"),
        ("<@U0MAYA00001>", "person", "U0MAYA00001"),
        ("rule generate-invoice", "rule", "generate-invoice"),
        ("generate-invoice", "rule", "generate-invoice"),
        ("rule gone-since", "rule", "gone-since"),
        ("0b1c-22", "customer_id", "0b1c-22"),
        ("customer 0b1c-22", "customer_id", "0b1c-22"),
    ],
)
def test_whose_history_is_asked_for(typed, by, value):
    looked = read_history(typed, {"generate-invoice": None})

    assert looked == (by, value)


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5, minutes=3), "5 hours ago"),
        (timedelta(days=2), "2 days ago"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(age, said):
    assert ago(age) == said
