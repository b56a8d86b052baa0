"""Signs that cases are no longer what they were: audits turning bad, a flood of cases, repeated breaches."""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bot.graduation.score import EVER

# What the audits might have turned to, as multiples of the tolerated odds: a little worse, worse, mostly bad.
_WORSE = (3, 9, 27)
# A flood is three times the usual, and must be so clear that chance alone shows one a year at most.
FLOOD = 3
_HOURS_A_YEAR = 8_760
# A kind of case seen less than once a day has no rate an hour worth the name.
SLOWEST = 1 / 24
BREACHES, BREACH_WINDOW = 2, timedelta(days=1)
DEMOTIONS, FAMILY_WINDOW = 2, timedelta(days=7)


def shift_evidence(bads: Iterable[bool], tolerated: float) -> float:
    """The highest evidence ever that the bad rate of these audits, in order, went above `tolerated` (0.05).

    A bet on "worse", with its stake spread over every moment the change may come (1/2, 1/6, 1/12 …), so that
    a long good past does not hide it. While the rate is at most `tolerated` it ever reaches 20 with a chance
    of 5 % at most (Podkopaev and Ramdas 2110.06177). Better than tolerated is never an alarm. One bad audit
    demotes its own shape at once: this watches many shapes together. ValueError for a rate outside 0 to 1.
    """
    if not 0 < tolerated < 1:
        raise ValueError(f"a tolerated bad rate lies between 0 and 1, not {tolerated}")
    odds = tolerated / (1 - tolerated)
    rates = [times * odds / (1 + times * odds) for times in _WORSE]
    factors = {
        True: [rate / tolerated for rate in rates],
        False: [(1 - rate) / (1 - tolerated) for rate in rates],
    }
    staked, highest = [0.0] * len(rates), 1.0
    for count, bad in enumerate(bads, 1):
        stake = 1 / (count * (count + 1))
        staked = [(held + stake) * factor for held, factor in zip(staked, factors[bad], strict=True)]
        highest = max(highest, sum(staked) / len(staked) + 1 / (count + 1))
    return highest


def shifted(bads: Iterable[bool], tolerated: float) -> bool:
    """Whether these audits, in order, ever showed with 95 % that the bad rate went above `tolerated`."""
    return shift_evidence(bads, tolerated) >= 1 / EVER


def usual_rate(cases: int, hours: float) -> float:
    """Cases an hour of a shape that had so many in so many hours; never below SLOWEST."""
    return max(SLOWEST, cases / hours) if hours > 0 else SLOWEST


def flooded(hourly: Sequence[int], usual: float) -> bool:
    """Whether a shape's latest hours, oldest first, clearly run at three times the `usual` rate: pause it.

    A running sum of the evidence for three times the rate, begun anew whenever it says nothing (CUSUM), so a
    quiet shape is not paused for two cases in an hour, nor a busy one let off for a flood in small waves.
    """
    total = 0.0
    for cases in hourly:
        total = max(0.0, total) + cases * math.log(FLOOD) - (FLOOD - 1) * usual
        if total >= math.log(_HOURS_A_YEAR):
            return True
    return False


def breaker_opens(breaches: Iterable[datetime], now: datetime) -> bool:
    """Whether a cap was breached twice within a day: one breach asks, the second stops."""
    return _count_within(breaches, now, BREACH_WINDOW) >= BREACHES


def family_falls(demotions: Iterable[datetime], now: datetime) -> bool:
    """Whether two demotions of one family within seven days demote all of it."""
    return _count_within(demotions, now, FAMILY_WINDOW) >= DEMOTIONS


def _count_within(moments: Iterable[datetime], now: datetime, window: timedelta) -> int:
    return sum(now - window < moment <= now for moment in moments)
