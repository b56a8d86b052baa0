"""`/polar trust` and trust on the Home tab: whatever a kind of case is called, Slack takes it and nothing pings."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.config.policy import Caps
from bot.demo.blockkit import lint_message, lint_view
from bot.listeners.commands import read_command
from bot.ui.graduation_notices import left_today
from bot.ui.graduation_page import (
    PAGE,
    TURN_OFF,
    TURN_ON,
    KindLine,
    TrustPage,
    home_section,
    trust_message,
)
from store.graduation.reducer import first_seen
from store.models import CaseKindState
from store.models.graduation import NewCaseKind, Spent

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOSTILE = st.one_of(
    st.text(max_size=700),
    st.sampled_from(["<!channel> <@U1>", "a" * 3_000, "\u202eevil", "", "*b* `c`", "\0\ud800"]),
)
LINES = st.builds(
    KindLine,
    hash=st.integers(0, 2**256 - 1).map(lambda n: f"{n:064x}"),
    label=HOSTILE,
    risk=st.sampled_from(["R0", "R1", "R2", "R3", "R4"]),
    score=HOSTILE,
    state=st.sampled_from(CaseKindState),
    manual_override=st.booleans(),
    spot_checks=st.tuples(st.integers(0, 99), st.integers(0, 99)),
    bound=st.one_of(st.none(), st.floats(0, 1)),
    left=HOSTILE,
    changed_at=st.one_of(st.none(), st.just(NOW)),
    cause=HOSTILE,
    button=st.sampled_from(["", TURN_ON, TURN_OFF]),
    below=st.booleans(),
    demotion=st.one_of(st.none(), st.tuples(st.just(NOW), HOSTILE)),
)
KINDS = st.lists(LINES, max_size=PAGE, unique_by=lambda one: one.hash[:12])


@given(
    page=st.builds(
        TrustPage,
        kinds=KINDS,
        number=st.integers(1, 999_999),
        total=st.integers(0, 10**6),
        more=st.booleans(),
        on=st.integers(0, 10**6),
        about=HOSTILE.map(lambda text: text[:100]),
        paused_by=st.sampled_from([None, "U0MAYA", "polar-approvals"]),
        rules=st.lists(HOSTILE, max_size=2),
        result=HOSTILE,
    )
)
def test_slack_takes_every_page_and_no_name_becomes_markup(page: TrustPage) -> None:
    message = trust_message(page)
    assert lint_message({"text": message.text, "blocks": list(message.blocks)}) == []
    assert "<!" not in message.text
    assert "<@" not in message.text
    assert "mrkdwn" not in json.dumps(message.blocks)


@given(kinds=KINDS, total=st.integers(0, 10**6), on=st.integers(0, 10**6))
def test_slack_takes_it_on_the_home_tab(kinds: list[KindLine], total: int, on: int) -> None:
    assert lint_view({"type": "home", "blocks": home_section(kinds, total, on)}) == []


def test_a_page_is_asked_for_by_words_and_number() -> None:
    asked = read_command("trust partial refund 2")
    assert (asked.word, asked.about, asked.page, asked.command.paged) == ("trust", "partial refund", 2, True)


def test_what_the_caps_leave_is_never_below_nothing() -> None:
    caps = Caps(case_kind_count=50, case_kind_amount={"usd": 6_000})

    def left(count: int, amount: int, fields: dict[str, Any]) -> str:
        kind = first_seen(NewCaseKind("h", "f", fields, "An invoice", "R1"), NOW)
        return left_today(kind, Spent(count, amount), caps, with_money=True)

    assert left(12, 400, {"amount": [9, "usd"]}) == "38 cases and $56.00 left today"
    assert left(60, 9_000, {"amount": [9, "usd"]}) == "0 cases and $0.00 left today"
    assert left(1, 0, {}) == "49 cases left today"
