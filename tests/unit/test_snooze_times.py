"""Until when: in words, in the operator's time zone, never in the past and never far away."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.listeners.threads import LONGEST, OFFERED, until

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 16, 30, tzinfo=UTC)  # a Friday, 17:30 in Berlin


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("2h", "2026-11-20T18:30"),
        ("for 30 minutes", "2026-11-20T17:00"),
        ("1d", "2026-11-21T16:30"),
        ("2 weeks", "2026-12-04T16:30"),
        ("until tomorrow", "2026-11-21T08:00"),
        ("tomorrow 14:15", "2026-11-21T13:15"),
        ("until monday", "2026-11-23T08:00"),
        ("friday", "2026-11-27T08:00"),
        ("until 18:00", "2026-11-20T17:00"),
        ("until 17:00", "2026-11-21T16:00"),
        ("until 2026-12-24", "2026-12-24T08:00"),
        ("until 2026-12-24 at 10:30", "2026-12-24T09:30"),
    ],
)
def test_what_people_write(words: str, at: str) -> None:
    assert until(words, NOW, BERLIN) == datetime.fromisoformat(at).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "words",
    ["", "whenever", "2026-11-01", "2026-13-01", "0h", "9999w", "tomorrow maybe", "25:00", "2028-01-01"],
)
def test_what_means_no_time_that_is_to_come(words: str) -> None:
    assert until(words, NOW, BERLIN) is None


@given(
    st.text()
    | st.from_regex(r"(until )?(\d{1,4}[mhdw]|[a-z]+day|\d{4}-\d{2}-\d{2})( \d{1,2}:\d{2})?", fullmatch=True)
)
def test_no_words_are_an_error_and_no_time_is_out_of_reach(words: str) -> None:
    found = until(words, NOW, BERLIN)
    assert found is None or NOW < found <= NOW + LONGEST


@pytest.mark.parametrize("key", OFFERED)
def test_what_the_menu_offers_is_a_time(key: str) -> None:
    found = OFFERED[key][1](NOW, BERLIN)
    assert found is not None
    assert NOW < found <= NOW + LONGEST


def test_nine_in_the_morning_is_nine_on_the_day_the_clocks_change() -> None:
    before = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert until("tomorrow", before, BERLIN) == datetime(2026, 10, 25, 8, tzinfo=UTC)
