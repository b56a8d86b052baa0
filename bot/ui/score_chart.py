"""The score of one kind of case against time, drawn as a picture for Slack. Only this file needs Pillow."""

from __future__ import annotations

import io
import math
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

from bot.graduation.score import Mark
from polar.text.words import clean

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Point = tuple[float, float]

WIDTH, HEIGHT = 800, 420
# The chart is drawn at double size and then reduced, because the library draws jagged lines.
_SCALE = 2
_LEFT, _TOP, _RIGHT, _BOTTOM = 74, 66, 26, 92
_TITLE, _TEXT = 27, 23

_PAPER, _INK, _FAINT, _GRID = "#ffffff", "#1d1c1d", "#616061", "#dddddd"
_LINE, _THRESHOLD, _ALONE = "#1264a3", "#b25e00", "#e3f4ea"
# Pillow's own font has ASCII and these characters. Others are replaced by one of them or a question mark.
_DRAWN = frozenset("…“”·\u2019")
_SPELLED = str.maketrans({"–": "-", "—": "-", "×": "x", "€": "EUR ", "£": "GBP ", "¥": "Y", "→": "->"})
# The mark of each event; any other event is a grey line.
_MARKS = {Mark.GRADUATED: "#007a5a", Mark.DEMOTED: "#c01343", Mark.SPOT_CHECK: "#616061"}
_NAMES = {Mark.GRADUATED: "graduated", Mark.DEMOTED: "demoted", Mark.SPOT_CHECK: "spot check"}
_ENDS = frozenset({Mark.DEMOTED, Mark.PAUSED, Mark.TURNED_OFF})  # after these there are no automatic runs

# The axis is linear in the logarithm of 100 - score, so 95 and 98 are as far apart as 50 and 80.
_TICKS = (0, 50, 80, 90, 95, 98, 99)
_TOP_SCORE = 99.3


def score_chart(
    points: Sequence[tuple[datetime, float]],
    *,
    threshold: float,
    events: Sequence[tuple[datetime, Mark]],
    title: str,
) -> bytes:
    """A PNG, 800 by 420, of the score (0 to 100) after each decision, oldest first, with its `threshold`.

    The ground is green from GRADUATED until DEMOTED, PAUSED or TURNED_OFF. A spot check is a tick below the
    line, any other event a line. Times are aware and in one zone.
    """
    from PIL import Image, ImageDraw  # noqa: PLC0415 - Pillow is loaded only for a picture

    image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _PAPER)
    plot = _Plot(ImageDraw.Draw(image), [when for when, _ in (*points, *events)])
    plot.ground(events)
    plot.axes(threshold)
    plot.events(events)
    plot.steps(points)
    plot.captions(title, points)
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


def score_list(points: Sequence[tuple[datetime, float]], most: int = 6) -> str:
    """The last points, as a replacement for the picture: `12 May 41.2, 19 May 62.0`."""
    newest = ", ".join(f"{_day(at)} {value:.1f}" for at, value in points[-most:])
    return newest or "no decision has counted yet"


class _Plot:
    """A surface that takes times and scores instead of pixels."""

    def __init__(self, draw: ImageDraw, times: Sequence[datetime]) -> None:
        self._draw, self._times = draw, sorted(times)

    def ground(self, events: Sequence[tuple[datetime, Mark]]) -> None:
        """Draw a green ground for the times of automatic runs."""
        since: datetime | None = None
        for when, what in sorted(events):
            if what == Mark.GRADUATED and since is None:
                since = when
            elif what in _ENDS and since is not None:
                self._band(since, when)
                since = None
        if since is not None:
            self._band(since, self._times[-1])

    def axes(self, threshold: float) -> None:
        """Draw the frame: a line at each tick and at the threshold, the first and the last day."""
        for tick in _TICKS:
            y = _y(tick)
            self._segment((_LEFT, y), (WIDTH - _RIGHT, y), _GRID, 1)
            if abs(y - _y(threshold)) > _TEXT:  # the number of the threshold is there
                self._text((_LEFT - 10, y), f"{tick}", _FAINT, anchor="rm")
        y = _y(threshold)
        for x in range(_LEFT, WIDTH - _RIGHT, 16):
            self._segment((x, y), (min(x + 9, WIDTH - _RIGHT), y), _THRESHOLD, 3)
        self._text((_LEFT - 10, y), f"{threshold:g}", _THRESHOLD, anchor="rm")
        below = HEIGHT - _BOTTOM + 20
        if self._times:
            self._text((_LEFT, below), _day(self._times[0]), _FAINT, anchor="lm")
            self._text((WIDTH - _RIGHT, below), _day(self._times[-1]), _FAINT, anchor="rm")

    def events(self, events: Sequence[tuple[datetime, Mark]]) -> None:
        """Draw a tick for each spot check, and a line for every other event."""
        for when, what in events:
            x, foot = self._x(when), HEIGHT - _BOTTOM
            if what == Mark.SPOT_CHECK:
                self._segment((x, foot - 14), (x, foot), _MARKS[what], 2)
            else:
                self._segment((x, _TOP), (x, foot), _MARKS.get(what, _FAINT), 3)

    def steps(self, points: Sequence[tuple[datetime, float]]) -> None:
        """Draw the score. It stays level until the next decision."""
        corners: list[Point] = []
        for when, score in points:
            x, y = self._x(when), _y(score)
            if corners:
                corners.append((x, corners[-1][1]))
            corners.append((x, y))
        if not corners:
            self._text((WIDTH / 2, (_y(50) + _y(80)) / 2), "no decisions yet", _FAINT, anchor="mm")
            return
        corners.append((self._x(self._times[-1]), corners[-1][1]))
        scaled = [(x * _SCALE, y * _SCALE) for x, y in corners]
        self._draw.line(scaled, fill=_LINE, width=4 * _SCALE, joint="curve")
        self._draw.circle(scaled[-1], 7 * _SCALE, fill=_LINE)

    def captions(self, title: str, points: Sequence[tuple[datetime, float]]) -> None:
        """Write the title, the present score and the meaning of the marks."""
        now = f"score {points[-1][1]:.1f}" if points else "no score"
        room = WIDTH - _RIGHT - 16 - self._draw.textlength(now, font=_font(_TITLE)) / _SCALE - 14
        self._text((16, 32), self._fitting(_drawable(title), room), _INK, anchor="lm", size=_TITLE)
        self._text((WIDTH - _RIGHT, 32), now, _LINE, anchor="rm", size=_TITLE)
        x: float = _LEFT
        marks = [(_NAMES[event], colour) for event, colour in _MARKS.items()]
        for word, colour in (("threshold", _THRESHOLD), *marks):
            y = HEIGHT - 26
            self._segment((x, y), (x + 22, y), colour, 5)
            self._text((x + 30, y), word, _INK, anchor="lm")
            x += 30 + self._draw.textlength(word, font=_font(_TEXT)) / _SCALE + 30

    def _fitting(self, text: str, room: float) -> str:
        """`text`, cut until it is no wider than `room`."""
        cut = text
        while cut and self._draw.textlength(cut, font=_font(_TITLE)) / _SCALE > room:
            text = text[:-1]
            cut = text.rstrip() + "…"
        return cut

    def _x(self, when: datetime) -> float:
        first, last = self._times[0], self._times[-1]
        share = 0.0 if first == last else (when - first) / (last - first)
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * share

    def _band(self, since: datetime, until: datetime) -> None:
        corners = (self._x(since), _TOP, self._x(until), HEIGHT - _BOTTOM)
        self._draw.rectangle([corner * _SCALE for corner in corners], fill=_ALONE)

    def _segment(self, start: Point, end: Point, colour: str, width: int) -> None:
        ends = [value * _SCALE for value in (*start, *end)]
        self._draw.line(ends, fill=colour, width=width * _SCALE)

    def _text(self, where: Point, text: str, colour: str, *, anchor: str, size: int = _TEXT) -> None:
        place = (where[0] * _SCALE, where[1] * _SCALE)
        self._draw.text(place, text, fill=colour, anchor=anchor, font=_font(size))


def _drawable(text: str) -> str:
    line = clean(text, 120).translate(_SPELLED)
    letters = (letter for letter in unicodedata.normalize("NFD", line) if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() or letter in _DRAWN else "?" for letter in letters)


def _y(score: float) -> float:
    height = HEIGHT - _TOP - _BOTTOM
    lost = 1 - min(max(score, 0.0), _TOP_SCORE) / 100
    return _TOP + height * (1 - math.log(lost) / math.log(1 - _TOP_SCORE / 100))


@cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL.ImageFont import load_default  # noqa: PLC0415 - as in score_chart

    return load_default(size * _SCALE)


def _day(when: datetime) -> str:
    return f"{when.day} {when:%b}"
