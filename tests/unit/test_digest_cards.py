"""Messages that time brings: within Slack's limits, true counts, nobody mentioned who is not meant."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.demo.blockkit import lint_message
from bot.ui.digest import chart, digest, escalation, reminder, span
from store.models import Proposal, ProposalState
from store.models.details import DailyStats

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
HOSTILE = ["<!channel> `x`", "<https://evil.example|Approve>", "\u202egnp", "a" * 3_000, "", ":boom:\nDone"]


def proposal(number: int, title: str = "Refund €40?", **values) -> Proposal:
    base = dict.fromkeys(
        (
            "event_id",
            "rule",
            "rule_version",
            "subject",
            "always_asks",
            "status_reason",
            "decided_by",
            "decided_at",
        )
    )
    return Proposal(
        id=f"p{number}",
        fact_key=f"f{number}",
        title=title,
        reasons=(),
        facts=(),
        risk="R1",
        created_at=NOW,
        state=ProposalState.PENDING,
        row_version=1,
        attempts=0,
        verify_attempts=0,
        channel="C1",
        card_ts=f"1.{number}",
        rendered_version=1,
        **(base | values),
    )


titles = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=400))
waiting = st.lists(titles, min_size=1, max_size=40).map(
    lambda found: [proposal(i, title) for i, title in enumerate(found)]
)


def elements(message, kind):
    found = []

    def walk(part):
        if isinstance(part, dict):
            found.extend([part] if part.get("type") == kind else [])
            for each in part.values():
                walk(each)
        elif isinstance(part, list | tuple):
            for each in part:
                walk(each)

    walk(message.blocks)
    return found


def wire(message):
    return {"channel": "C1", "text": message.text, "blocks": list(message.blocks)}


@given(waiting)
def test_a_reminder_fits_and_mentions_nobody(found):
    message = reminder(found, {"p0": "https://example.slack.com/1"})

    assert lint_message(wire(message)) == []
    assert elements(message, "user") == elements(message, "usergroup") == []
    assert "<" not in message.text


@given(waiting)
def test_a_call_mentions_the_named_people_and_nobody_else(found):
    message = escalation(found, ["U0MAYA", "S0TEAM"], {})

    assert lint_message(wire(message)) == []
    assert [each["user_id"] for each in elements(message, "user")] == ["U0MAYA"]
    assert [each["usergroup_id"] for each in elements(message, "usergroup")] == ["S0TEAM"]


@pytest.mark.parametrize(("count", "said"), [(1, "1 proposal still waits"), (12, "12 proposals still wait")])
def test_a_reminder_counts(count, said):
    message = reminder([proposal(i) for i in range(count)], {})

    assert message.text.startswith(said)
    assert ("and 2 more" in json.dumps(message.blocks)) == (count == 12)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=7))
def test_bars_are_as_long_as_their_numbers(counts):
    days = [(date(2026, 11, 15) + timedelta(days=i), count) for i, count in enumerate(counts)]

    lines = chart(days).splitlines()

    lengths = [line[4:12].count("█") for line in lines]
    assert len(lines) == len(counts)
    assert sorted(lengths) == [length for _, length in sorted(zip(counts, lengths, strict=True))]
    assert all(line.endswith(str(count)) for line, count in zip(lines, counts, strict=True))


def test_the_digest_says_what_came_of_yesterday():
    of_day = DailyStats(
        5, {ProposalState.SUCCEEDED: 3, ProposalState.DECLINED: 1}, {"U0MAYA": 4}, (20.0, 40.0, 90.0)
    )

    message = digest(date(2026, 11, 20), of_day, 2, [(date(2026, 11, 20), 4)], seal="12 rows, ab12")

    assert message.text == "Friday: 5 new, 4 decided, 2 left over"
    said = json.dumps(message.blocks, ensure_ascii=False)
    assert "3 done, 1 declined." in said
    assert "Half were decided within 40 s." in said
    assert "12 rows, ab12" in said
    assert lint_message(wire(message)) == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_300, "2 h"), (200_000, "2 d")]
)
def test_a_span_in_words(seconds, words):
    assert span(seconds) == words
