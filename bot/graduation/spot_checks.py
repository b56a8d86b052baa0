"""Spot checks: cases of a graduated kind that a person still decides, and their results. Pure."""

import hmac
import math

from bot.graduation.score import EVER, ln_incomplete_beta
from store.models import ProposalState

# Before the decision, a spot check must look like any other question. Otherwise people would look closer.
BLIND = frozenset({ProposalState.PENDING, ProposalState.EXPIRED})
# After graduation half of the cases are checked, then a quarter, then the floor of the risk class.
FIRST, SECOND = 0.50, 0.25


def drawn(secret: bytes, proposal_id: str, probability: float) -> bool:
    """Tell whether a case is checked.

    Nobody can predict the draw without the secret, and a retry does not change it. Raises ValueError for a
    probability outside 0 to 1, and for an empty secret.
    """
    if not 0 <= probability <= 1 or not secret:
        raise ValueError("a spot check is drawn with a secret and a probability between 0 and 1")
    # The prefix is part of every past draw. Another prefix would draw other cases in a replay.
    digest = hmac.digest(secret, b"audit:" + proposal_id.encode(), "sha256")
    return int.from_bytes(digest[:8]) < int(probability * 2**64)


def probability(agreed: int, floor: float) -> float:
    """The chance that the next case is checked, after so many agreed spot checks in a row since graduation.

    The chance falls to a share only when the spot checks alone show, with 95 % confidence, that the rejection
    rate is at most that share: 25 % after 11 agreed, 10 % after 29. A floor of 0 asks nobody.
    """
    if floor <= 0 or floor >= FIRST:
        return floor
    for share in (floor, max(SECOND, floor)):
        # So many agreed spot checks exclude a rate above the share with 95 %: (1 - share)^n <= 0.05.
        if agreed >= math.ceil(math.log(EVER) / math.log1p(-share)):
            return share
    return FIRST


def rejection_rate_bound(agreed: int, total: int) -> float:
    """The upper 95 % bound (Clopper-Pearson) on the rejection rate of spot checks; 1.0 without any.

    It holds for one fixed moment. Cases that ask because of a cap or a new value are not a random sample, so
    they are left out. Raises ValueError for impossible counts.
    """
    if not 0 <= agreed <= total:
        raise ValueError(f"{agreed} agreed of {total} spot checks cannot be")
    if agreed == 0:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(50):  # fifty halvings give an error of 1e-15
        middle = (low + high) / 2
        # P(at most this many rejected | middle) = 1 - I_middle(rejected + 1, agreed)
        above = ln_incomplete_beta(total - agreed + 1, agreed, -math.log1p(-middle)) > math.log(1 - EVER)
        low, high = (low, middle) if above else (middle, high)
    return high
