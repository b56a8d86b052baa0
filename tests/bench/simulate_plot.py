"""The chart of the simulation: how many kinds of case graduate, by their true rejection rate."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw, ImageFont

from bot.graduation.score import STANDARDS
from polar.catalog import Risk
from tests.bench.simulate_case_kinds import Rule, bet, graduates, in_a_row, raw_rate

Line = Sequence[tuple[float, float]]

WIDTH, HEIGHT, SCALE = 760, 560, 2
LEFT, TOP, RIGHT, BOTTOM = 92, 96, 24, 196
INK, FAINT, GRID, WRONG = "#1d1c1d", "#616061", "#dddddd", "#fbeaee"
WORST, CASES = 0.20, 1_000
LIMIT = STANDARDS[Risk.R2].limit
RULES: dict[str, tuple[Rule, str]] = {
    "20 approvals in a row": (in_a_row, "#c01343"),
    "95 % approved of 20 or more": (raw_rate, "#b25e00"),
    "score of 95 (here)": (bet(LIMIT, 0), "#007a5a"),
}


def curve(rule: Rule, case_kinds: int, chance: Random) -> Line:
    """The share of kinds of case that graduate within CASES, by their true rate."""
    rates = [WORST * step / 40 for step in range(41)]
    return [
        (rate, sum(graduates(rule, chance, rate, CASES) for _ in range(case_kinds)) / case_kinds)
        for rate in rates
    ]


def picture(file: Path, *, case_kinds: int, chance: Random) -> None:
    """Draw it; the same chance draws the same picture."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "#ffffff")
    draw = ImageDraw.Draw(image)
    _axes(draw)
    for at, (words, (rule, colour)) in enumerate(RULES.items()):
        points = [_place(rate, share) for rate, share in curve(rule, case_kinds, chance)]
        draw.line(points, fill=colour, width=5 * SCALE, joint="curve")
        y = HEIGHT - 104 + 36 * at
        draw.line(_scaled(LEFT, y, LEFT + 36, y), fill=colour, width=6 * SCALE)
        _text(draw, LEFT + 48, y, words, colour=INK, anchor="lm")
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    file.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(128, Image.Quantize.FASTOCTREE).save(file, optimize=True)


def _axes(draw: ImageDraw.ImageDraw) -> None:
    (left, top), (right, bottom) = _place(LIMIT, 1), _place(WORST, 0)
    draw.rectangle((left, top, right, bottom), fill=WRONG)
    _text(draw, WIDTH - RIGHT - 12, TOP + 78, "should never happen", colour="#8e1136", anchor="rm")
    _text(draw, 16, 30, "How many kinds of case come to run alone", colour=INK, anchor="lm", size=29)
    _text(draw, 16, 66, f"within {CASES:,} decisions", colour=FAINT, anchor="lm")
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, y = _place(0, share)
        draw.line((x, y, (WIDTH - RIGHT) * SCALE, y), fill=GRID, width=SCALE)
        _text(draw, LEFT - 12, y / SCALE, f"{share:.0%}", colour=FAINT, anchor="rm")
    for rate in (0, 0.05, 0.1, 0.15, 0.2):
        x, y = _place(rate, 0)
        _text(
            draw,
            x / SCALE,
            y / SCALE + 20,
            f"{rate:.0%}",
            colour=FAINT,
            anchor="rm" if rate == WORST else "mm",
        )
    _text(
        draw,
        LEFT + (WIDTH - LEFT - RIGHT) / 2,
        HEIGHT - BOTTOM + 50,
        "share you would truly decline",
        colour=INK,
        anchor="mm",
    )


def _place(rate: float, share: float) -> tuple[float, float]:
    x = LEFT + (WIDTH - LEFT - RIGHT) * rate / WORST
    y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
    return x * SCALE, y * SCALE


def _scaled(*values: float) -> list[float]:
    return [value * SCALE for value in values]


def _text(
    draw: ImageDraw.ImageDraw, x: float, y: float, text: str, *, colour: str, anchor: str, size: int = 25
) -> None:
    draw.text(
        (x * SCALE, y * SCALE), text, fill=colour, anchor=anchor, font=ImageFont.load_default(size * SCALE)
    )
