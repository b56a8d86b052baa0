"""Signs that cases are no longer what they were: a flood of cases, repeated breaches."""

import math
from collections.abc import Sequence

# A flood is three times the usual, and must be so clear that chance alone shows one a year at most.
FLOOD = 3
_HOURS_A_YEAR = 8_760
# A kind of case seen less than once a day has no rate an hour worth the name.
SLOWEST = 1 / 24
# So many breaches of a cap within a day stop the kind: one asks.
BREACHES = 2


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
