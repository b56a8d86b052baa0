"""The picture of a score against time."""

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bot.graduation.score import Mark, score
from bot.ui.score_chart import HEIGHT, WIDTH, score_chart

START = datetime(2026, 5, 3, tzinfo=UTC)
POINTS = [(START + timedelta(hours=9 * n), score(n, 0)) for n in range(1, 60)]
GREEN, RED = (0, 122, 90), (192, 19, 67)


def drawn(points=POINTS, threshold=90.0, events=(), title="Partial refunds under $20"):
    with Image.open(
        io.BytesIO(score_chart(points, threshold=threshold, events=events, title=title))
    ) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
        return image.convert("RGB")


def count(image, colour):
    """Pixels of about this colour above the legend."""
    above = image.crop((0, 0, WIDTH, HEIGHT - 60))
    return sum(
        times
        for times, one in above.getcolors(1 << 20)
        if max(abs(a - b) for a, b in zip(one, colour, strict=True)) <= 24
    )


def test_graduation_and_demotion_are_marked_in_their_colours():
    plain = drawn()
    marked = drawn(events=[(POINTS[40][0], Mark.GRADUATED), (POINTS[55][0], Mark.DEMOTED)])
    assert count(plain, GREEN) == count(plain, RED) == 0
    assert count(marked, GREEN) > 300
    assert count(marked, RED) > 300


def test_the_ground_is_green_only_while_it_ran_alone():
    ground = (227, 244, 234)
    until_demoted = drawn(events=[(POINTS[40][0], Mark.GRADUATED), (POINTS[50][0], Mark.DEMOTED)])
    until_now = drawn(events=[(POINTS[40][0], Mark.GRADUATED)])
    assert 0 < count(until_demoted, ground) < count(until_now, ground)


def test_no_decisions_one_decision_and_no_time_between_them_are_drawn():
    for points in ([], POINTS[:1], [(START, 10.0), (START, 20.0)]):
        drawn(points=points)


def test_text_without_a_glyph_is_drawn_as_a_question_mark():
    assert drawn(title="日本 – €5") == drawn(title="?? - EUR 5")
    assert drawn(title="a\u202eb\x00\nc") == drawn(title="ab c")


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.datetimes(timezones=st.just(UTC)), st.floats(0, 100)), max_size=5),
    st.lists(st.tuples(st.datetimes(timezones=st.just(UTC)), st.sampled_from(Mark)), max_size=5),
    st.text(max_size=300),
    st.floats(0, 100),
)
def test_any_title_event_and_score_is_drawn(points, events, title, threshold):
    drawn(points=sorted(points), events=events, title=title, threshold=threshold)


def test_a_picture_of_a_long_history_is_small_enough_to_send():
    points = [(START + timedelta(minutes=9 * n), score(n, n // 200)) for n in range(1, 5_000, 3)]
    assert len(score_chart(points, threshold=95, events=[], title="Long")) < 100_000


def test_pillow_is_loaded_only_for_a_picture():
    loaded = [sys.executable, "-c", "import sys, bot.ui.score_chart; print('PIL' in sys.modules)"]
    answer = subprocess.run(loaded, check=True, capture_output=True, text=True)  # noqa: S603 - our own words
    assert answer.stdout == "False\n"
