"""Spot checks: cases of a graduated kind that a person sees all the same, and what they show. Pure."""

import hmac
import math

from bot.graduation.score import EVER, ln_incomplete_beta
from store.models import ProposalState

# Until somebody has decided, nothing may tell a spot check from any other question: people would look closer.
BLIND = frozenset({ProposalState.PENDING, ProposalState.EXPIRED})
# Just graduated, half of the cases are checked; then a quarter; then the floor of the risk class.
FIRST, SECOND = 0.50, 0.25


def drawn(secret: bytes, proposal_id: str, probability: float) -> bool:
    """Tell whether a case is checked: a draw that nobody without the secret can foresee, and no retry
    changes.

    ValueError for a probability outside 0 to 1 or an empty secret.
    """
    if not 0 <= probability <= 1 or not secret:
        raise ValueError("a spot check is drawn with a secret and a probability between 0 and 1")
    # The prefix is part of every draw so far: another one would draw other cases in a replay.
    digest = hmac.digest(secret, b"audit:" + proposal_id.encode(), "sha256")
    return int.from_bytes(digest[:8]) < int(probability * 2**64)


def probability(agreed: int, floor: float) -> float:
    """The chance that the next case is checked, after so many agreed spot checks in a row since graduation.

    A share of cases is checked only once the spot checks alone, without a look at the past, are 95 % sure
    that the rejection rate is at most that share: 25 % after 11 agreed, 10 % after 29. A floor of 0 asks
    nobody.
    """
    if floor <= 0 or floor >= FIRST:
        return floor
    for share in (floor, max(SECOND, floor)):
        if agreed >= _agreed_for(share):
            return share
    return FIRST


def _agreed_for(share: float) -> int:
    """How many spot checks, all agreed, exclude a rate above `share` with 95 %: (1 - share)^n <= 0.05."""
    return math.ceil(math.log(EVER) / math.log1p(-share))


def rejection_rate_bound(agreed: int, total: int) -> float:
    """The upper 95 % bound (Clopper-Pearson) on the rejection rate, of random spot checks only; 1.0 when
    there are none.

    It holds for a look at one moment. Cases that ask because of a cap or a new value are no random sample:
    they stay out. ValueError for counts that cannot be.
    """
    if not 0 <= agreed <= total:
        raise ValueError(f"{agreed} agreed of {total} spot checks cannot be")
    if agreed == 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):  # halving: 1e-15 is exact enough
        middle = (low + high) / 2
        # P(at most this many rejected | middle) = 1 - I_middle(rejected + 1, agreed)
        above = ln_incomplete_beta(total - agreed + 1, agreed, -math.log1p(-middle)) > math.log(1 - EVER)
        low, high = (low, middle) if above else (middle, high)
    return high
