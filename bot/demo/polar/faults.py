"""Faults of the requests to the Polar stand-in."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """A kind of fault; "after" means that the write was done and only the answer is lost."""

    ERROR_BEFORE = "500-before"
    ERROR_AFTER = "500-after"
    DROP_BEFORE = "drop-before"
    DROP_AFTER = "drop-after"
    SLOW = "slow"
    RATE_LIMITED = "429"


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault of the next requests. `seconds` is its delay, or the retry-after of a 429."""

    fault: Fault
    seconds: float
