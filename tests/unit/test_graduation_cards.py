"""`/polar trust` and trust on the Home tab: whatever a kind of case is called, Slack takes it and nothing pings."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.config.policy import Caps, Policy
from bot.demo.blockkit import lint_message, lint_view
from bot.listeners.commands import read_command
from bot.ui.graduation import PAGE, home_section, left_today, trust_message
from polar.catalog import Risk
from store.graduation.reducer import first_seen
from store.models import CaseKindState
from store.models.graduation import Change, KindsPage, KindStanding, NewCaseKind, Paused, Spent
from store.models.reasons import ChangeCause, ChangeCode

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOSTILE = st.one_of(
    st.text(max_size=700),
    st.sampled_from(["<!channel> <@U1>", "a" * 3_000, "\u202eevil", "", "*b* `c`", "\0\ud800"]),
)
CAUSES = HOSTILE.map(lambda text: ChangeCause(ChangeCode.TEXT, {"text": text}))


@st.composite
def standings(draw: st.DrawFn) -> KindStanding:
    new = NewCaseKind(
        "h", "f", {"action": [], "amount": [9, "usd"]}, draw(HOSTILE), draw(st.sampled_from(Risk))
    )
    kind = replace(
        first_seen(new, NOW),
        hash=f"{draw(st.integers(0, 2**256 - 1)):064x}",
        state=draw(st.sampled_from(CaseKindState)),
        manual_override=draw(st.booleans()),
        cases=draw(st.integers(0, 900)),
        changed_at=draw(st.none() | st.just(NOW)),
        cause=draw(st.none() | CAUSES),
    )
    fell = Change(NOW, CaseKindState.GRADUATED, CaseKindState.ASKING, draw(CAUSES), False, 1, True)
    agreed, more = draw(st.tuples(st.integers(0, 99), st.integers(0, 99)))
    return KindStanding(kind, Spent(agreed, 100), (agreed, agreed + more), draw(st.none() | st.just(fell)))


PAGES = st.builds(
    KindsPage,
    st.lists(standings(), max_size=PAGE, unique_by=lambda one: one.case_kind.hash[:12]),
    number=st.integers(1, 999_999),
    total=st.integers(0, 10**6),
    more=st.booleans(),
    on=st.integers(0, 10**6),
    paused=st.none()
    | st.builds(Paused, st.sampled_from(["U0MAYA", "polar-approvals"]), st.just(NOW), HOSTILE),
)


@given(page=PAGES, about=HOSTILE.map(lambda text: text[:100]), result=HOSTILE)
def test_slack_takes_every_page_and_no_name_becomes_markup(page: KindsPage, about: str, result: str) -> None:
    message = trust_message(page, Policy(), NOW, about=about, result=result)
    assert lint_message({"text": message.text, "blocks": list(message.blocks)}) == []
    assert "<!" not in message.text
    assert "<@" not in message.text
    assert "mrkdwn" not in json.dumps(message.blocks)


@given(page=PAGES)
def test_slack_takes_it_on_the_home_tab(page: KindsPage) -> None:
    assert lint_view({"type": "home", "blocks": home_section(page, Policy())}) == []


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
